/**
 * Layout and codec of C structs, from a list of fields in the order of the header.
 *
 * Each field stands at the next multiple of its own size and the struct's size is rounded up to its
 * widest field: the rule of the C ABIs that Linux headers are written for (`__u64` in a uAPI struct
 * is `__aligned_u64` or stands at a multiple of 8, so 32-bit x86 gives the same numbers).
 */

/** A field: an integer, or a run of bytes that is copied as it is. */
export type FieldType = 'u8' | 'u16' | 'u32' | 's32' | 'u64' | { readonly bytes: number };

/** What a field holds in JavaScript: `bigint` for `u64`, bytes for a run of bytes, else `number`. */
export type FieldValue<T extends FieldType> = T extends 'u64'
  ? bigint
  : T extends { readonly bytes: number }
    ? Uint8Array
    : number;

/** Fields by name; the order of the keys is the order in memory. */
export type Fields = Readonly<Record<string, FieldType>>;

/** The decoded form of a struct. */
export type StructValue<F extends Fields> = { [K in keyof F]: FieldValue<F[K]> };

/** How a struct is read. */
export interface CodecOptions {
  /** Byte order; default `little`, the host order of x86 and arm64. */
  order?: 'little' | 'big';
  /** Where the struct begins in the given bytes; default 0. */
  offset?: number;
}

/** One fixed-size struct. */
export interface Struct<F extends Fields> {
  /** Name in the header, for messages and documentation. */
  readonly name: string;
  readonly fields: F;
  /** `sizeof`, in bytes. */
  readonly size: number;
  /** Alignment in bytes. */
  readonly alignment: number;
  /** `offsetof` each field, in bytes. */
  readonly offsets: { readonly [K in keyof F]: number };
  /**
   * The struct as bytes; padding is zero.
   * @throws RangeError when a value does not fit its field
   */
  encode(value: StructValue<F>, options?: Pick<CodecOptions, 'order'>): Uint8Array;
  /**
   * Reads the struct from `bytes`; what follows it is left alone. Byte runs are copies.
   * @throws RangeError when fewer bytes are there than the struct has
   */
  decode(bytes: Uint8Array, options?: CodecOptions): StructValue<F>;
}

/** The type of the values of a struct: `ValueOf<typeof MigState>`. */
export type ValueOf<S> = S extends Struct<infer F> ? StructValue<F> : never;

const WIDTH = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 } as const;

const LIMITS: Readonly<Record<keyof typeof WIDTH, readonly [bigint, bigint]>> = {
  u8: [0n, 0xffn],
  u16: [0n, 0xffffn],
  u32: [0n, 0xffff_ffffn],
  s32: [-0x8000_0000n, 0x7fff_ffffn],
  u64: [0n, 0xffff_ffff_ffff_ffffn],
};

