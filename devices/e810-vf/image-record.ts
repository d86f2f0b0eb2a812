/**
 * One record of an image, in both directions: type, length, fields, tail, padding. What records there are
 * stands in `image-b-layout.ts` (published) and `image-extension-layout.ts` (beyond that).
 */
import {
  B_ALIGNMENT,
  B_RECORD_FIELDS,
  B_RECORD_HEADER,
  IMAGE_B_RECORDS,
  padded,
  type RecordLayout,
  type RecordTail,
  recordDataSize,
  tailElements,
} from './image-b-layout.js';
import { ImageError, type ImageProblem } from './image-error.js';
import { EXTENSION_RECORDS } from './image-extension-layout.js';
import {
  type AnyValue,
  decodeFields,
  describeFields,
  encodeFields,
  type FieldValue,
  type ImageRow,
  type LayoutField,
  type LayoutValue,
  layoutSize,
  reservedBits,
} from './layout.js';

/** Every type that there is, by its number. */
export const RECORD_LAYOUTS = [...IMAGE_B_RECORDS, ...EXTENSION_RECORDS] as const;

type Layout = (typeof RECORD_LAYOUTS)[number];
/** The name of a type of record. */
export type RecordName = Layout['name'];
type LayoutOf<N extends RecordName> = Extract<Layout, { name: N }>;
type Elements<T> = T extends readonly [infer F extends LayoutField]
  ? FieldValue<F>[]
  : T extends readonly LayoutField[]
    ? LayoutValue<T>[]
    : never;
type TailOf<L> = L extends { tail: { name: infer N extends string; element: infer T } }
  ? { [K in N]: Elements<T> }
  : unknown;
type CountOf<L> = L extends { tail: { per: 1; countedBy: infer C extends string } } ? C : never;

/** What a record holds. A count that only says how long the tail is comes from the tail. */
export type RecordValue<N extends RecordName> = Omit<
  LayoutValue<LayoutOf<N>['fields']>,
  CountOf<LayoutOf<N>>
> &
  TailOf<LayoutOf<N>>;

const BY_NAME = Object.fromEntries(
  RECORD_LAYOUTS.map((layout) => [layout.name, layout]),
) as unknown as Record<RecordName, RecordLayout>;

/**
 * One record with its padding. For tests and faulty personalities too: nothing is checked but that values fit
 * their fields, and that a bitmap has as many words as its count says.
 */
export function encodeRecord<N extends RecordName>(name: N, value: RecordValue<N> | object): Uint8Array {
  const layout = BY_NAME[name];
  const { fields, tail } = layout;
  const given = value as AnyValue;
  const elements = tail === null ? [] : (given[tail.name] as unknown[]);
  const whole = tail?.per === 1 ? { ...given, [tail.countedBy]: elements.length } : given;
  if (tail !== null && tailElements(tail, whole[tail.countedBy] as number) !== elements.length)
    throw new RangeError(
      `${tail.name}: expected as many elements as ${tail.countedBy} asks for, got ${elements.length}`,
    );
  const size = padded(recordDataSize(layout, elements.length));
  const bytes = new Uint8Array(B_RECORD_HEADER + size);
  encodeFields(B_RECORD_FIELDS, { type: layout.type, len: size }, bytes);
  encodeFields(fields, whole, bytes, B_RECORD_HEADER);
  let at = B_RECORD_HEADER + layoutSize(fields);
  for (const element of elements) {
    if (tail === null) break;
    const [only, second] = tail.element;
    encodeFields(
      tail.element,
      second === undefined ? { [only!.name]: element } : (element as object),
      bytes,
      at,
    );
    at += layoutSize(tail.element);
  }
  return bytes;
}

/** A record in its frame. */
export interface RecordB {
  /** Where the record begins, in bytes. */
  readonly offset: number;
  readonly layout: RecordLayout;
  readonly data: Uint8Array;
}

const refuse = (problem: ImageProblem, code: string, offset: number, words: string): ImageError =>
  new ImageError(problem, code, offset, words);

/**
 * The frame of the record at `offset`: a whole one, of a known type, and HEADER if it is the first of `bytes`.
 * @param known the first type that the reader or the sender does not know
 * @throws ImageError ENOSPC, EBADMSG or EPROTONOSUPPORT; `truncated` when the bytes end before the record does
 */
export function frameOfRecord(bytes: Uint8Array, offset: number, known: number): RecordB {
  const room = bytes.length - offset;
  if (room < B_RECORD_HEADER)
    throw refuse(
      'truncated',
      'ENOSPC',
      bytes.length,
      `no END, and no room for a record in the last ${room} bytes`,
    );
  const { type, len } = decodeFields(B_RECORD_FIELDS, bytes, offset);
  if (room < B_RECORD_HEADER + len)
    throw refuse(
      'truncated',
      'ENOSPC',
      bytes.length,
      `${nameOf(type)} has ${len} bytes, and ${room - B_RECORD_HEADER} are there`,
    );
  const layout = layoutOfRecord(bytes, offset, known);
  return { offset, layout, data: bytes.subarray(offset + B_RECORD_HEADER, offset + B_RECORD_HEADER + len) };
}

