import { expect, test } from 'vitest';
import { NET_FAULTS, netFaultNamed } from '../../devices/virtio-net/index.js';
import { RULES } from '../../src/rules/index.js';
import { caught } from './virtio-net-lab.js';

/** Seeds within which each fault shows. */
const SEEDS = 100;
const CASES = NET_FAULTS.flatMap((fault) => fault.faces.map((face) => [fault.name, face] as const));

test('there are faults of every kind, with names of their own, and rules that there are', () => {
  expect(NET_FAULTS.length).toBeGreaterThanOrEqual(30);
  expect(new Set(NET_FAULTS.map(({ name }) => name)).size).toBe(NET_FAULTS.length);
  const ids = new Set(RULES.map(({ id }) => id));
  for (const { name, caughtBy, seenAs } of NET_FAULTS) {
    expect(
      caughtBy.filter((id) => !ids.has(id)),
      name,
    ).toEqual([]);
    expect(caughtBy.length > 0 || seenAs !== undefined, name).toBe(true);
  }
  expect(() => netFaultNamed('none')).toThrow(RangeError);
});

test.each(CASES)('%s behind %s is caught', async (name, face) => {
  const fault = netFaultNamed(name);
  const found = await caught(fault, face, SEEDS);
  expect(found, `no run of seeds 1 to ${SEEDS} shows it`).not.toBeNull();
  // A bit that is missing is told with its page, who wrote it, and how the switches stood.
  if (fault.kind === 'log' && found!.rule !== 'VHOST-LOG-12')
    expect(found!.message).toMatch(/^page 0x[\da-f]+ .* was written by .*(LOG_ALL (on|off)|log flag)/);
});
