import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DirtyRing,
  DirtyRingTracker,
  KvmMemslot,
  KvmRings,
  PageBitmap,
  PmlBuffer,
} from '../../../src/migrate/dirty/index.js';
import { DeviceError } from '../../../src/uapi/device.js';
import { PML_ENTRIES } from '../../../src/uapi/kvm.js';

const PAGE = 4096;

function bitmapOf(pages: number, set: readonly number[]): PageBitmap {
  const bitmap = new PageBitmap(pages);
  for (const page of set) bitmap.set(page);
  return bitmap;
}

function pagesOf(bitmap: PageBitmap): number[] {
  const out: number[] = [];
  bitmap.forEachSet((page) => {
    out.push(page);
  });
  return out;
}

function codeOf(work: () => void): string {
  try {
    work();
  } catch (error) {
    if (error instanceof DeviceError) return error.code;
    throw error;
  }
  return 'OK';
}

describe('KvmMemslot', () => {
  const PAGES = 150;
  const page = fc.nat(PAGES - 1);
  const operation = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), page }),
    fc.record({ kind: fc.constant('kernel' as const), page }),
    fc.record({ kind: fc.constant('get' as const) }),
    fc.record({
      kind: fc.constant('clear' as const),
      range: fc.constantFrom([0, 64], [64, 64], [128, 22], [0, 150], [64, 86], [0, 0]),
      pages: fc.array(page),
    }),
  );

  it.each([
    ['auto', undefined],
    ['manual', 'enable'],
    ['initially set', 'initially-set'],
  ] as const)(
    '%s: follows the model of GET and CLEAR; a page is open only when it is dirty',
    (_name, manualProtect) => {
      fc.assert(
        fc.property(fc.array(operation, { maxLength: 60 }), fc.boolean(), (list, pml) => {
          const slot = new KvmMemslot({ pages: PAGES, manualProtect, pml });
          slot.setLogDirtyPages(true);
          const all = Array.from({ length: PAGES }, (_, index) => index);
          const dirty = new Set<number>(manualProtect === 'initially-set' ? all : []);
          const answer = new PageBitmap(PAGES);
          for (const one of list) {
            if (one.kind === 'write') slot.write(one.page * PAGE, 1);
            if (one.kind === 'kernel') slot.kernelWrite(one.page);
            if (one.kind === 'write' || one.kind === 'kernel') dirty.add(one.page);
            if (one.kind === 'get') {
              answer.setAll();
              slot.getDirtyLog(answer);
              expect(pagesOf(answer)).toEqual([...dirty].sort((a, b) => a - b));
              if (manualProtect === undefined) dirty.clear();
            }
            if (one.kind === 'clear') {
              const [first, count] = one.range as [number, number];
              slot.clearDirtyLog(first, count, bitmapOf(PAGES, one.pages));
              for (const gone of one.pages) if (gone >= first && gone < first + count) dirty.delete(gone);
            }
            expect(all.filter((index) => slot.isOpen(index) && !dirty.has(index))).toEqual([]);
          }
        }),
        { numRuns: 60 },
      );
    },
  );

  it('traps the first write to a page after each GET, and no further one', () => {
    const slot = new KvmMemslot({ pages: 10 });
    slot.write(0, PAGE);
    expect(slot.trapped).toBe(0);
    slot.setLogDirtyPages(true);
    for (let time = 0; time < 5; time++) slot.write(PAGE, 8);
    expect(slot.trapped).toBe(1);
    slot.getDirtyLog(new PageBitmap(10));
    slot.write(PAGE, 8);
    expect(slot.trapped).toBe(2);
  });

  it('refuses what KVM refuses', () => {
    const slot = new KvmMemslot({ pages: 150, manualProtect: 'enable' });
    const bitmap = new PageBitmap(150);
    expect(codeOf(() => slot.getDirtyLog(bitmap))).toBe('ENOENT');
    expect(codeOf(() => slot.clearDirtyLog(0, 64, bitmap))).toBe('ENOENT');
    slot.setLogDirtyPages(true);
    for (const [first, count] of [
      [1, 64],
      [0, 65],
      [64, 22],
      [128, 64],
      [192, 0],
      [-64, 64],
    ] as const)
      expect([first, count, codeOf(() => slot.clearDirtyLog(first, count, bitmap))]).toEqual([
        first,
        count,
        'EINVAL',
      ]);
    expect(codeOf(() => slot.clearDirtyLog(128, 22, bitmap))).toBe('OK');
  });
});

describe('PmlBuffer', () => {
  it('exits when 512 entries are full, and gives them out in the order of the writes', () => {
    const pages: number[] = [];
    const buffer = new PmlBuffer((page) => pages.push(page));
    for (let page = 0; page < PML_ENTRIES - 1; page++) buffer.log(page * 3);
    expect([buffer.length, buffer.fullExits, pages.length]).toEqual([511, 0, 0]);
    buffer.log(7);
    expect([buffer.length, buffer.fullExits]).toEqual([0, 1]);
    expect(pages.slice(0, 3)).toEqual([0, 3, 6]);
    expect(pages.at(-1)).toBe(7);
    buffer.log(8);
    buffer.reset();
    buffer.flush();
    expect(pages).toHaveLength(PML_ENTRIES);
  });

  it('gets only the first write to a page, and is emptied into the log by GET', () => {
    const slot = new KvmMemslot({ pages: 2000, pml: true, vcpus: 2 });
    slot.setLogDirtyPages(true);
    for (let page = 0; page < 700; page++) slot.write(page * PAGE, PAGE);
    for (let page = 0; page < 10; page++) slot.write(page * PAGE, 1, 1);
    expect(slot.pml.map(({ length, fullExits }) => [length, fullExits])).toEqual([
      [188, 1],
      [0, 0],
    ]);
    slot.write(1999 * PAGE, 1, 1);
    expect(() => slot.write(1998 * PAGE, 1, 2)).toThrow('expected a vCPU below 2, got 2');
    const answer = new PageBitmap(2000);
    slot.getDirtyLog(answer);
    expect(answer.count()).toBe(701);
  });
});

