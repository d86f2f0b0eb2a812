import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Series } from '../../src/validate/series.js';

test('a curve has the first and the last point, in order, and no more than some thousand', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40_000 }), (count) => {
      const series = new Series('x', 'bytes');
      for (let t = 0; t < count; t++) series.add(t, 2 * t);
      const { points } = series.curve()!;
      expect(points.length).toBeLessThanOrEqual(4097);
      expect([points[0], points.at(-1)]).toEqual([
        [0, 0],
        [count - 1, 2 * (count - 1)],
      ]);
      for (const [index, [t, value]] of points.entries()) {
        expect(value).toBe(2 * t);
        if (index > 0) expect(t).toBeGreaterThan(points[index - 1]![0]);
      }
      if (count <= 4000) expect(points).toHaveLength(count);
    }),
    { numRuns: 30 },
  );
});

test('what has no time is in no curve', () => {
  const series = new Series('x', 'pages');
  series.add(undefined, 3);
  expect(series.curve()).toBeNull();
});
