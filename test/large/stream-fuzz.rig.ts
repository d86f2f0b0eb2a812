import { expect, test } from 'vitest';
import { fuzz, HELD, samples } from '../stream/fuzz-run.js';

/** Number of changed streams. */
const COUNT = Number(process.env.STOPCOPY_LARGE_STREAMS ?? 100_000);
/** Streams of one turn. */
const TURN = 5000;
/** What the peak of the process may grow by, in bytes: garbage that was not collected yet, and no more. */
const MOST_GROWTH = 256 << 20;

test(`${COUNT} changed streams neither crash nor hang the reader, nor grow the process`, () => {
  const originals = samples(400, 7);
  fuzz(originals, TURN, 0x1000_0000); // Code and buffers that stay.
  const peak = () => process.resourceUsage().maxRSS * 1024;
  const before = peak();
  const total = { streams: 0, complete: 0, slowest: 0, held: 0, growth: 0 };
  for (let seed = 0; seed < COUNT; seed += TURN) {
    const turn = fuzz(originals, Math.min(TURN, COUNT - seed), seed);
    total.streams += turn.streams;
    total.complete += turn.complete;
    total.slowest = Math.max(total.slowest, turn.slowest);
    total.held = Math.max(total.held, turn.mostHeld);
    total.growth = peak() - before;
  }
  console.log(total);
  expect(total.streams).toBe(COUNT);
  expect(total.held).toBeLessThanOrEqual(HELD);
  expect(total.slowest).toBeLessThan(2000);
  expect(total.growth).toBeLessThan(MOST_GROWTH);
});
