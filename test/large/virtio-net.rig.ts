import { expect, test } from 'vitest';
import { alarms } from '../devices/virtio-net-lab.js';

/** 10,000 runs in all, in pieces that tell where they are. */
const RUNS = { kernel: 3400, user: 3400, vdpa: 3200 } as const;
const PIECE = 200;

test.each(['kernel', 'user', 'vdpa'] as const)('%s: correct devices give no alarm', async (face) => {
  let [events, frames] = [0, 0];
  for (let from = 1; from <= RUNS[face]; from += PIECE) {
    const { words, sums } = await alarms(face, from, Math.min(RUNS[face], from + PIECE - 1));
    expect(words).toEqual([]);
    events += sums.events;
    frames += sums.received + sums.sent;
  }
  console.log(`${face}: ${RUNS[face]} runs, ${events} events, ${frames} frames, no alarm`);
});
