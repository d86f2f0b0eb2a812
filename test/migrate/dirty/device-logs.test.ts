import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DmaLog } from '../../../devices/dma-log.js';
import {
  DmaLoggingTracker,
  IommuTable,
  IommuTracker,
  PageBitmap,
  VhostLog,
  VhostLogTracker,
} from '../../../src/migrate/dirty/index.js';
import { DeviceError, type DmaLogging } from '../../../src/uapi/device.js';
import { DirtyBitmap } from '../../../src/uapi/dirty-bitmap.js';

const PAGE = 4096;

function pagesOf(bitmap: PageBitmap): number[] {
  const out: number[] = [];
  bitmap.forEachSet((page) => {
    out.push(page);
  });
  return out;
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof DeviceError) return error.code;
    throw error;
  }
  return 'OK';
}

describe('IommuTable', () => {
  const query = (pages: number, flags = 0) => ({ flags, iova: 0, length: pages * PAGE, pageSize: PAGE });

  it.each([
    [2, PAGE],
    [40, PAGE],
    [8000, PAGE],
    [2048, 512 * PAGE],
  ])('every even entry of %i pages, mapped by %i bytes: once each, twice with NO_CLEAR', (pages, entry) => {
    const table = new IommuTable(pages, entry);
    table.setDirtyTracking(1);
    const expected: number[] = [];
    for (let page = 0; page < pages; page += (2 * entry) / PAGE) {
      table.write(page * PAGE, 1);
      for (let unit = 0; unit < entry / PAGE; unit++) expected.push(page + unit);
    }
    const read = (flags: number) => {
      const into = new PageBitmap(pages);
      table.getDirtyBitmap(query(pages, flags), into);
      return pagesOf(into);
    };
    expect(read(1)).toEqual(expected);
    expect(read(1)).toEqual(expected);
    expect(read(0)).toEqual(expected);
    expect(read(0)).toEqual([]);
  });

  it('answers for a range and by any page size as the bit formula says', () => {
    const pages = 512;
    const unit = fc.constantFrom(1, 2, 8, 64);
    const writes = fc.array(fc.nat(pages - 1), { maxLength: 8 });
    fc.assert(
      fc.property(unit, unit, writes, fc.nat(7), fc.nat(7), (entryPages, unitPages, list, from, to) => {
        const table = new IommuTable(pages, entryPages * PAGE);
        table.setDirtyTracking(1);
        const first = Math.min(from, to) * 64;
        const count = Math.max(from, to) * 64 + 64 - first;
        const model = new DirtyBitmap({
          iova: BigInt(first * PAGE),
          length: BigInt(count * PAGE),
          pageSize: BigInt(unitPages * PAGE),
        });
        for (const page of list) {
          table.write(page * PAGE + 5, 3);
          const entry = page - (page % entryPages);
          model.mark(BigInt(entry * PAGE), BigInt(entryPages * PAGE));
        }
        const into = new PageBitmap(count / unitPages);
        const range = { flags: 0, iova: first * PAGE, length: count * PAGE, pageSize: unitPages * PAGE };
        table.getDirtyBitmap(range, into);
        expect(pagesOf(into)).toEqual([...model]);
        // What lies outside is still there.
        const rest = new PageBitmap(pages);
        table.getDirtyBitmap(query(pages), rest);
        const outside = list.filter((page) => page < first || page >= first + count);
        for (const page of outside) expect(rest.test(page)).toBe(true);
        expect(rest.count()).toBe(
          new Set(outside.map((page) => Math.floor(page / entryPages))).size * entryPages,
        );
      }),
      { numRuns: 60 },
    );
  });

  it('begins with no dirt at each enabling, and gives none while it is off', () => {
    const table = new IommuTable(10);
    const count = () => {
      const into = new PageBitmap(10);
      table.getDirtyBitmap(query(10), into);
      return into.count();
    };
    table.write(0, 1);
    expect(count()).toBe(0);
    table.setDirtyTracking(1);
    table.write(0, 1);
    table.setDirtyTracking(1);
    expect(count()).toBe(0);
    table.write(0, 1);
    table.setDirtyTracking(0);
    table.write(PAGE, 1);
    expect(count()).toBe(1);
  });

  it('refuses what iommufd refuses', () => {
    const table = new IommuTable(10);
    const into = new PageBitmap(10);
    expect(codeOf(() => table.setDirtyTracking(2))).toBe('EOPNOTSUPP');
    for (const [change, code] of [
      [{ flags: 2 }, 'EOPNOTSUPP'],
      [{ pageSize: 0 }, 'EINVAL'],
      [{ pageSize: 3 * PAGE }, 'EINVAL'],
      [{ iova: 5 }, 'EINVAL'],
      [{ length: 3 * PAGE, pageSize: 2 * PAGE }, 'EINVAL'],
      [{ iova: Number.MAX_SAFE_INTEGER }, 'EOVERFLOW'],
      // Beyond what is mapped there is just nothing.
      [{ iova: 64 * PAGE }, 'OK'],
    ] as const)
      expect([change, codeOf(() => table.getDirtyBitmap({ ...query(10), ...change }, into))]).toEqual([
        change,
        code,
      ]);
  });

  it('loses nothing when pages are unmapped', () => {
    const tracker = new IommuTracker('iommu', { pages: 100 });
    const into = new PageBitmap(100);
    tracker.start();
    for (const page of [1, 40, 41, 99]) tracker.mark(page * PAGE, 1);
    tracker.unmap(40, 10);
    tracker.mark(45 * PAGE, 1);
    tracker.sync(into);
    expect(pagesOf(into)).toEqual([1, 40, 41, 99]);
    tracker.table.map(40, 10);
    tracker.mark(45 * PAGE, 1);
    expect(tracker.sync(into)).toBe(1);
  });
});

