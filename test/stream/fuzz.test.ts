import { expect, test } from 'vitest';
import { fuzz, HELD, samples } from './fuzz-run.js';

test('5,000 changed streams neither crash nor hang the reader, nor make it hold more than their bytes', () => {
  const result = fuzz(samples(100, 1), 5000, 1);
  expect(result.streams).toBe(5000);
  expect(result.complete).toBeGreaterThan(100);
  expect(result.complete).toBeLessThan(4000);
  expect(result.mostHeld).toBeLessThanOrEqual(HELD);
  expect(result.slowest).toBeLessThan(2000);
}, 60_000);
