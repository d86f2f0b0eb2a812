import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { MigrateReport } from '../../src/migrate/report.js';
import type { TraceEvent } from '../../src/trace/event.js';
import type { Report } from '../../src/validate/report.js';
import { runs } from '../support/processes.js';

const root = mkdtempSync(join(tmpdir(), 'stopcopy-virtio-'));
afterAll(() => rmSync(root, { recursive: true }));

const devices = (...texts: string[]) => texts.flatMap((text) => ['--device', text]);

/** Migrates, and judges what was recorded. */
async function migrate(name: string, ...options: string[]) {
  const record = join(root, `${name}.ndjson`);
  const words = ['migrate', '--ram', '96M', '--patience', '15000', '--json', '--record', record, ...options];
  const { out, err } = await runs(words);
  expect(out, err).toMatch(/^\{[\s\S]*\}\n$/);
  const judged = await runs(['validate', '--json', record]);
  const events = readFileSync(record, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line) as TraceEvent);
  return { report: JSON.parse(out) as MigrateReport, verdict: JSON.parse(judged.out) as Report, events };
}

test('an E810 VF, a vhost-user and a vDPA device under load end equal and conformant', async () => {
  const { report, verdict, events } = await migrate(
    'three',
    ...devices('e810-vf', 'virtio-net:vhost-user', 'virtio-net:vdpa', 'virtio-net:vhost'),
    ...['--dirty-rate', '4000', '--working-set', '8M', '--max-bandwidth', '60M'],
  );
  expect(report).toMatchObject({
    outcome: 'completed',
    memoryEqual: true,
    deviceStateEqual: true,
    framesLost: 0,
    framesDuplicated: 0,
  });
  expect(report.devices.map(({ works }) => works)).toEqual([true, true, true, true]);
  expect(verdict.violations.map(({ rule, message }) => `${rule}: ${message}`)).toEqual([]);
  expect(verdict.verdict).toBe('conformant');
  // The law over memory was put to the test: the logs had bits, and writes to compare them with.
  expect(verdict.rules.checked).toEqual(expect.arrayContaining(['VHOST-LOG-01', 'VHOST-LOG-02']));
  const shadow = events.filter(({ kind, host }) => kind === 'shadow_virtqueues' && host === 'source');
  expect(shadow).toMatchObject([{ on: true }]);
  const pages = events.flatMap((event) => (event.kind === 'vhost_log_read' ? event.pages : []));
  expect(pages.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThan(20);
});

test('packed rings go on where they stood', async () => {
  const { report, verdict } = await migrate('packed', ...devices('virtio-net:vhost-user?packed&ring=16'));
  expect(report).toMatchObject({
    outcome: 'completed',
    memoryEqual: true,
    deviceStateEqual: true,
    framesLost: 0,
  });
  expect(verdict.verdict).toBe('conformant');
});

test('a used ring that is not logged is lost memory, and the rule names page, writer and gates', async () => {
  const { report, verdict } = await migrate(
    'fault',
    ...devices('virtio-net:vhost?fault=used-never-logged'),
    ...['--dirty-rate', '2000', '--max-bandwidth', '20M'],
  );
  expect(report.memoryEqual).toBe(false);
  const found = verdict.violations.find(({ rule }) => rule.startsWith('VHOST-LOG-'));
  expect(found).toMatchObject({ party: 'driver', level: 'must', host: 'source' });
  expect(found?.message).toMatch(/page 0x[0-9a-f]+/);
  expect(found?.message).toMatch(/ring \d|used/);
});

test('after a cancel the shadow virtqueues are gone, and the device works', async () => {
  const { report, verdict, events } = await migrate(
    'cancel',
    ...devices('virtio-net:vdpa', 'virtio-net:vhost'),
    ...['--max-bandwidth', '2M', '--dirty-rate', '20000', '--cancel-after', '600'],
  );
  expect(report.outcome).toBe('cancelled');
  expect(report.devices.map(({ works }) => works)).toEqual([true, true]);
  expect(verdict.verdict).toBe('conformant');
  const switches = events.filter(({ kind, host }) => kind === 'shadow_virtqueues' && host === 'source');
  expect(switches).toMatchObject([{ on: true }, { on: false }]);
  expect(verdict.rules.checked.some((rule) => rule.startsWith('SVQ-'))).toBe(true);
});