describe('VhostLog', () => {
  it('sets bit p mod 8 of byte p div 8 for each page', () => {
    fc.assert(
      fc.property(fc.nat(60 * PAGE), fc.nat(5 * PAGE), (address, length) => {
        const log = new VhostLog();
        const bytes = new Uint8Array(16);
        log.setLogBase(bytes);
        log.setLogAll(true);
        log.writeBuffer(address, length);
        const model = new DirtyBitmap({ iova: 0n, length: BigInt(128 * PAGE), pageSize: 4096n });
        model.mark(BigInt(address), BigInt(length));
        expect(bytes).toEqual(model.bytes);
        expect(log.lost).toBe(0);
      }),
    );
  });

  it('has two gates that are independent, and needs a log for both', () => {
    const log = new VhostLog();
    expect(codeOf(() => log.setLogAll(true))).toBe('EFAULT');
    expect(codeOf(() => log.setLogRing(true))).toBe('EFAULT');
    const bytes = new Uint8Array(8);
    log.setLogBase(bytes);
    log.setLogRing(true);
    log.writeBuffer(0, 1);
    log.writeUsed(PAGE, 8);
    expect(bytes[0]).toBe(2);
    log.setLogRing(false);
    log.setLogAll(true);
    log.writeUsed(2 * PAGE, 8);
    log.writeBuffer(3 * PAGE, 1);
    expect(bytes[0]).toBe(10);
  });

  it('loses a bit outside the log without a word, but for the count', () => {
    const log = new VhostLog();
    log.setLogBase(new Uint8Array(8));
    log.setLogAll(true);
    log.writeBuffer(63 * PAGE, PAGE + 1);
    expect(log.lost).toBe(1);
  });

  it('keeps what was logged when the log is replaced', () => {
    const tracker = new VhostLogTracker('vhost-log', { pages: 100 });
    const into = new PageBitmap(100);
    tracker.replaceLog(PAGE);
    tracker.start();
    tracker.mark(99 * PAGE, 1);
    tracker.replaceLog(200 * PAGE);
    tracker.mark(2 * PAGE, 1);
    tracker.mark(150 * PAGE, 1);
    expect(tracker.sync(into)).toBe(2);
    expect(pagesOf(into)).toEqual([2, 99]);
    expect([tracker.sync(into), tracker.vhost.lost]).toEqual([0, 0]);
  });
});

describe('DmaLoggingTracker', () => {
  it('asks for RAM below and from 4 GiB on, of every device', () => {
    const pages = (5 * 2 ** 30) / PAGE;
    const logs = [new DmaLog(), new DmaLog()];
    const ranges: unknown[] = [];
    const devices = logs.map((log) => ({
      start: (request: Parameters<DmaLog['start']>[0]) => {
        ranges.push(request.ranges);
        return log.start(request);
      },
      stop: () => log.stop(),
      report: (range: Parameters<DmaLog['report']>[0]) => log.report(range),
    }));
    const tracker = new DmaLoggingTracker('dma-logging', { pages, devices });
    const into = new PageBitmap(pages);
    tracker.start();
    expect(ranges).toEqual(
      Array(2).fill([
        { iova: 0n, length: 2n ** 32n },
        { iova: 2n ** 32n, length: 2n ** 30n },
      ]),
    );
    logs[0]!.mark(0xffff_f000n, 8192n);
    logs[1]!.mark(BigInt(pages - 1) * 4096n, 1n);
    logs[1]!.mark(0xffff_f000n, 1n);
    expect(tracker.sync(into)).toBe(3);
    expect(pagesOf(into)).toEqual([0xfffff, 0x100000, pages - 1]);
    tracker.stop();
    expect(codeOf(() => tracker.sync(into))).toBe('EINVAL');
  });

  it.each([false, true])('leaves no device logging when one refuses to start (later: %s)', async (later) => {
    const calls: string[] = [];
    const device = (name: string, refuses: boolean): DmaLogging => {
      const call = (what: string) => {
        calls.push(`${name} ${what}`);
        const error = refuses && what === 'start' ? new DeviceError('E2BIG', name) : null;
        if (error !== null && !later) throw error;
        return error === null ? (later ? Promise.resolve(4096n) : 4096n) : Promise.reject(error);
      };
      return {
        start: () => call('start'),
        stop: () => {
          const done = call('stop');
          return done instanceof Promise ? done.then(() => {}) : undefined;
        },
        report: () => new DirtyBitmap({ iova: 0n, length: 4096n, pageSize: 4096n }),
      };
    };
    const devices = [device('a', false), device('b', true), device('c', false)];
    const tracker = new DmaLoggingTracker('dma-logging', { pages: 10, devices });
    await expect((async () => tracker.start())()).rejects.toMatchObject({ code: 'E2BIG' });
    expect(calls).toEqual(['a start', 'b start', 'a stop']);
  });
});