describe('DirtyRing', () => {
  it('goes through dirty, harvested and empty in order', () => {
    const ring = new DirtyRing(4096);
    expect([ring.size, ring.softLimit]).toEqual([256, 192]);
    ring.push(3, 2 ** 33 + 5);
    ring.push(3, 6);
    expect(ring.entry(0)).toEqual({ flags: 1, slot: 3, offset: 2 ** 33 + 5 });
    expect(ring.reset(() => {})).toBe(0);
    const taken: number[] = [];
    expect(ring.harvest((_slot, offset) => taken.push(offset))).toBe(2);
    expect(taken).toEqual([2 ** 33 + 5, 6]);
    expect(ring.entry(1).flags).toBe(2);
    expect(ring.harvest(() => {})).toBe(0);
    ring.push(3, 7);
    // Only what was harvested is reset.
    const armed: number[] = [];
    expect(ring.reset((_slot, offset) => armed.push(offset))).toBe(2);
    expect(armed).toEqual(taken);
    expect([ring.used, ring.entry(0).flags, ring.entry(2).flags]).toEqual([1, 0, 1]);
  });

  it('goes round: as many are reset as were harvested, and the soft limit counts both', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('push', 'harvest', 'reset'), { maxLength: 2000, size: 'max' }),
        (list) => {
          const ring = new DirtyRing(4096);
          const [pushed, harvested, reset]: number[][] = [[], [], []];
          for (const one of list) {
            if (one === 'push' && !ring.softFull) {
              pushed!.push(pushed!.length);
              ring.push(0, pushed!.length - 1);
            }
            if (one === 'harvest') ring.harvest((_slot, offset) => harvested!.push(offset));
            if (one === 'reset') {
              ring.reset((_slot, offset) => reset!.push(offset));
              expect(reset!.length).toBe(harvested!.length);
            }
            expect(ring.used).toBe(pushed!.length - reset!.length);
            expect(ring.softFull).toBe(ring.used >= 192);
          }
          ring.harvest((_slot, offset) => harvested!.push(offset));
          expect(harvested).toEqual(pushed);
          expect(reset).toEqual(pushed!.slice(0, reset!.length));
        },
      ),
      { numRuns: 10 },
    );
  });

  it('comes in sizes that KVM has', () => {
    for (const [bytes, reserved, code] of [
      [4096, 0, 'OK'],
      [5000, 0, 'EINVAL'],
      [2048, 0, 'EINVAL'],
      [8192, 512, 'EINVAL'],
      [16384, 512, 'OK'],
      [1 << 20, 0, 'OK'],
      [1 << 21, 0, 'E2BIG'],
    ] as const)
      expect([bytes, reserved, codeOf(() => new DirtyRing(bytes, reserved))]).toEqual([
        bytes,
        reserved,
        code,
      ]);
  });
});

describe('KvmRings', () => {
  it.each([false, true])('a full ring makes the vCPU exit, and no write is lost (PML %s)', (pml) => {
    const tracker = new DirtyRingTracker('kvm-ring', { pages: 3000, vcpus: 2, ringBytes: 16384, pml });
    tracker.start();
    for (let page = 0; page < 3000; page++) tracker.mark(page * PAGE, 1, page & 1);
    expect(tracker.kvm.fullExits).toBeGreaterThan(0);
    const into = new PageBitmap(3000);
    expect(tracker.sync(into)).toBe(3000);
    expect(tracker.kvm.rings.map(({ used }) => used)).toEqual([0, 0]);
    expect(tracker.kvm.trapped).toBe(3000);
  });

  it('stops a vCPU whose ring the VMM does not harvest', () => {
    const kvm = new KvmRings({ pages: 300, ringBytes: 4096 }, () => {});
    kvm.setLogDirtyPages(true);
    expect(() => kvm.write(0, 300 * PAGE)).toThrow('vCPU 0 cannot go on');
    expect(kvm.rings[0]!.used).toBe(192);
  });

  it('needs its page-modification log flushed for a complete view', () => {
    const kvm = new KvmRings({ pages: 300, ringBytes: 16384, pml: true }, () => {});
    kvm.setLogDirtyPages(true);
    kvm.write(PAGE, 1);
    expect(kvm.rings[0]!.harvest(() => {})).toBe(0);
    kvm.kick();
    expect(kvm.rings[0]!.harvest(() => {})).toBe(1);
    expect(kvm.isOpen(1)).toBe(true);
    expect(kvm.resetRings()).toBe(1);
    expect(kvm.isOpen(1)).toBe(false);
  });

  it('has writes without a vCPU in a bitmap, if at all', () => {
    const into = new PageBitmap(300);
    const rings = new KvmRings({ pages: 300 }, () => {});
    rings.setLogDirtyPages(true);
    expect(codeOf(() => rings.getDirtyLog(into))).toBe('ENXIO');
    const tracker = new DirtyRingTracker('kvm-ring', { pages: 300, withBitmap: true });
    expect(codeOf(() => tracker.kvm.getDirtyLog(into))).toBe('ENOENT');
    expect(tracker.sync(into)).toBe(0);
    tracker.start();
    tracker.kvm.kernelWrite(5);
    tracker.mark(6 * PAGE, 1);
    expect(tracker.sync(into)).toBe(2);
    expect(pagesOf(into)).toEqual([5, 6]);
  });
});
