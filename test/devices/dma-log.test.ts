import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DmaLog } from '../../devices/index.js';
import { DMA_LOGGING_MAX_RANGES } from '../../src/uapi/vfio.js';
import { code } from './lab.js';

const page = 4096n;
const range = { iova: 0x10000n, length: 0x8000n };

function started(ranges = [range]): DmaLog {
  const log = new DmaLog();
  log.start({ pageSize: page, ranges });
  return log;
}

describe('START', () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ iova: BigInt(at) * page, length: page }));
  test.each([
    ['no range', page, [], 'EINVAL'],
    ['as many ranges as fit', page, many(DMA_LOGGING_MAX_RANGES), undefined],
    ['one more', page, many(DMA_LOGGING_MAX_RANGES + 1), 'E2BIG'],
    ['half a page', page, [{ iova: 0n, length: 2048n }], 'EINVAL'],
    ['an odd address', page, [{ iova: 1n, length: page }], 'EINVAL'],
    ['nothing', page, [{ iova: 0n, length: 0n }], 'EINVAL'],
    ['an odd page size', 5000n, [{ iova: 0n, length: 5000n }], 'EINVAL'],
    ['no page size', 0n, [range], 'EINVAL'],
    ['over the end', page, [{ iova: (1n << 64n) - page, length: 2n * page }], 'EOVERFLOW'],
    ['twice the same', page, [range, range], 'EINVAL'],
    ['ranges that overlap', page, [range, { iova: 0x17000n, length: page }], 'EINVAL'],
    ['ranges that touch', page, [{ iova: 0x18000n, length: page }, range], undefined],
  ])('with %s', async (_words, pageSize, ranges, expected) => {
    expect(await code(() => new DmaLog().start({ pageSize, ranges }))).toBe(expected);
  });

  test('is refused while logging is on, STOP and REPORT while it is off', async () => {
    const log = new DmaLog();
    expect(await code(() => log.stop())).toBe('EINVAL');
    expect(await code(() => log.report({ ...range, pageSize: page }))).toBe('EINVAL');
    log.start({ pageSize: page, ranges: [range] });
    expect(await code(() => log.start({ pageSize: page, ranges: [range] }))).toBe('EINVAL');
    log.stop();
    log.start({ pageSize: page, ranges: [range] });
  });
});

describe('REPORT', () => {
  test.each([
    ['a small page', { ...range, pageSize: 2048n }, 'EINVAL'],
    ['an odd page', { ...range, pageSize: 4097n }, 'EINVAL'],
    ['no length', { iova: 0n, length: 0n, pageSize: page }, 'EINVAL'],
    ['a range over the end', { iova: (1n << 64n) - page, length: page, pageSize: page }, 'EOVERFLOW'],
  ])('with %s is refused', async (_words, what, expected) => {
    expect(await code(() => started().report(what))).toBe(expected);
  });

  test('gives each written page once, and nothing from before START or outside the ranges', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.bigInt(0n, 0x20000n), fc.bigInt(0n, 0x3000n)), { maxLength: 8 }),
        (writes) => {
          const log = new DmaLog();
          log.mark(range.iova, page);
          log.start({ pageSize: page, ranges: [range] });
          const expected = new Set<number>();
          for (const [iova, length] of writes) {
            log.mark(iova, length);
            for (let at = iova; at < iova + length; at++)
              if (at >= range.iova && at < range.iova + range.length)
                expected.add(Number((at - range.iova) / page));
          }
          expect([...log.report({ ...range, pageSize: page })]).toEqual([...expected].sort((a, b) => a - b));
          expect(log.report({ ...range, pageSize: page }).count()).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('of half a page leaves the page dirty for the other half', () => {
    const log = new DmaLog();
    log.start({ pageSize: 8192n, ranges: [{ iova: 0n, length: 16384n }] });
    log.mark(0n, 1n);
    expect([...log.report({ iova: 0n, length: 4096n, pageSize: page })]).toEqual([0]);
    expect([...log.report({ iova: 4096n, length: 4096n, pageSize: page })]).toEqual([0]);
    expect([...log.report({ iova: 0n, length: 8192n, pageSize: page })]).toEqual([0, 1]);
    expect([...log.report({ iova: 0n, length: 8192n, pageSize: page })]).toEqual([]);
  });
});
