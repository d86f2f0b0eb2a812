/**
 * Layouts as data: where each field stands, what it holds, and how sure that is. Codecs, `describe` and the
 * documentation are made from the same tables. All numbers are little endian, and nothing is aligned that
 * the table does not align.
 */

/**
 * How sure a fact is. `read`: the text of the published source says so. `concluded`: follows from source
 * that was read, such as an offset that a compiler gave, or the order of bit-fields. `memory`: neither.
 */
export type Certainty = 'read' | 'concluded' | 'memory';

/** A field: a number, a run of bytes, or an array of numbers when it has `dims`. */
export interface LayoutField {
  readonly name: string;
  /** From the beginning of the image or record, in bytes. */
  readonly offset: number;
  /** `mac` is six bytes; `bytes` are as many as `dims` says. */
  readonly type: 'u8' | 'u16' | 'u32' | 'u64' | 'mac' | 'bytes';
  /** Lengths of an array, outermost first. */
  readonly dims?: readonly [number] | readonly [number, number];
  /** Names of single bits, the lowest first; the others are reserved. */
  readonly bits?: readonly string[];
  /** Numbers are shown in hexadecimal. */
  readonly hex?: boolean;
  readonly meaning: string;
  readonly certainty: Certainty;
}

type Scalar<F extends LayoutField> = F['type'] extends 'u64'
  ? bigint
  : F['type'] extends 'mac' | 'bytes'
    ? Uint8Array
    : number;

/** What a field holds: bits by name, bytes, arrays, else a number (`bigint` for `u64`). */
export type FieldValue<F extends LayoutField> = F extends { bits: readonly (infer B extends string)[] }
  ? { [N in B]: boolean }
  : F extends { type: 'bytes' }
    ? Uint8Array
    : F extends { dims: readonly [number, number] }
      ? Scalar<F>[][]
      : F extends { dims: readonly [number] }
        ? Scalar<F>[]
        : Scalar<F>;

/** The decoded form of a table of fields. */
export type LayoutValue<T extends readonly LayoutField[]> = {
  -readonly [F in T[number] as F['name']]: FieldValue<F>;
};

/** What `decodeFields` gives when the table is not known at compile time. */
export type AnyValue = Record<string, unknown>;

const WIDTH = { u8: 1, u16: 2, u32: 4, u64: 8, mac: 6, bytes: 1 } as const;

/** Bytes of one element of a field. */
export function elementSize({ type }: LayoutField): number {
  return WIDTH[type];
}

const lengths = (dims: LayoutField['dims']): readonly number[] => dims ?? [];

/** Elements of a field: 1 unless it is an array. */
export function elementCount({ dims }: Pick<LayoutField, 'dims'>): number {
  return lengths(dims).reduce((product, length) => product * length, 1);
}

/** Bytes of a field. */
export function fieldSize(field: LayoutField): number {
  return elementSize(field) * elementCount(field);
}

/** Bytes from the beginning to the end of the last field. */
export function layoutSize(fields: readonly LayoutField[]): number {
  return Math.max(0, ...fields.map((field) => field.offset + fieldSize(field)));
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Reads the fields of a table; `bytes` holds at least `layoutSize` from `base` on. Reserved bits of a field
 * with `bits` are left out: `reservedBits` tells them.
 */
export function decodeFields<const T extends readonly LayoutField[]>(
  fields: T,
  bytes: Uint8Array,
  base = 0,
): LayoutValue<T> {
  const view = viewOf(bytes);
  return Object.fromEntries(
    fields.map((field) => [field.name, decodeField(field, view, base + field.offset)]),
  ) as LayoutValue<T>;
}

function decodeField(field: LayoutField, view: DataView, at: number): unknown {
  const { type, dims, bits } = field;
  if (type === 'bytes' || (type === 'mac' && !dims)) return copyOf(view, at, fieldSize(field));
  const size = elementSize(field);
  const element = (index: number): unknown => {
    const place = at + index * size;
    return type === 'mac' ? copyOf(view, place, size) : number(view, type, place);
  };
  if (bits)
    return Object.fromEntries(bits.map((name, bit) => [name, ((element(0) as number) & (1 << bit)) !== 0]));
  if (!dims) return element(0);
  const [first, second] = dims;
  if (second === undefined) return Array.from({ length: first }, (_, index) => element(index));
  return Array.from({ length: first }, (_, row) =>
    Array.from({ length: second }, (_, column) => element(row * second + column)),
  );
}

/** Bytes of their own, and plain ones: `slice` of a `Buffer` is neither. */
function copyOf(view: DataView, at: number, size: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, size).slice();
}

function number(view: DataView, type: 'u8' | 'u16' | 'u32' | 'u64', at: number): number | bigint {
  if (type === 'u8') return view.getUint8(at);
  if (type === 'u16') return view.getUint16(at, true);
  if (type === 'u32') return view.getUint32(at, true);
  return view.getBigUint64(at, true);
}

