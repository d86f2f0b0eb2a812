import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DmaLog } from '../../../devices/dma-log.js';
import {
  DIRTY_TRACKERS,
  type DirtyTracker,
  dirtyTracker,
  PageBitmap,
  type TrackerOptions,
} from '../../../src/migrate/dirty/index.js';
import { GuestRam, PAGE_SIZE, PageScan } from '../../../src/migrate/ram/index.js';

/** A tracker, and how its writers write. */
interface Tracked {
  tracker: DirtyTracker;
  write(address: number, length: number): void;
}

type Make = (pages: number) => Tracked;

const made =
  (name: string, options: Partial<TrackerOptions> = {}): Make =>
  (pages) => {
    const tracker = dirtyTracker(name, { pages, ...options });
    return { tracker, write: (address, length) => tracker.mark(address, length) };
  };

/** A device that logs by itself; what it answers comes later, where it is told so. */
const logging =
  (later: boolean): Make =>
  (pages) => {
    const log = new DmaLog();
    const answer = <T>(value: T) => (later ? Promise.resolve(value) : value);
    const device = {
      start: (request: Parameters<DmaLog['start']>[0]) => answer(log.start(request)),
      stop: () => answer(log.stop()),
      report: (range: Parameters<DmaLog['report']>[0]) => answer(log.report(range)),
    };
    const tracker = dirtyTracker('dma-logging', { pages, devices: [device] });
    return {
      tracker,
      write: (address, length) => {
        log.mark(BigInt(address), BigInt(length));
        tracker.mark(address, length);
      },
    };
  };

/** Those that report exactly the pages that were written. */
const EXACT: [string, Make][] = [
  ['kvm-auto', made('kvm-auto')],
  ['kvm-manual', made('kvm-manual')],
  ['kvm-pml', made('kvm-pml')],
  ['kvm-ring', made('kvm-ring', { ringBytes: 4096 })],
  ['iommu', made('iommu')],
  ['dma-logging', logging(false)],
  ['dma-logging, later', logging(true)],
  ['vhost-log', made('vhost-log')],
];
const ALL: [string, Make][] = [
  ...EXACT,
  ['kvm-initially-set', made('kvm-initially-set')],
  ['iommu with huge pages', made('iommu', { entryBytes: 16 * PAGE_SIZE })],
  ['none', made('none')],
];

/** Slots that are no multiple of 64 pages too. */
const PAGES = 333;

const write = fc.record({
  kind: fc.constant('write' as const),
  address: fc.nat(PAGES * PAGE_SIZE - 1),
  // Single stores, a buffer over a few pages, and enough to fill rings.
  length: fc.oneof(fc.constant(8), fc.nat(3 * PAGE_SIZE), fc.constant(250 * PAGE_SIZE)),
});
const sync = fc.record({ kind: fc.constant('sync' as const) });
const stop = fc.record({ kind: fc.constant('stop' as const) });
const send = fc.record({ kind: fc.constant('send' as const), pages: fc.nat(150) });

function pagesOf(bitmap: PageBitmap): number[] {
  const out: number[] = [];
  bitmap.forEachSet((page) => {
    out.push(page);
  });
  return out;
}

