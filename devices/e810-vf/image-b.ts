/**
 * Device state of generation B: type-length-value records that the PF driver makes of its own structures and
 * of registers. Layout: `image-b-layout.ts`.
 *
 * This is the form only. The published loader checks less than `decodeImageB` (`recordsOfImageB` checks what
 * it does); when and how the state is applied belongs to the device and its personality.
 */
import {
  B_ALIGNMENT,
  B_NUM_TYPES,
  B_RECORD_FIELDS,
  B_RECORD_HEADER,
  IMAGE_B_RECORDS,
  padded,
  type RecordLayout,
  recordDataSize,
  tailElements,
} from './image-b-layout.js';
import {
  generationOf,
  IMAGE_FILE_SIZE,
  IMAGE_MAGIC,
  IMAGE_VERSION,
  ImageError,
  type ImageProblem,
  imageErrorOf,
} from './image-error.js';
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

type Layouts = typeof IMAGE_B_RECORDS;
/** The name of a type of record. */
export type RecordName = Layouts[number]['name'];
type LayoutOf<N extends RecordName> = Extract<Layouts[number], { name: N }>;
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

/** The state. Queues and vectors keep their order. */
export interface ImageB {
  /** The first type that the sender does not know; 11 for the published one. */
  numSupportedTlvs: number;
  vfInfo: RecordValue<'VF_INFO'>;
  msixRegs: RecordValue<'MSIX_REGS'>[];
  /** Null when the PF has RSS switched off. */
  rss: RecordValue<'RSS'> | null;
  /** Empty: there is no such record. */
  vlans: RecordValue<'VLAN_FILTERS'>['vlans'];
  macs: RecordValue<'MAC_FILTERS'>['macs'];
  /** Queues that are configured, also when they are disabled. */
  rxQueues: RecordValue<'RX_QUEUE'>[];
  txQueues: RecordValue<'TX_QUEUE'>[];
  mbxRegs: RecordValue<'MBX_REGS'>;
  stats: RecordValue<'STATS'>;
}

const BY_NAME = Object.fromEntries(
  IMAGE_B_RECORDS.map((layout) => [layout.name, layout]),
) as unknown as Record<RecordName, RecordLayout>;

/**
 * The image in the order that the published driver writes; its end is the end of the stream.
 * @throws ImageError ENOBUFS when it is larger than 128 KiB
 * @throws RangeError naming the field whose value does not fit
 */
export function encodeImageB(image: ImageB): Uint8Array {
  const header = { magic: IMAGE_MAGIC, version: IMAGE_VERSION, num_supported_tlvs: image.numSupportedTlvs };
  const records = [
    encodeRecord('HEADER', header),
    encodeRecord('VF_INFO', image.vfInfo),
    ...image.msixRegs.map((each) => encodeRecord('MSIX_REGS', each)),
    ...(image.rss ? [encodeRecord('RSS', image.rss)] : []),
    ...(image.vlans.length > 0 ? [encodeRecord('VLAN_FILTERS', { vlans: image.vlans })] : []),
    ...(image.macs.length > 0 ? [encodeRecord('MAC_FILTERS', { macs: image.macs })] : []),
    ...image.rxQueues.map((each) => encodeRecord('RX_QUEUE', each)),
    ...image.txQueues.map((each) => encodeRecord('TX_QUEUE', each)),
    encodeRecord('MBX_REGS', image.mbxRegs),
    encodeRecord('STATS', image.stats),
    encodeRecord('END', {}),
  ];
  const size = records.reduce((sum, { length }) => sum + length, 0);
  if (size > IMAGE_FILE_SIZE)
    throw new ImageError(
      'overflow',
      'ENOBUFS',
      IMAGE_FILE_SIZE,
      `${size} bytes of state in a file of 128 KiB`,
    );
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const record of records) {
    bytes.set(record, at);
    at += record.length;
  }
  return bytes;
}

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
 * The records in their order, HEADER and END among them, with what the published loader checks: that frames
 * fit, that HEADER comes first and is ours, and that types are known. It does not look into the data of any
 * record but HEADER, and behind END it does not look at all.
 * @throws ImageError ENOSPC, EBADMSG or EPROTONOSUPPORT
 */
export function* recordsOfImageB(bytes: Uint8Array): Generator<RecordB> {
  if (generationOf(bytes) === 'a')
    throw refuse(
      'other-generation',
      'EPROTONOSUPPORT',
      0,
      'this is an image of generation A, and B (TLV) is expected',
    );
  let known: number = B_NUM_TYPES;
  for (let offset = 0; ; ) {
    const room = bytes.length - offset;
    if (room < B_RECORD_HEADER)
      throw refuse(
        'truncated',
        'ENOSPC',
        bytes.length,
        `no END, and no room for a record in the last ${room} bytes`,
      );
    const { type, len } = decodeFields(B_RECORD_FIELDS, bytes, offset);
    const layout: RecordLayout | undefined = IMAGE_B_RECORDS[type];
    const name = layout?.name ?? `record of type ${type}`;
    if (room < B_RECORD_HEADER + len)
      throw refuse(
        'truncated',
        'ENOSPC',
        bytes.length,
        `${name} has ${len} bytes, and ${room - B_RECORD_HEADER} are there`,
      );
    if (len % B_ALIGNMENT !== 0)
      throw refuse('alignment', 'ENOSPC', offset + 2, `${name} has ${len} bytes, which is no multiple of 4`);
    if (offset === 0 && name !== 'HEADER')
      throw refuse('no-header', 'EBADMSG', 0, `the first record is ${name}`);
    if (layout === undefined || type >= known)
      throw refuse('unknown-type', 'EPROTONOSUPPORT', offset, `type ${type}; below ${known} are known`);
    const data = bytes.subarray(offset + B_RECORD_HEADER, offset + B_RECORD_HEADER + len);
    if (offset === 0) known = Math.min(known, checkHeader(data));
    yield { offset, layout, data };
    if (name === 'END') return;
    offset += B_RECORD_HEADER + len;
  }
}

