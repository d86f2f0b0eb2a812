import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Clock, limited, RateLimit } from '../../src/transport/index.js';

/** A clock that stands still until it is told to go on. */
class TestClock implements Clock {
  time = 0;
  readonly #timers = new Set<{ at: number; run: () => void }>();

  now(): number {
    return this.time;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get waiting(): number {
    return this.#timers.size;
  }

  /** Goes on by `ms`, timer by timer. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settled();
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
      if (next === undefined || next.at > end) break;
      this.#timers.delete(next);
      this.time = next.at;
      next.run();
      await settled();
    }
    this.time = end;
  }
}

/** All that can go on without time has done so. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A sink that notes when how much came. */
function recorder(clock: TestClock) {
  const log: { at: number; size: number }[] = [];
  return {
    log,
    sink: (bytes: Uint8Array) => void log.push({ at: clock.time, size: bytes.length }),
    total: (from = 0, to = Number.POSITIVE_INFINITY) =>
      log.filter(({ at }) => at >= from && at < to).reduce((sum, { size }) => sum + size, 0),
  };
}

const MB = 1_000_000;

describe('RateLimit', () => {
  it('gives the burst at once and the rate from then on', async () => {
    const clock = new TestClock();
    const out = recorder(clock);
    const limit = new RateLimit(10 * MB, clock);
    const sink = limited(out.sink, limit);
    const work = (async () => {
      for (let count = 0; count < 1000; count++) await sink(new Uint8Array(65536));
    })();
    await clock.advance(0);
    expect(out.total()).toBeGreaterThanOrEqual(MB);
    expect(out.total()).toBeLessThanOrEqual(MB + 65536);
    await clock.advance(5000);
    expect(out.total() / (51 * MB)).toBeCloseTo(1, 2);
    // No second has more than the rate and a burst.
    for (let second = 0; second < 5; second++) {
      expect(out.total(second * 1000, (second + 1) * 1000)).toBeLessThan(11 * MB + 65536);
    }
    await clock.advance(10_000);
    await work;
    expect(out.total()).toBe(1000 * 65536);
    expect(clock.waiting).toBe(0);
  });

  it('keeps to any rate with pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 10_000, max: 100 * MB }),
        fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 20 }),
        async (rate, sizes) => {
          const clock = new TestClock();
          const out = recorder(clock);
          const sink = limited(out.sink, new RateLimit(rate, clock));
          let done = false;
          const work = Promise.all(sizes.map((size) => sink(new Uint8Array(size)))).then(() => {
            done = true;
          });
          const total = sizes.reduce((sum, size) => sum + size, 0);
          // The last piece may overdraw the allowance.
          const piece = Math.max(4096, rate / 10);
          const least = Math.max(0, ((total - rate / 10 - piece) / rate) * 1000);
          await clock.advance(Math.max(0, least - 1));
          if (least > 1) expect(done).toBe(false);
          await clock.advance((total / rate) * 1000 + 2 * sizes.length + 100);
          expect(done).toBe(true);
          await work;
          expect(out.total()).toBe(total);
          expect(clock.waiting).toBe(0);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('does not save up while nobody sends', async () => {
    const clock = new TestClock();
    const limit = new RateLimit(MB, clock);
    expect(limit.take(150_000)).toBeUndefined();
    await clock.advance(60_000);
    expect(limit.take(100_000)).toBeUndefined();
    let passed = false;
    void limit.take(1)?.then(() => {
      passed = true;
    });
    await clock.advance(0);
    expect(passed).toBe(false);
    await clock.advance(2);
    expect(passed).toBe(true);
  });

  it('is no limit at 0, and lets all go when it becomes 0', async () => {
    const clock = new TestClock();
    const free = new RateLimit(0, clock);
    const sent: number[] = [];
    const sink = limited((bytes) => void sent.push(bytes.length), free);
    expect(sink(new Uint8Array(1 << 24))).toBeUndefined();
    expect(sent).toEqual([1 << 24]);

    const limit = new RateLimit(1000, clock);
    const out = recorder(clock);
    const slow = limited(out.sink, limit);
    const work = Promise.all([slow(new Uint8Array(MB)), slow(new Uint8Array(MB))]);
    await clock.advance(100);
    expect(out.total()).toBeLessThan(10_000);
    limit.bytesPerSecond = 0;
    await work;
    expect(out.total()).toBe(2 * MB);
    expect(clock.time).toBe(100);
    expect(clock.waiting).toBe(0);
  });

  it('follows a new rate at once, also for who waits', async () => {
    const clock = new TestClock();
    const out = recorder(clock);
    const limit = new RateLimit(MB, clock);
    const sink = limited(out.sink, limit);
    const work = sink(new Uint8Array(40 * MB));
    await clock.advance(2000);
    expect(out.total() / (2.1 * MB)).toBeCloseTo(1, 1);
    limit.bytesPerSecond = 10 * MB;
    const before = out.total();
    await clock.advance(2000);
    expect((out.total() - before) / (20 * MB)).toBeCloseTo(1, 1);
    limit.bytesPerSecond = 0;
    await work;
    limit.bytesPerSecond = MB;
    expect(limit.take(MB)).toBeUndefined();
    expect(limit.take(1)).toBeInstanceOf(Promise);
    limit.bytesPerSecond = 0;
  });

  it('is shared by the channels', async () => {
    const clock = new TestClock();
    const limit = new RateLimit(MB, clock);
    const outs = [recorder(clock), recorder(clock)];
    const work = outs.map(async ({ sink }) => {
      const slow = limited(sink, limit);
      for (let count = 0; count < 30; count++) await slow(new Uint8Array(100_000));
    });
    await clock.advance(3000);
    const [first, second] = outs.map((out) => out.total());
    expect((first! + second!) / (3.1 * MB)).toBeCloseTo(1, 1);
    expect(Math.abs(first! - second!)).toBeLessThanOrEqual(100_000);
    limit.bytesPerSecond = 0;
    await Promise.all(work);
  });

  it('keeps the order, and passes a failure of the sink on', async () => {
    const clock = new TestClock();
    const limit = new RateLimit(1000, clock);
    const order: number[] = [];
    const sink = limited((bytes) => void order.push(bytes[0]!), limit);
    const work = [1, 2, 3].map((value) => sink(new Uint8Array(200).fill(value)));
    limit.bytesPerSecond = 0;
    await Promise.all([...work, sink(Uint8Array.of(4))]);
    expect(order).toEqual([1, 2, 3, 4]);

    const broken = limited(async () => {
      throw new Error('gone');
    }, new RateLimit(1000, clock));
    await expect(broken(new Uint8Array(10))).rejects.toThrow('gone');
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a rate of %d', (rate) => {
    expect(() => new RateLimit(rate)).toThrow(/expected a rate of 0 \(no limit\) or more/);
  });

  it('runs by the clock of the system', async () => {
    const limit = new RateLimit(MB);
    const start = performance.now();
    let total = 0;
    const sink = limited((bytes) => {
      total += bytes.length;
    }, limit);
    await sink(new Uint8Array(150_000));
    // The burst of 100 kB is free, the rest is due 0 to 100 ms later.
    expect(total).toBe(150_000);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
