import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bitmapKernel } from '../../../src/migrate/dirty/bitmap-kernel.js';
import { PageBitmap } from '../../../src/migrate/dirty/page-bitmap.js';
import { PlainBitmapKernel } from '../../../src/migrate/dirty/plain-bitmap-kernel.js';
import { WasmBitmapKernel } from '../../../src/migrate/dirty/wasm-bitmap-kernel.js';

const wasm = WasmBitmapKernel.create()!;
const KERNELS = [
  ['plain', new PlainBitmapKernel()],
  ['wasm', wasm],
] as const;

/** Around the sizes of words, blocks and pieces. */
const sizes = fc.oneof(
  fc.constantFrom(1, 31, 32, 33, 63, 64, 65, 511, 512, 513, 1000),
  fc.integer({ min: 1, max: 3000 }),
);
/** Page sets with stretches and single pages; numbers beyond the bitmap are left out by `bitmap`. */
const stretches = fc.array(fc.tuple(fc.nat(3000), fc.oneof(fc.constant(1), fc.nat(700))), { maxLength: 8 });

function setOf(pages: number, ranges: readonly (readonly [number, number])[]): Set<number> {
  const set = new Set<number>();
  for (const [first, count] of ranges)
    for (let page = first; page < Math.min(first + count, pages); page++) set.add(page);
  return set;
}