/** Checks the data of HEADER; returns the first type that the sender does not know. */
function checkHeader(data: Uint8Array): number {
  const { fields } = IMAGE_B_RECORDS[1];
  if (data.length < layoutSize(fields))
    throw refuse('length', 'EINVAL', B_RECORD_HEADER, `HEADER has ${data.length} bytes`);
  const { magic, version, num_supported_tlvs } = decodeFields(fields, data);
  if (magic !== IMAGE_MAGIC)
    throw refuse('magic', 'EPROTONOSUPPORT', 4, `the magic number is 0x${magic.toString(16)}`);
  if (version !== IMAGE_VERSION)
    throw refuse('version', 'EPROTONOSUPPORT', 8, `version ${version} is not known`);
  return num_supported_tlvs;
}

/**
 * Reads an image, all of it, and refuses whatever an honest sender does not write: records that are there
 * twice or missing, of a wrong length, with padding or reserved bits that are not zero, and data behind END.
 * @throws ImageError naming what is wrong and where
 */
export function decodeImageB(bytes: Uint8Array): ImageB {
  if (bytes.length > IMAGE_FILE_SIZE)
    throw refuse('trailing', 'EINVAL', IMAGE_FILE_SIZE, `${bytes.length} bytes, and the file has 128 KiB`);
  const found = new Map<RecordName, AnyValue[]>();
  const seen = new Set<string>();
  let end = 0;
  for (const record of recordsOfImageB(bytes)) {
    const { layout, offset, data } = record;
    const name = layout.name as RecordName;
    const value = decodeRecord(record);
    const identity = layout.key === null ? name : `${name} with ${layout.key} ${value[layout.key]}`;
    if (layout.count === 'any' ? seen.has(identity) : found.has(name))
      throw refuse('duplicate', 'EINVAL', offset, `${identity} is there already`);
    seen.add(identity);
    if (!found.get(name)?.push(value)) found.set(name, [value]);
    end = offset + B_RECORD_HEADER + data.length;
  }
  if (end < bytes.length) throw refuse('trailing', 'EINVAL', end, `${bytes.length - end} bytes behind END`);
  for (const { name, count } of IMAGE_B_RECORDS)
    if (count === 'one' && !found.has(name)) throw refuse('missing', 'EINVAL', end, `there is no ${name}`);
  const all = <N extends RecordName>(name: N) => (found.get(name) ?? []) as unknown as RecordValue<N>[];
  return {
    numSupportedTlvs: all('HEADER')[0]!.num_supported_tlvs,
    vfInfo: all('VF_INFO')[0]!,
    msixRegs: all('MSIX_REGS'),
    rss: all('RSS')[0] ?? null,
    vlans: all('VLAN_FILTERS')[0]?.vlans ?? [],
    macs: all('MAC_FILTERS')[0]?.macs ?? [],
    rxQueues: all('RX_QUEUE'),
    txQueues: all('TX_QUEUE'),
    mbxRegs: all('MBX_REGS')[0]!,
    stats: all('STATS')[0]!,
  };
}

/** The data of a record, of which every byte is accounted for. */
function decodeRecord({ layout, offset, data }: RecordB): AnyValue {
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
  const stride = layoutSize(tail.element);
  value[tail.name] = Array.from({ length: elements }, (_, index) => {
    const element: AnyValue = decodeFields(tail.element, data, least + index * stride);
    return tail.element.length === 1 ? element[tail.element[0]!.name] : element;
  });
  return value;
}

/** The image field by field, as far as it goes; `error` says what is wrong with it, if anything is. */
export function describeImageB(bytes: Uint8Array): { rows: ImageRow[]; error: ImageError | null } {
  const rows: ImageRow[] = [];
  const counts = new Map<string, number>();
  imageErrorOf(() => {
    for (const record of recordsOfImageB(bytes)) {
      const { name, count } = record.layout;
      const index = counts.get(name) ?? 0;
      counts.set(name, index + 1);
      rows.push(...describeRecord(bytes, record, count === 'any' ? `${name}[${index}].` : `${name}.`));
    }
  });
  return { rows, error: imageErrorOf(() => decodeImageB(bytes)) };
}

function describeRecord(bytes: Uint8Array, { layout, offset, data }: RecordB, prefix: string): ImageRow[] {
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
