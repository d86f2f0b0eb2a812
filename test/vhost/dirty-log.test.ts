import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VHOST_LOG_PAGE, vhostLogBytes } from '../../src/uapi/vhost-log.js';
import { DirtyLog, markPages, runsOf } from '../../src/vhost/index.js';

/** Pages of a log, the plain way. */
function pagesIn(log: Uint8Array): number[] {
  return Array.from({ length: log.length * 8 }, (_, page) => page).filter(
    (page) => (log[page >> 3]! >> (page & 7)) & 1,
  );
}

const write = fc.record({ address: fc.nat(64 * VHOST_LOG_PAGE), length: fc.nat(20 * VHOST_LOG_PAGE) });

test('a write marks the pages that it touches, and no others', () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 5 }), (writes) => {
      const log = new Uint8Array(16);
      const expected = new Set<number>();
      for (const { address, length } of writes) {
        expect(markPages(log, address, length)).toBe(true);
        for (let at = address; at < address + length; at++) expected.add(Math.floor(at / VHOST_LOG_PAGE));
      }
      expect(new Set(pagesIn(log))).toEqual(expected);
      const runs = runsOf(log).flatMap(([first, count]) =>
        Array.from({ length: count }, (_, n) => first + n),
      );
      expect(runs).toEqual(pagesIn(log));
      expect(runsOf(log).every(([first], n, all) => n === 0 || all[n - 1]![0] + all[n - 1]![1] < first)).toBe(
        true,
      );
    }),
    { numRuns: 60 },
  );
});

test('what is behind the end of the log is told, and what is before it is marked', () => {
  const log = new Uint8Array(8);
  expect(markPages(log, 62 * VHOST_LOG_PAGE, 5 * VHOST_LOG_PAGE)).toBe(false);
  expect(pagesIn(log)).toEqual([62, 63]);
  expect(markPages(log, 64 * VHOST_LOG_PAGE - 1, 2)).toBe(false);
  expect(markPages(log, 2 ** 52, 1)).toBe(false);
  expect(markPages(log, 2 ** 52, 0)).toBe(true);
  expect(pagesIn(log)).toEqual([62, 63]);
});

test('a harvest takes every bit once, and keeps what is there already', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(511)), fc.array(fc.nat(511)), (here, there) => {
      const log = new DirtyLog({ bytes: new Uint8Array(64) });
      const into = new Uint8Array(72);
      for (const page of here) markPages(log.memory.bytes, page * VHOST_LOG_PAGE, 1);
      for (const page of there) markPages(into, page * VHOST_LOG_PAGE, 1);
      expect(log.moveTo(into)).toBe(here.length > 0);
      expect(pagesIn(into)).toEqual([...new Set([...here, ...there])].toSorted((a, b) => a - b));
      expect(pagesIn(log.memory.bytes)).toEqual([]);
      expect(log.moveTo(into)).toBe(false);
    }),
  );
});

test('a log covers memory in whole words and whole pages', () => {
  expect(vhostLogBytes(1)).toBe(8);
  expect(vhostLogBytes(64 * VHOST_LOG_PAGE)).toBe(8);
  expect(vhostLogBytes(64 * VHOST_LOG_PAGE + 1)).toBe(16);
  expect(DirtyLog.bytesFor(2 ** 30)).toBe(2 ** 30 / VHOST_LOG_PAGE / 8);
  expect(DirtyLog.bytesFor(1)).toBe(VHOST_LOG_PAGE);
});
