import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bitmapBytes, DirtyBitmap } from '../../src/uapi/dirty-bitmap.js';

const shift = (min: number, max: number) => fc.integer({ min, max }).map((bits) => 1n << BigInt(bits));

/** A range of up to a few hundred units anywhere in 2^64 bytes. */
const range = fc
  .record({
    pageSize: shift(0, 30),
    units: fc.integer({ min: 1, max: 300 }),
    cut: fc.bigInt({ min: 0n, max: 1n << 29n }),
    at: fc.bigInt({ min: 0n, max: 1n << 63n }),
  })
  .map(({ pageSize, units, cut, at }) => ({
    pageSize,
    iova: at,
    length: BigInt(units) * pageSize - (cut % pageSize),
  }));

const marked = fc.tuple(range, fc.array(fc.nat(), { maxLength: 40 })).map(([r, wanted]) => {
  const bitmap = new DirtyBitmap(r);
  const indices = [...new Set(wanted.map((index) => index % bitmap.bits))].sort((a, b) => a - b);
  for (const index of indices) bitmap.set(index);
  return { bitmap, indices };
});

describe('a dirty bitmap', () => {
  it('puts bit k at word k / 64, bit k % 64', () => {
    fc.assert(
      fc.property(range, fc.nat(), (r, n) => {
        const bitmap = new DirtyBitmap(r);
        const k = n % bitmap.bits;
        bitmap.set(k);
        const words = new DataView(bitmap.bytes.buffer, bitmap.bytes.byteOffset, bitmap.bytes.length);
        expect(words.getBigUint64(Math.floor(k / 64) * 8, true)).toBe(1n << BigInt(k % 64));
        expect(bitmap.indexOf(bitmap.addressOf(k))).toBe(k);
      }),
    );
  });

  it('counts and lists what was set', () => {
    fc.assert(
      fc.property(marked, ({ bitmap, indices }) => {
        expect([...bitmap]).toEqual(indices);
        expect(bitmap.count()).toBe(indices.length);
        for (const index of indices) expect(bitmap.test(index)).toBe(true);
      }),
    );
  });

  it('marks every unit that a write touches, and no other', () => {
    fc.assert(
      fc.property(
        range,
        fc.bigInt({ min: -64n, max: 1n << 38n }),
        fc.bigInt({ min: 0n, max: 1n << 34n }),
        (r, from, size) => {
          const start = r.iova + from < 0n ? 0n : r.iova + from;
          const bitmap = new DirtyBitmap(r);
          bitmap.mark(start, size);
          for (let k = 0; k < bitmap.bits; k++) {
            const low = bitmap.addressOf(k);
            const before = start < low + r.pageSize && start < r.iova + r.length;
            expect(bitmap.test(k)).toBe(size > 0n && before && start + size > low);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('replicates larger pages and joins smaller ones', () => {
    const coarse = new DirtyBitmap({ iova: 0x10000n, length: 0x10000n, pageSize: 0x4000n });
    coarse.set(1);
    expect([...coarse.withPageSize(0x1000n)]).toEqual([4, 5, 6, 7]);
    expect([...coarse.withPageSize(0x8000n)]).toEqual([0]);
    fc.assert(
      fc.property(marked, shift(0, 12), ({ bitmap }, factor) => {
        const joined = bitmap.withPageSize(bitmap.range.pageSize * factor);
        expect([...joined]).toEqual([...new Set([...bitmap].map((k) => Math.floor(k / Number(factor))))]);
      }),
    );
  });

  it('merges by setting bits only', () => {
    fc.assert(
      fc.property(marked, fc.array(fc.nat()), ({ bitmap, indices }, more) => {
        const other = new DirtyBitmap(bitmap.range);
        for (const index of more) other.set(index % other.bits);
        bitmap.merge(other);
        const all = new Set([...indices, ...more.map((index) => index % other.bits)]);
        expect([...bitmap]).toEqual([...all].sort((a, b) => a - b));
      }),
    );
    const one = new DirtyBitmap({ iova: 0n, length: 10n, pageSize: 1n });
    expect(() => one.merge(new DirtyBitmap({ iova: 0n, length: 11n, pageSize: 1n }))).toThrow(RangeError);
  });

  it('looks at memory that others fill, and not behind the last unit', () => {
    const bytes = new Uint8Array(16).fill(0xff);
    const bitmap = new DirtyBitmap({ iova: 0n, length: 70n, pageSize: 1n }, bytes);
    expect(bitmap.count()).toBe(70);
    expect([...bitmap]).toHaveLength(70);
    bytes[0] = 0;
    expect(bitmap.count()).toBe(62);
  });

  it('takes whole words', () => {
    expect([0, 1, 64, 65].map(bitmapBytes)).toEqual([0, 8, 8, 16]);
    expect(() => new DirtyBitmap({ iova: 0n, length: 65n, pageSize: 1n }, new Uint8Array(8))).toThrow(
      'dirty bitmap: expected at least 16 bytes, got 8',
    );
  });

  it('refuses what makes no sense', () => {
    const make = (iova: bigint, length: bigint, pageSize: bigint) => () =>
      new DirtyBitmap({ iova, length, pageSize });
    expect(make(0n, 1n, 0n)).toThrow(RangeError);
    expect(make(0n, 0n, 1n)).toThrow(RangeError);
    expect(make((1n << 64n) - 1n, 2n, 1n)).toThrow(RangeError);
    expect(make(0n, 1n << 40n, 1n)).toThrow(RangeError);
    const bitmap = make(4096n, 8192n, 4096n)();
    for (const index of [-1, 2, 0.5]) expect(() => bitmap.test(index)).toThrow(RangeError);
    expect(() => bitmap.indexOf(4095n)).toThrow('got 0xfff');
    expect(() => bitmap.indexOf(12288n)).toThrow(RangeError);
  });
});