/** The bits of a field with `bits` that have no name and are set; 0 when all is well. */
export function reservedBits(field: LayoutField, bytes: Uint8Array, base = 0): number {
  const named = (1 << (field.bits?.length ?? 8)) - 1;
  return bytes[base + field.offset]! & ~named & 0xff;
}

/**
 * Writes the fields of a table into `bytes`.
 * @throws RangeError naming the field whose value does not fit
 */
export function encodeFields(
  fields: readonly LayoutField[],
  value: object,
  bytes: Uint8Array,
  base = 0,
): void {
  const view = viewOf(bytes);
  for (const field of fields)
    encodeField(field, (value as AnyValue)[field.name], bytes, view, base + field.offset);
}

function encodeField(
  field: LayoutField,
  value: unknown,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): void {
  const { name, type, dims, bits } = field;
  if (bits) {
    const set = value as Record<string, boolean>;
    bytes[at] = bits.reduce((sum, bit, index) => sum | (set[bit] ? 1 << index : 0), 0);
    return;
  }
  const size = elementSize(field);
  const elements = type === 'bytes' ? [value] : ((dims ? flat(value) : [value]) as unknown[]);
  const wanted = type === 'bytes' ? 1 : elementCount(field);
  if (elements.length !== wanted) throw wrong(name, `${wanted} elements`, elements.length);
  for (const [index, element] of elements.entries()) {
    const place = at + index * size;
    if (type === 'mac' || type === 'bytes')
      putBytes(name, element, type === 'mac' ? size : fieldSize(field), bytes, place);
    else putNumber(name, type, element, view, place);
  }
}

const flat = (value: unknown): unknown[] =>
  Array.isArray(value) ? value.flatMap((each) => (Array.isArray(each) ? each : [each])) : [];

const wrong = (name: string, expected: string, got: unknown): RangeError =>
  new RangeError(`${name}: expected ${expected}, got ${String(got)}`);

function putBytes(name: string, value: unknown, size: number, bytes: Uint8Array, at: number): void {
  if (!(value instanceof Uint8Array) || value.length !== size)
    throw wrong(name, `${size} bytes`, value instanceof Uint8Array ? value.length : typeof value);
  bytes.set(value, at);
}

function putNumber(
  name: string,
  type: 'u8' | 'u16' | 'u32' | 'u64',
  value: unknown,
  view: DataView,
  at: number,
): void {
  const whole = typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
  const big = whole ? BigInt(value) : -1n;
  const top = 1n << BigInt(WIDTH[type] * 8);
  if (big < 0n || big >= top) throw wrong(name, `an integer from 0 to ${top - 1n}`, value);
  if (type === 'u64') view.setBigUint64(at, big, true);
  else if (type === 'u32') view.setUint32(at, Number(big), true);
  else if (type === 'u16') view.setUint16(at, Number(big), true);
  else view.setUint8(at, Number(big));
}

/** One field of an image, for people and for JSON. */
export interface ImageRow {
  /** From the beginning of the image, in bytes. */
  readonly offset: number;
  readonly size: number;
  /** Such as `rx_tail` or `TX_QUEUE[2].head`. */
  readonly name: string;
  /** Such as `u32[256]`. */
  readonly type: string;
  /** The value in words: numbers, `0x` numbers, names of set bits, a MAC, bytes in hexadecimal. */
  readonly value: string;
  readonly meaning: string;
  readonly certainty: Certainty;
}

/** The rows of a table of fields. */
export function describeFields(
  fields: readonly LayoutField[],
  bytes: Uint8Array,
  base = 0,
  prefix = '',
): ImageRow[] {
  const values: AnyValue = decodeFields(fields, bytes, base);
  return fields.map((field) => ({
    offset: base + field.offset,
    size: fieldSize(field),
    name: prefix + field.name,
    type: typeName(field),
    value: words(field, values[field.name]),
    meaning: field.meaning,
    certainty: field.certainty,
  }));
}

/** `u32[4][65]` and the like. */
export function typeName({ type, dims }: Pick<LayoutField, 'type' | 'dims'>): string {
  return (
    type +
    lengths(dims)
      .map((length) => `[${length}]`)
      .join('')
  );
}

function words(field: LayoutField, value: unknown): string {
  if (value instanceof Uint8Array) return hexBytes(value, field.type === 'mac' ? ':' : ' ');
  if (Array.isArray(value)) return `[${value.map((each) => words(field, each)).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return (
      Object.entries(value)
        .flatMap(([name, set]) => (set ? [name] : []))
        .join(' ') || 'none'
    );
  return field.hex ? `0x${(value as number | bigint).toString(16)}` : String(value);
}

/** Bytes as pairs of hexadecimal digits. */
export function hexBytes(bytes: Uint8Array, separator = ' '): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(separator);
}