function bitmapOf(pages: number, set: Iterable<number>, kernel = bitmapKernel()): PageBitmap {
  const bitmap = new PageBitmap(pages, kernel);
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

const sorted = (set: Iterable<number>) => [...set].sort((a, b) => a - b);

describe.each(KERNELS)('PageBitmap with the %s kernel', (_name, kernel) => {
  it('is a set of pages', () => {
    fc.assert(
      fc.property(sizes, stretches, stretches, (pages, ranges, gone) => {
        const set = setOf(pages, ranges);
        const bitmap = new PageBitmap(pages, kernel);
        for (const [first, count] of ranges)
          if (first < pages) bitmap.setRange(first, Math.min(count, pages - first));
        expect(pagesOf(bitmap)).toEqual(sorted(set));
        for (const [first, count] of gone) {
          if (first >= pages) continue;
          bitmap.clearRange(first, Math.min(count, pages - first));
          for (let page = first; page < first + count; page++) set.delete(page);
        }
        expect(pagesOf(bitmap)).toEqual(sorted(set));
        expect(bitmap.count()).toBe(set.size);
        for (const page of [0, pages >> 1, pages - 1]) expect(bitmap.test(page)).toBe(set.has(page));
      }),
    );
  });

  it('finds the next set and the next clear page', () => {
    fc.assert(
      fc.property(sizes, stretches, fc.nat(3100), (pages, ranges, from) => {
        const set = setOf(pages, ranges);
        const bitmap = bitmapOf(pages, set, kernel);
        const all = Array.from({ length: Math.max(0, pages - from) }, (_, index) => from + index);
        expect(bitmap.nextSet(from)).toBe(all.find((page) => set.has(page)) ?? -1);
        expect(bitmap.nextClear(from)).toBe(all.find((page) => !set.has(page)) ?? pages);
      }),
    );
  });

  it('harvests: what was new is counted, the source is clear', () => {
    fc.assert(
      fc.property(sizes, stretches, stretches, (pages, mine, its) => {
        const [a, b] = [setOf(pages, mine), setOf(pages, its)];
        const union = sorted(new Set([...a, ...b]));
        const into = bitmapOf(pages, a, kernel);
        const from = bitmapOf(pages, b, kernel);
        const kept = bitmapOf(pages, a, kernel);
        expect(kept.orFrom(from)).toBe(union.length - a.size);
        expect(pagesOf(from)).toEqual(sorted(b));
        expect(into.mergeFrom(from)).toBe(union.length - a.size);
        expect(pagesOf(into)).toEqual(union);
        expect(pagesOf(kept)).toEqual(union);
        expect(from.count()).toBe(0);
        expect(into.remove(kept)).toBe(union.length);
        expect(into.count()).toBe(0);
      }),
    );
  });

  it('takes foreign bytes at any place of theirs, for any of its stretches', () => {
    const bytes = fc.uint8Array({ maxLength: 400 });
    fc.assert(
      fc.property(sizes, stretches, bytes, fc.nat(7), fc.nat(300), (pages, ranges, content, odd, at) => {
        const set = setOf(pages, ranges);
        const into = bitmapOf(pages, set, kernel);
        const memory = new Uint8Array(content.length + 8);
        const source = memory.subarray(odd, odd + content.length);
        source.set(content);
        const union = new Set(set);
        for (let bit = 0; bit < content.length * 8; bit++)
          if (content[bit >> 3]! & (1 << (bit & 7)) && at * 8 + bit < pages) union.add(at * 8 + bit);
        expect(bitmapOf(pages, set, kernel).orFrom(source, at * 8)).toBe(union.size - set.size);
        expect(source).toEqual(content);
        expect(into.mergeFrom(source, at * 8)).toBe(union.size - set.size);
        expect(pagesOf(into)).toEqual(sorted(union));
        expect(memory.every((byte) => byte === 0)).toBe(true);
      }),
    );
  });

  it('takes foreign bytes of many pieces', () => {
    const pages = 1_000_003;
    const bytes = new Uint8Array(Math.ceil(pages / 8) + 9).fill(0x81);
    const into = new PageBitmap(pages, kernel);
    expect(into.mergeFrom(bytes)).toBe(Math.floor(pages / 8) * 2 + 1);
    expect(into.nextClear(0)).toBe(1);
    into.setAll();
    expect(into.count()).toBe(pages);
    expect(into.nextClear(0)).toBe(pages);
  });

  it('removes from a stretch of whole words', () => {
    const from = new PageBitmap(200, kernel);
    const mask = new PageBitmap(200, kernel);
    from.setAll();
    mask.setAll();
    expect(from.remove(mask, 64, 64)).toBe(64);
    expect(from.nextClear(0)).toBe(64);
    expect(from.nextSet(64)).toBe(128);
    expect(from.remove(mask, 192, 8)).toBe(8);
    expect(() => from.remove(mask, 1, 64)).toThrow('expected a multiple of 64');
    expect(() => from.remove(mask, 192, 64)).toThrow('expected pages below 200');
  });
});

describe('PageBitmap', () => {
  it('lets bitmaps of both kernels meet', () => {
    for (const [one, other] of [
      [wasm, new PlainBitmapKernel()],
      [new PlainBitmapKernel(), wasm],
    ] as const) {
      const into = bitmapOf(100, [1, 99], one);
      const from = bitmapOf(100, [1, 2, 98], other);
      expect(into.orFrom(from)).toBe(2);
      expect(into.mergeFrom(from)).toBe(0);
      expect(pagesOf(into)).toEqual([1, 2, 98, 99]);
      expect(from.count()).toBe(0);
    }
  });

  it('keeps its content when the memory of all bitmaps grows, and is zero at first', () => {
    const first = bitmapOf(70, [3, 69]);
    const more = Array.from({ length: 40 }, () => {
      const bitmap = new PageBitmap(1 << 20);
      expect(bitmap.count()).toBe(0);
      bitmap.setAll();
      return bitmap;
    });
    expect(pagesOf(first)).toEqual([3, 69]);
    expect(first.bytes[0]).toBe(8);
    expect(more.every((bitmap) => bitmap.count() === 1 << 20)).toBe(true);
  });

  it('says what is wrong with a page number', () => {
    const bitmap = new PageBitmap(100);
    for (const page of [-1, 100, 0.5, Number.NaN, 2 ** 32]) {
      expect(() => bitmap.test(page)).toThrow(`expected a page from 0 to 99, got ${page}`);
      expect(() => bitmap.set(page)).toThrow(RangeError);
      expect(() => bitmap.clear(page)).toThrow(RangeError);
    }
    expect(() => bitmap.setRange(90, 11)).toThrow('expected pages below 100, got 11 pages from page 90');
    expect(() => bitmap.mergeFrom(new PageBitmap(101))).toThrow('expected one of 100 pages, got one of 101');
    expect(() => bitmap.mergeFrom(new Uint8Array(1), 4)).toThrow('expected a multiple of 8');
    expect(() => new PageBitmap(0)).toThrow('got 0');
  });
});
