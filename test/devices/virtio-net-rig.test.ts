import { expect, test } from 'vitest';
import { runNetRig } from '../../devices/virtio-net/index.js';
import { traceEventSchema } from '../../src/trace/index.js';
import { alarms } from './virtio-net-lab.js';

/** Runs of each face; `test:large` has the 10,000. */
const RUNS = { kernel: 170, user: 170, vdpa: 160 } as const;

test.each(['kernel', 'user', 'vdpa'] as const)('a correct device behind %s gives no alarm', async (face) => {
  const { words, sums } = await alarms(face, 1, RUNS[face]);
  expect(words).toEqual([]);
  // That nothing is wrong says something only when something has happened.
  expect(sums.received).toBeGreaterThan(20 * RUNS[face]);
  expect(sums.sent).toBeGreaterThan(20 * RUNS[face]);
  if (face === 'vdpa') expect(sums.commands).toBeGreaterThan(RUNS[face]);
  else expect(sums.iova).toBeGreaterThan(10);
  if (face === 'user') expect(sums.packed).toBeGreaterThan(20);
});

test('a seed gives the same run again, of events of the vocabulary', async () => {
  for (const face of ['kernel', 'user', 'vdpa'] as const) {
    const [first, second] = [await runNetRig({ seed: 7, face }), await runNetRig({ seed: 7, face })];
    expect(second.events).toEqual(first.events);
    for (const event of first.events) traceEventSchema.parse(event);
  }
});
