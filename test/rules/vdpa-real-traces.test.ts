import { describe, expect, test } from 'vitest';
import type { TraceEvent } from '../../src/trace/event.js';
import { readTrace } from '../../src/trace/open.js';
import { validateEvents, validateInputs } from '../../src/validate/index.js';

const ROOT = new URL('../traces/vhost/', import.meta.url).pathname;
const inputs = (scenario: string) =>
  ['src', 'dst'].map((host) => ({ file: `${ROOT}${scenario}/${host}.trace.log.gz` }));

async function eventsOf(scenario: string): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  for (const input of inputs(scenario)) await readTrace(input, { emit: (event) => events.push(event) });
  return events;
}

describe('QEMU on the vDPA simulator', () => {
  test('a migration with the switch to shadow virtqueues is conformant', async () => {
    const report = await validateInputs(inputs('vdpa-happy'));
    expect(report.violations).toEqual([]);
    expect(report.verdict).toBe('conformant');
    const checked = ['VDPA-STATUS-01', 'VDPA-FEATURES-02', 'VDPA-RING-03', 'VDPA-RING-04', 'VDPA-RESET-01'];
    for (const rule of [...checked, 'SVQ-01', 'SVQ-02', 'SVQ-05', 'SVQ-07'])
      expect(report.rules.checked).toContain(rule);
  });

  test('after a cancelled one the device has its shadow virtqueues again: that, and nothing else', async () => {
    const report = await validateInputs(inputs('vdpa-cancel'));
    expect(report.violations).toMatchObject([
      { rule: 'SVQ-03', party: 'vmm', level: 'should', host: 'src', line: 268 },
    ]);
    expect(report.verdict).toBe('violation');
  });

  test('a device that the guest has not started is not accused', async () => {
    expect((await validateInputs(inputs('vdpa-svq'))).violations).toEqual([]);
  });

  test('a log that begins anywhere, or lacks a kind of event, accuses nobody who kept the rules', async () => {
    const events = await eventsOf('vdpa-happy');
    const accused = (seen: TraceEvent[]) =>
      validateEvents(seen)
        .violations.filter(({ level }) => level !== 'note')
        .map(({ rule, message, line }) => `${rule} line ${line}: ${message}`);
    for (let from = 0; from < events.length; from += 3) expect(accused(events.slice(from))).toEqual([]);
    for (const kind of new Set(events.map((each) => each.kind)))
      expect(accused(events.filter((each) => each.kind !== kind))).toEqual([]);
  });
});