/** Bytes of a field of this type. */
export function sizeOf(type: FieldType): number {
  return typeof type === 'string' ? WIDTH[type] : type.bytes;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** Throws the one error of this module. */
function refuse(what: string, expected: string, got: unknown): never {
  throw new RangeError(`${what}: expected ${expected}, got ${String(got)}`);
}

/** Checks that `bytes` holds `size` bytes from `offset` on. */
export function needBytes(what: string, bytes: Uint8Array, size: number, offset = 0): void {
  const have = Math.max(0, bytes.length - offset);
  if (have < size) refuse(what, `at least ${size} bytes`, have);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function put(
  at: DataView,
  offset: number,
  type: FieldType,
  value: unknown,
  what: string,
  little: boolean,
): void {
  if (typeof type !== 'string') {
    if (!(value instanceof Uint8Array) || value.length !== type.bytes) {
      refuse(what, `${type.bytes} bytes`, value instanceof Uint8Array ? value.length : typeof value);
    }
    new Uint8Array(at.buffer, at.byteOffset + offset, type.bytes).set(value);
    return;
  }
  const [low, high] = LIMITS[type];
  const whole = typeof value === 'bigint' || Number.isInteger(value);
  const big = whole ? BigInt(value as number | bigint) : undefined;
  if (big === undefined || big < low || big > high) refuse(what, `an integer from ${low} to ${high}`, value);
  if (type === 'u64') at.setBigUint64(offset, big, little);
  else if (type === 'u8') at.setUint8(offset, Number(big));
  else if (type === 'u16') at.setUint16(offset, Number(big), little);
  else if (type === 's32') at.setInt32(offset, Number(big), little);
  else at.setUint32(offset, Number(big), little);
}

function get(at: DataView, offset: number, type: FieldType, little: boolean): number | bigint | Uint8Array {
  if (typeof type !== 'string') {
    return new Uint8Array(at.buffer, at.byteOffset + offset, type.bytes).slice();
  }
  if (type === 'u64') return at.getBigUint64(offset, little);
  if (type === 'u8') return at.getUint8(offset);
  if (type === 'u16') return at.getUint16(offset, little);
  if (type === 's32') return at.getInt32(offset, little);
  return at.getUint32(offset, little);
}

/**
 * Lays a struct out.
 * @param name name in the header
 * @param fields fields in the header's order
 */
export function struct<const F extends Fields>(name: string, fields: F): Struct<F> {
  const offsets: Record<string, number> = {};
  let end = 0;
  let alignment = 1;
  for (const [key, type] of Object.entries(fields)) {
    const own = typeof type === 'string' ? WIDTH[type] : 1;
    alignment = Math.max(alignment, own);
    offsets[key] = alignUp(end, own);
    end = offsets[key] + sizeOf(type);
  }
  const size = alignUp(end, alignment);
  const entries = Object.entries(fields).map(([key, type]) => ({ key, type, offset: offsets[key]! }));
  return {
    name,
    fields,
    size,
    alignment,
    offsets: offsets as Struct<F>['offsets'],
    encode(value, { order = 'little' } = {}) {
      const bytes = new Uint8Array(size);
      const at = view(bytes);
      for (const { key, type, offset } of entries) {
        put(at, offset, type, (value as Record<string, unknown>)[key], `${name}.${key}`, order === 'little');
      }
      return bytes;
    },
    decode(bytes, { order = 'little', offset = 0 } = {}) {
      needBytes(name, bytes, size, offset);
      const at = view(bytes);
      const out: Record<string, unknown> = {};
      for (const field of entries) {
        out[field.key] = get(at, offset + field.offset, field.type, order === 'little');
      }
      return out as StructValue<F>;
    },
  };
}

/** A struct that ends in a flexible array of structs (`struct x items[]`). */
export interface FlexibleStruct<H extends Fields, E extends Fields> {
  readonly name: string;
  readonly head: Struct<H>;
  readonly element: Struct<E>;
  /** Offset of the first element: the head's size, for the alignments that the headers use. */
  readonly itemsOffset: number;
  /** Bytes of the whole with so many elements. */
  sizeFor(count: number): number;
  /** @throws RangeError when a value does not fit, or the head's count is not the number of items */
  encode(
    value: { head: StructValue<H>; items: readonly StructValue<E>[] },
    options?: Pick<CodecOptions, 'order'>,
  ): Uint8Array;
  /** @throws RangeError when fewer bytes are there than the head's count asks for */
  decode(bytes: Uint8Array, options?: CodecOptions): { head: StructValue<H>; items: StructValue<E>[] };
}

/**
 * A struct with a flexible array at its end.
 * @param count name of the head's field that counts the elements
 */
export function flexible<H extends Fields, E extends Fields>(
  head: Struct<H>,
  element: Struct<E>,
  count: keyof H & string,
): FlexibleStruct<H, E> {
  const itemsOffset = alignUp(head.size, element.alignment);
  const sizeFor = (items: number) => itemsOffset + items * element.size;
  return {
    name: head.name,
    head,
    element,
    itemsOffset,
    sizeFor,
    encode({ head: value, items }, options = {}) {
      const claimed = Number((value as Record<string, unknown>)[count]);
      if (claimed !== items.length) refuse(`${head.name}.${count}`, `${items.length} items`, claimed);
      const bytes = new Uint8Array(sizeFor(items.length));
      bytes.set(head.encode(value, options));
      items.forEach((item, index) => {
        bytes.set(element.encode(item, options), sizeFor(index));
      });
      return bytes;
    },
    decode(bytes, options = {}) {
      const offset = options.offset ?? 0;
      const value = head.decode(bytes, options);
      const items = Number((value as Record<string, unknown>)[count]);
      needBytes(`${head.name} with ${items} items`, bytes, sizeFor(items), offset);
      const out: StructValue<E>[] = [];
      for (let index = 0; index < items; index++) {
        out.push(element.decode(bytes, { ...options, offset: offset + sizeFor(index) }));
      }
      return { head: value, items: out };
    },
  };
}