/** Writes as a device or a vCPU would, and no further than RAM goes. */
function store(tracked: Tracked, address: number, length: number): number[] {
  const size = Math.min(length, PAGES * PAGE_SIZE - address);
  tracked.write(address, size);
  const pages: number[] = [];
  for (let at = address; at < address + size; at = (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE)
    pages.push(Math.floor(at / PAGE_SIZE));
  return pages;
}

describe.each(EXACT)('%s', (_name, make) => {
  it('reports each page that was written since the last sync, and no other', async () => {
    const steps = fc.array(fc.oneof({ weight: 5, arbitrary: write }, { weight: 2, arbitrary: sync }, stop), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const tracked = make(PAGES);
        const { tracker } = tracked;
        const into = new PageBitmap(PAGES);
        const dirty = new Set<number>();
        // Nothing counts before the start.
        tracked.write(0, 1);
        await tracker.start();
        for (const step of [...list, { kind: 'sync' as const }]) {
          if (step.kind === 'write')
            for (const page of store(tracked, step.address, step.length)) dirty.add(page);
          if (step.kind === 'stop') {
            await tracker.stop();
            tracked.write(5 * PAGE_SIZE, 1);
            await tracker.start();
            dirty.clear();
          }
          if (step.kind !== 'sync') continue;
          into.clearAll();
          into.set(7);
          expect(await tracker.sync(into)).toBe(dirty.size - (dirty.has(7) ? 1 : 0));
          expect(pagesOf(into)).toEqual([...dirty.add(7)].sort((a, b) => a - b));
          tracker.beforeRead?.(0, PAGES);
          dirty.clear();
          into.clearAll();
          expect(await tracker.sync(into)).toBe(0);
          expect(into.count()).toBe(0);
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe.each(ALL)('%s', (_name, make) => {
  it('brings RAM over while it is written, whatever comes in between', async () => {
    const steps = fc.array(fc.oneof({ weight: 5, arbitrary: write }, { weight: 2, arbitrary: send }, sync), {
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const tracked = make(PAGES);
        const { tracker } = tracked;
        const source = new GuestRam(PAGES * PAGE_SIZE);
        const destination = new GuestRam(PAGES * PAGE_SIZE);
        const dirty = new PageBitmap(PAGES);
        let value = 0;
        const guest = (address: number, length: number) => {
          const bytes = new Uint8Array(Math.min(length, source.size - address)).fill(++value);
          source.write(address, bytes);
          tracked.write(address, bytes.length);
        };
        const transfer = (most: number) => {
          const scan = new PageScan(dirty, source, {
            beforeRead: (first, count) => tracker.beforeRead?.(first, count),
          });
          for (let left = most; left > 0 && scan.take({ zero: left, normal: left }); left -= scan.count)
            for (let page = scan.first; page < scan.first + scan.count; page++)
              if (scan.zero) destination.fillZero(page);
              else destination.setPage(page, source.page(page));
        };
        guest(3 * PAGE_SIZE, 50 * PAGE_SIZE);
        dirty.setAll();
        await tracker.start();
        for (const step of list) {
          if (step.kind === 'write') guest(step.address, step.length);
          if (step.kind === 'sync') await tracker.sync(dirty);
          if (step.kind === 'send') transfer(step.pages);
        }
        await tracker.sync(dirty);
        transfer(PAGES);
        expect(destination.differingPages(source)).toEqual([]);
        expect(dirty.count()).toBe(0);
      }),
      { numRuns: 12 },
    );
  });

  it('takes an empty write and one at the end of RAM, and none beyond', async () => {
    const { tracker, write } = make(100);
    await tracker.start();
    write(0, 0);
    write(100 * PAGE_SIZE - 1, 1);
    const into = new PageBitmap(100);
    await tracker.sync(into);
    expect(into.test(99)).toBe(true);
    const strict = ['kvm', 'iommu'].some((begin) => tracker.name.startsWith(begin));
    if (strict)
      expect(() => write(100 * PAGE_SIZE - 1, 2)).toThrow('expected addresses below 0x64000, got 2');
    else write(100 * PAGE_SIZE - 1, 2);
  });
});

describe('over-approximation', () => {
  it('initially-set: the first sync has all pages, those after it what was written', () => {
    const tracker = dirtyTracker('kvm-initially-set', { pages: 100 });
    const into = new PageBitmap(100);
    tracker.start();
    expect(tracker.sync(into)).toBe(100);
    into.clearAll();
    expect(tracker.sync(into)).toBe(100);
    tracker.beforeRead?.(0, 100);
    tracker.mark(8192, 1);
    into.clearAll();
    expect(tracker.sync(into)).toBe(1);
  });

  it('manual: what is not cleared is reported again, and pages are cleared in chunks of 64', () => {
    const tracker = dirtyTracker('kvm-manual', { pages: 200 });
    const into = new PageBitmap(200);
    tracker.start();
    for (const page of [1, 63, 64, 199]) tracker.mark(page * PAGE_SIZE, 1);
    expect(tracker.sync(into)).toBe(4);
    expect(tracker.sync(into)).toBe(0);
    tracker.mark(2 * PAGE_SIZE, 1);
    tracker.beforeRead?.(1, 1);
    into.clearAll();
    tracker.sync(into);
    expect(pagesOf(into)).toEqual([2, 64, 199]);
  });

  it('huge pages: all pages of an entry are dirty together', () => {
    const tracker = dirtyTracker('iommu', { pages: 1000, entryBytes: 2 << 20 });
    const into = new PageBitmap(1000);
    tracker.start();
    tracker.mark(5 * PAGE_SIZE, 1);
    expect(tracker.sync(into)).toBe(512);
    tracker.mark(999 * PAGE_SIZE, 1);
    expect(tracker.sync(into)).toBe(488);
    into.clearAll();
    expect(tracker.sync(into)).toBe(0);
  });

  it('none: every sync has all pages', () => {
    const tracker = dirtyTracker('none', { pages: 100 });
    const into = new PageBitmap(100);
    into.set(3);
    expect(tracker.sync(into)).toBe(99);
    expect(tracker.sync(into)).toBe(0);
    into.clearAll();
    expect(tracker.sync(into)).toBe(100);
  });
});

describe('dirtyTracker', () => {
  it('has a tracker for each name of the list', () => {
    for (const { name, description } of DIRTY_TRACKERS) {
      expect(dirtyTracker(name, { pages: 10 }).name).toBe(name);
      expect(description).toMatch(/^\S.*[^.]$/);
    }
    expect(() => dirtyTracker('kvm', { pages: 10 })).toThrow(
      'no dirty tracker is called kvm; there are kvm-auto,',
    );
  });

  it.each(['kvm-auto', 'kvm-manual', 'kvm-initially-set', 'kvm-pml'])('%s: no log, ENOENT', (name) => {
    const tracker = dirtyTracker(name, { pages: 10 });
    expect(() => tracker.sync(new PageBitmap(10))).toThrow('ENOENT');
    tracker.start();
    tracker.start();
    tracker.stop();
    expect(() => tracker.sync(new PageBitmap(10))).toThrow('ENOENT');
  });
});
