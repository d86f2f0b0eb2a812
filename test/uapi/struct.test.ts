import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Fields, flexible, type Struct, struct } from '../../src/uapi/struct.js';
import { VFIO_STRUCTS } from '../../src/uapi/vfio-structs.js';

const ALL = VFIO_STRUCTS as unknown as readonly Struct<Fields>[];

const value = {
  u8: fc.integer({ min: 0, max: 0xff }),
  u16: fc.integer({ min: 0, max: 0xffff }),
  u32: fc.integer({ min: 0, max: 0xffff_ffff }),
  s32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  u64: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
};

/** Any value of a struct. */
const anyValueOf = (layout: Struct<Fields>) =>
  fc.record(
    Object.fromEntries(
      Object.entries(layout.fields).map(([name, type]) => [
        name,
        typeof type === 'string'
          ? value[type]
          : fc.uint8Array({ minLength: type.bytes, maxLength: type.bytes }),
      ]),
    ),
  );

const Mixed = struct('mixed', { a: 'u8', b: 'u16', c: 'u8', d: 'u64', e: 's32', f: { bytes: 3 } });

describe('layout', () => {
  it('aligns each field to its own size and rounds the struct up', () => {
    expect(Mixed.offsets).toEqual({ a: 0, b: 2, c: 4, d: 8, e: 16, f: 20 });
    expect(Mixed.size).toBe(24);
    expect(Mixed.alignment).toBe(8);
  });

  it('writes little endian unless told otherwise', () => {
    const one = struct('one', { a: 'u16', b: 's32' });
    expect([...one.encode({ a: 0x1234, b: -2 })]).toEqual([0x34, 0x12, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
    expect([...one.encode({ a: 0x1234, b: -2 }, { order: 'big' })]).toEqual([
      0x12, 0x34, 0, 0, 0xff, 0xff, 0xff, 0xfe,
    ]);
  });
});

describe('codec', () => {
  it.each([Mixed as unknown as Struct<Fields>, ...ALL].map((layout) => [layout.name, layout] as const))(
    '%s comes back as it was, in both orders and at any offset',
    (_name, layout) => {
      fc.assert(
        fc.property(
          anyValueOf(layout),
          fc.constantFrom('little', 'big'),
          fc.nat(9),
          (fields, order, offset) => {
            const bytes = layout.encode(fields as never, { order });
            expect(bytes.length).toBe(layout.size);
            const moved = Buffer.concat([Buffer.alloc(offset, 0xff), bytes, Buffer.alloc(3)]);
            expect(layout.decode(moved, { order, offset })).toEqual(fields);
          },
        ),
      );
    },
  );

  it.each(ALL.map((layout) => [layout.name, layout] as const))('%s says what is missing', (name, layout) => {
    const short = new Uint8Array(layout.size - 1);
    expect(() => layout.decode(short)).toThrow(
      new RangeError(`${name}: expected at least ${layout.size} bytes, got ${layout.size - 1}`),
    );
    expect(() => layout.decode(new Uint8Array(layout.size), { offset: 1 })).toThrow(RangeError);
  });

  it('refuses values that do not fit', () => {
    const one = struct('one', { a: 'u8', b: 'u64', c: { bytes: 2 } });
    const good = { a: 1, b: 1n, c: new Uint8Array(2) };
    expect(() => one.encode({ ...good, a: 256 })).toThrow(
      'one.a: expected an integer from 0 to 255, got 256',
    );
    expect(() => one.encode({ ...good, a: 1.5 })).toThrow(RangeError);
    expect(() => one.encode({ ...good, a: Number.NaN })).toThrow(RangeError);
    expect(() => one.encode({ ...good, b: -1n })).toThrow(RangeError);
    expect(() => one.encode({ ...good, b: 1n << 64n })).toThrow(RangeError);
    expect(() => one.encode({ ...good, c: new Uint8Array(3) })).toThrow('one.c: expected 2 bytes, got 3');
    expect(() => one.encode({ a: 1 } as never)).toThrow('one.b: expected an integer');
  });

  it('keeps no view of what it read', () => {
    const one = struct('one', { a: { bytes: 2 } });
    const bytes = Uint8Array.of(1, 2);
    const { a } = one.decode(bytes);
    bytes.fill(9);
    expect([...a]).toEqual([1, 2]);
  });
});

describe('flexible arrays', () => {
  const list = flexible(struct('list', { n: 'u32' }), struct('item', { a: 'u64' }), 'n');

  it('begins at the alignment of the elements', () => {
    expect(list.itemsOffset).toBe(8);
    expect(list.sizeFor(3)).toBe(32);
  });

  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(value.u64, { maxLength: 20 }), (values) => {
        const items = values.map((a) => ({ a }));
        const whole = { head: { n: items.length }, items };
        expect(list.decode(list.encode(whole))).toEqual(whole);
      }),
    );
  });

  it('refuses a count that lies', () => {
    expect(() => list.encode({ head: { n: 2 }, items: [] })).toThrow('list.n: expected 0 items, got 2');
    const bytes = list.encode({ head: { n: 1 }, items: [{ a: 1n }] });
    expect(() => list.decode(bytes.subarray(0, 15))).toThrow(
      'list with 1 items: expected at least 16 bytes, got 15',
    );
    bytes.fill(0xff, 0, 4);
    expect(() => list.decode(bytes)).toThrow(RangeError);
  });
});