const nameOf = (type: number): string =>
  (RECORD_LAYOUTS[type] as RecordLayout | undefined)?.name ?? `record of type ${type}`;

/**
 * The layout of the record whose type and length stand at `offset`; its data need not be there.
 * @param known the first type that the reader or the sender does not know
 * @throws ImageError ENOSPC, EBADMSG or EPROTONOSUPPORT
 */
export function layoutOfRecord(bytes: Uint8Array, offset: number, known: number): RecordLayout {
  const { type, len } = decodeFields(B_RECORD_FIELDS, bytes, offset);
  const layout: RecordLayout | undefined = RECORD_LAYOUTS[type];
  const name = nameOf(type);
  if (len % B_ALIGNMENT !== 0)
    throw refuse('alignment', 'ENOSPC', offset + 2, `${name} has ${len} bytes, which is no multiple of 4`);
  if (offset === 0 && name !== 'HEADER')
    throw refuse('no-header', 'EBADMSG', 0, `the first record is ${name}`);
  if (layout === undefined || type >= known)
    throw refuse('unknown-type', 'EPROTONOSUPPORT', offset, `type ${type}; below ${known} are known`);
  return layout;
}

/** The data of a record, of which every byte is accounted for. */
export function decodeRecord({ layout, offset, data }: RecordB): AnyValue {
  const { name, fields, tail } = layout;
  const at = offset + B_RECORD_HEADER;
  const least = layoutSize(fields);
  if (data.length < least)
    throw refuse('length', 'EINVAL', at, `${name} has ${data.length} bytes, and its fields take ${least}`);
  const value: AnyValue = decodeFields(fields, data);
  const elements = tail === null ? 0 : tailElements(tail, value[tail.countedBy] as number);
  const size = recordDataSize(layout, elements);
  if (padded(size) !== data.length)
    throw refuse(
      'length',
      'EINVAL',
      at,
      `${name} has ${data.length} bytes, and ${padded(size)} are right for it`,
    );
  for (const field of fields.filter(({ bits }) => bits !== undefined))
    if (reservedBits(field, data) !== 0)
      throw refuse('not-zero', 'EINVAL', at + field.offset, `reserved bits of ${name} are set`);
  const padding = data.subarray(size).findIndex((byte) => byte !== 0);
  if (padding >= 0)
    throw refuse('not-zero', 'EINVAL', at + size + padding, `${name} is not padded with zeros`);
  if (tail === null) return value;
  if (tail.per === 1) delete value[tail.countedBy];
  value[tail.name] = tailOf(tail, data, least, elements);
  return value;
}

/**
 * The data of a record as the published loader reads it: nothing is checked, and what the record lacks is
 * taken from what follows it, then from zeros. Of a tail there are no more elements than the bytes can hold.
 */
export function looseRecord<N extends RecordName>(bytes: Uint8Array, record: RecordB): RecordValue<N> {
  const { fields, tail } = record.layout;
  const at = record.offset + B_RECORD_HEADER;
  const least = layoutSize(fields);
  const behind = bytes.subarray(at);
  const head = new Uint8Array(least);
  head.set(behind.subarray(0, least));
  const value: AnyValue = decodeFields(fields, head);
  if (tail !== null) {
    const room = Math.max(0, Math.floor((behind.length - least) / layoutSize(tail.element)));
    const elements = Math.min(room, tailElements(tail, value[tail.countedBy] as number));
    value[tail.name] = tailOf(tail, behind, least, elements);
  }
  return value as RecordValue<N>;
}

function tailOf({ element }: RecordTail, data: Uint8Array, least: number, elements: number): unknown[] {
  const stride = layoutSize(element);
  return Array.from({ length: elements }, (_, index) => {
    const each: AnyValue = decodeFields(element, data, least + index * stride);
    return element.length === 1 ? each[element[0]!.name] : each;
  });
}

/** The rows of a record whose frame is sound, as far as its data goes. */
export function describeRecord(
  bytes: Uint8Array,
  { layout, offset, data }: RecordB,
  prefix: string,
): ImageRow[] {
  const at = offset + B_RECORD_HEADER;
  const least = layoutSize(layout.fields);
  const rows = describeFields(B_RECORD_FIELDS, bytes, offset, prefix);
  if (data.length < least) return rows;
  rows.push(...describeFields(layout.fields, bytes, at, prefix));
  const { tail } = layout;
  if (tail === null) return rows;
  const count = (decodeFields(layout.fields, data) as AnyValue)[tail.countedBy] as number;
  const stride = layoutSize(tail.element);
  const elements = Math.min(tailElements(tail, count), Math.floor((data.length - least) / stride));
  const [only, second] = tail.element;
  if (second === undefined && only!.type !== 'mac' && elements > 0)
    return [
      ...rows,
      ...describeFields([{ ...only!, name: tail.name, dims: [elements] }], bytes, at + least, prefix),
    ];
  for (let index = 0; index < elements; index++) {
    const name = `${prefix}${tail.name}[${index}]`;
    const described = describeFields(tail.element, bytes, at + least + index * stride, `${name}.`);
    rows.push(...(second === undefined ? described.map((row) => ({ ...row, name })) : described));
  }
  return rows;
}
