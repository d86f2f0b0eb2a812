import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageBitmap } from '../../../src/migrate/dirty/index.js';
import { GuestRam, PAGE_SIZE, PageDigests } from '../../../src/migrate/ram/index.js';

const PAGES = 24;
const SIZE = PAGES * PAGE_SIZE;
/** Chunks of 5 pages: 24 pages end within one. */
const small = () => new GuestRam(SIZE, { chunkSize: 5 * PAGE_SIZE });

const writes = fc.array(
  fc.record({
    address: fc.nat(SIZE - 1),
    length: fc.oneof(fc.nat(64), fc.nat(6 * PAGE_SIZE)),
    // Zeros are written too.
    value: fc.constantFrom(0, 0, 1, 255),
  }),
  { maxLength: 12 },
);

function written(ram: GuestRam, list: { address: number; length: number; value: number }[]): Uint8Array {
  const model = new Uint8Array(SIZE);
  for (const { address, length, value } of list) {
    const bytes = new Uint8Array(Math.min(length, SIZE - address)).fill(value);
    ram.write(address, bytes);
    model.set(bytes, address);
  }
  return model;
}

describe('GuestRam', () => {
  it('reads what was written, page by page and across chunks', () => {
    fc.assert(
      fc.property(writes, fc.nat(SIZE), fc.nat(SIZE), (list, from, length) => {
        const ram = small();
        const model = written(ram, list);
        const into = new Uint8Array(Math.min(length, SIZE - from)).fill(7);
        ram.read(from, into);
        expect(Buffer.compare(into, model.subarray(from, from + into.length))).toBe(0);
        const zeros = Array.from({ length: PAGES }, (_, page) =>
          model.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE).every((byte) => byte === 0),
        );
        const copy = new Uint8Array(PAGE_SIZE + 3);
        for (let page = 0; page < PAGES; page++) {
          const content = model.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
          expect(Buffer.compare(ram.page(page), content)).toBe(0);
          ram.copyPage(page, copy, 3);
          expect(Buffer.compare(copy.subarray(3), content)).toBe(0);
          expect(ram.isZeroPage(page)).toBe(zeros[page]);
          for (const limit of [1, 3, PAGES]) {
            const end = zeros.findIndex((zero, at) => at >= page && !zero);
            expect(ram.zeroRun(page, limit)).toBe(Math.min(limit, (end < 0 ? PAGES : end) - page));
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('has one digest for one content, and another for another', () => {
    fc.assert(
      fc.property(writes, fc.nat(SIZE - 1), (list, at) => {
        const one = small();
        const model = written(one, list);
        const other = new GuestRam(SIZE);
        other.write(0, model);
        expect(other.hash()).toBe(one.hash());
        expect(one.differingPages(other)).toEqual([]);
        other.write(at, Uint8Array.of(model[at]! ^ 0x10));
        expect(other.hash()).not.toBe(one.hash());
        const page = Math.floor(at / PAGE_SIZE);
        expect(one.differingPages(other)).toEqual([page]);
        expect(one.differingPages(PageDigests.fromBytes(other.pageDigests().toBytes()))).toEqual([page]);
      }),
      { numRuns: 40 },
    );
  });

  it('knows a digest of content, not of places', () => {
    const [one, other] = [small(), small()];
    one.write(0, Uint8Array.of(1));
    other.write(PAGE_SIZE, Uint8Array.of(1));
    expect(one.hash()).not.toBe(other.hash());
    expect(one.differingPages(other)).toEqual([0, 1]);
    expect(new GuestRam(PAGE_SIZE).hash()).not.toBe(new GuestRam(2 * PAGE_SIZE).hash());
  });

  it('takes no time and no memory for what is not touched', () => {
    const ram = new GuestRam(64 * 2 ** 30);
    const before = process.memoryUsage();
    const last = ram.size - PAGE_SIZE;
    ram.write(last + 5, Uint8Array.of(9));
    const start = performance.now();
    expect(ram.zeroRun(0, ram.pages)).toBe(ram.pages - 1);
    expect(ram.pageDigests().count).toBe(1);
    ram.hash();
    expect(performance.now() - start).toBeLessThan(1000);
    const into = new Uint8Array(6);
    ram.read(last, into);
    expect([...into]).toEqual([0, 0, 0, 0, 0, 9]);
    expect(process.memoryUsage().rss - before.rss).toBeLessThan(100 << 20);
  });

  it('fills and puts pages, which are present then', () => {
    const ram = small();
    ram.absent = new PageBitmap(PAGES);
    ram.absent.setRange(2, 10);
    expect([ram.isPresent(1), ram.isPresent(2)]).toEqual([true, false]);
    expect(ram.firstAbsent(0, 2 * PAGE_SIZE)).toBe(-1);
    expect(ram.firstAbsent(PAGE_SIZE, PAGE_SIZE + 1)).toBe(2);
    ram.setPage(2, new Uint8Array(PAGE_SIZE).fill(3));
    ram.fillZero(3);
    expect(ram.absent.nextSet(0)).toBe(4);
    expect(ram.page(2)[PAGE_SIZE - 1]).toBe(3);
    ram.fillZero(2);
    expect(ram.isZeroPage(2)).toBe(true);
    expect(ram.page(2)[0]).toBe(0);
    ram.writablePage(2)[17] = 1;
    expect(ram.isZeroPage(2)).toBe(false);
    expect(() => ram.setPage(2, new Uint8Array(5))).toThrow('expected a page of 4096 bytes, got 5');
  });

  it('refuses what is outside', () => {
    const ram = small();
    expect(() => ram.write(SIZE - 1, new Uint8Array(2))).toThrow(
      'guest RAM: expected addresses below 0x18000, got 2 bytes at 0x17fff',
    );
    expect(() => ram.read(-1, new Uint8Array(1))).toThrow(RangeError);
    expect(() => ram.page(PAGES)).toThrow(RangeError);
    expect(() => ram.zeroRun(PAGES, 1)).toThrow(RangeError);
    expect(() => new GuestRam(5000)).toThrow('expected whole pages of 4096 bytes, got 5000 bytes');
  });
});

describe('PageDigests', () => {
  it('refuses bytes that are no list of pages', () => {
    const ram = small();
    ram.write(0, Uint8Array.of(1));
    ram.write(PAGE_SIZE, Uint8Array.of(1));
    const bytes = ram.pageDigests().toBytes();
    expect(() => PageDigests.fromBytes(bytes.subarray(0, 7))).toThrow(RangeError);
    expect(() => PageDigests.fromBytes(bytes.subarray(0, -1))).toThrow('expected 24 bytes, got 23');
    bytes[8] = 9;
    expect(() => PageDigests.fromBytes(bytes)).toThrow('expected a page after 9 and below 24, got 1');
    expect(() => ram.differingPages(new GuestRam(PAGE_SIZE))).toThrow('expected RAM of 24 pages, got 1');
  });
});
