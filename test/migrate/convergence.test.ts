import { describe, expect, test } from 'vitest';
import { Convergence } from '../../src/migrate/convergence.js';
import { DEFAULT_PARAMETERS } from '../../src/migrate/parameters.js';

const convergence = (more: Partial<typeof DEFAULT_PARAMETERS> = {}) =>
  new Convergence({ ...DEFAULT_PARAMETERS, ...more });

describe('what may be pending at the switchover', () => {
  test('is what the channel takes within the downtime limit', () => {
    const it = convergence({ downtimeLimit: 200 });
    expect([it.bandwidth, it.threshold]).toEqual([0, 0]);
    it.sent(10_000_000, 100);
    expect([it.bandwidth, it.threshold]).toEqual([100_000_000, 20_000_000]);
  });

  test('is known from the first bytes on, and then measured over 100 ms', () => {
    const it = convergence({ downtimeLimit: 1000 });
    it.sent(1000, 1);
    expect(it.threshold).toBe(1_000_000);
    it.sent(4000, 50);
    expect(it.threshold).toBe(1_000_000);
    it.sent(4000, 50);
    expect(it.threshold).toBe(80_000);
  });

  test('does not change while there is nothing to send', () => {
    const it = convergence();
    it.sent(1000, 100);
    const { threshold } = it;
    it.sent(0, 5000);
    expect(it.threshold).toBe(threshold);
  });

  test('goes by the bandwidth that is said to be there', () => {
    const it = convergence({ downtimeLimit: 500, availSwitchoverBandwidth: 8_000_000 });
    it.sent(1000, 100);
    expect([it.bandwidth, it.threshold]).toEqual([10_000, 4_000_000]);
  });
});

describe('auto-converge', () => {
  const PERIOD = 1000;

  /** Throttles after syncs that have each found so much dirty of what was sent since the last one. */
  function throttles(dirty: readonly number[]): number[] {
    const it = convergence();
    return dirty.map((bytes, index) => it.throttleAfter(bytes, (index + 1) * PERIOD));
  }

  test('takes a fifth of the time when more than half came anew, twice', () => {
    expect(throttles([501, 501])).toEqual([0, 0.2]);
    expect(throttles([500, 500, 500])).toEqual([0, 0, 0]);
  });

  test('takes more each time, and never all', () => {
    const all = throttles(new Array(30).fill(PERIOD));
    expect(all.slice(0, 8).map((each) => Math.round(each * 10))).toEqual([0, 2, 2, 3, 3, 4, 4, 5]);
    expect(all.at(-1)).toBe(0.99);
    expect(all.every((each, index) => index === 0 || each >= all[index - 1]!)).toBe(true);
  });

  test('does not count a sync before which nothing was sent', () => {
    const it = convergence();
    for (let sync = 0; sync < 10; sync++) expect(it.throttleAfter(4096, 0)).toBe(0);
  });
});
