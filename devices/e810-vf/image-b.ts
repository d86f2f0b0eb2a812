/**
 * Device state of generation B: type-length-value records that the PF driver makes of its own structures and
 * of registers. Layout: `image-b-layout.ts`.
 *
 * This is the form only. The published loader checks less than `decodeImageB` (`recordsOfImageB` checks what
 * it does); when and how the state is applied belongs to the device and its personality.
 */
import { B_NUM_TYPES, B_RECORD_HEADER, IMAGE_B_RECORDS } from './image-b-layout.js';
import {
  generationOf,
  IMAGE_FILE_SIZE,
  IMAGE_MAGIC,
  IMAGE_VERSION,
  ImageError,
  type ImageProblem,
  imageErrorOf,
} from './image-error.js';
import { EXTENDED_NUM_TYPES } from './image-extension-layout.js';
import {
  decodeRecord,
  describeRecord,
  encodeRecord,
  frameOfRecord,
  type RecordB,
  type RecordName,
  type RecordValue,
} from './image-record.js';
import { type AnyValue, decodeFields, type ImageRow, layoutSize } from './layout.js';

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
  /** Beyond the published records (`image-extension-layout.ts`), where there are any. */
  vfState?: RecordValue<'VF_STATE'>;
  queueStates?: RecordValue<'QUEUE_STATE'>[];
}

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
    ...(image.vfState ? [encodeRecord('VF_STATE', image.vfState)] : []),
    ...(image.queueStates ?? []).map((each) => encodeRecord('QUEUE_STATE', each)),
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

const refuse = (problem: ImageProblem, code: string, offset: number, words: string): ImageError =>
  new ImageError(problem, code, offset, words);

/**
 * The records in their order, HEADER and END among them, with what the published loader checks: that frames
 * fit, that HEADER comes first and is ours, and that types are known. It does not look into the data of any
 * record but HEADER, and behind END it does not look at all.
 * @param known the first type that the reader does not know
 * @throws ImageError ENOSPC, EBADMSG or EPROTONOSUPPORT
 */
export function* recordsOfImageB(bytes: Uint8Array, known: number = B_NUM_TYPES): Generator<RecordB> {
  for (let offset = 0, limit = known; ; ) {
    const record = recordAt(bytes, offset, limit);
    if (offset === 0) limit = Math.min(known, knownBySender(record));
    yield record;
    if (record.layout.name === 'END') return;
    offset += B_RECORD_HEADER + record.data.length;
  }
}

/**
 * The record that begins at `offset`, with what the published loader checks of it (see `recordsOfImageB`).
 * @param known the first type that the reader or the sender does not know
 * @throws ImageError; `truncated` when the bytes end before the record does
 */
export function recordAt(bytes: Uint8Array, offset: number, known: number): RecordB {
  if (offset === 0 && generationOf(bytes) === 'a')
    throw refuse(
      'other-generation',
      'EPROTONOSUPPORT',
      0,
      'this is an image of generation A, and B (TLV) is expected',
    );
  const record = frameOfRecord(bytes, offset, known);
  if (offset === 0) checkHeader(record.data);
  return record;
}

/** The first type that the sender does not know, of a HEADER that `recordAt` gave. */
export function knownBySender({ data }: RecordB): number {
  return decodeFields(IMAGE_B_RECORDS[1].fields, data).num_supported_tlvs;
}

function checkHeader(data: Uint8Array): void {
  const { fields } = IMAGE_B_RECORDS[1];
  if (data.length < layoutSize(fields))
    throw refuse('length', 'EINVAL', B_RECORD_HEADER, `HEADER has ${data.length} bytes`);
  const { magic, version } = decodeFields(fields, data);
  if (magic !== IMAGE_MAGIC)
    throw refuse('magic', 'EPROTONOSUPPORT', 4, `the magic number is 0x${magic.toString(16)}`);
  if (version !== IMAGE_VERSION)
    throw refuse('version', 'EPROTONOSUPPORT', 8, `version ${version} is not known`);
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
  for (const record of recordsOfImageB(bytes, EXTENDED_NUM_TYPES)) {
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
    ...(found.has('VF_STATE') ? { vfState: all('VF_STATE')[0]! } : {}),
    ...(found.has('QUEUE_STATE') ? { queueStates: all('QUEUE_STATE') } : {}),
  };
}

/** The image field by field, as far as it goes; `error` says what is wrong with it, if anything is. */
export function describeImageB(bytes: Uint8Array): { rows: ImageRow[]; error: ImageError | null } {
  const rows: ImageRow[] = [];
  const counts = new Map<string, number>();
  imageErrorOf(() => {
    for (const record of recordsOfImageB(bytes, EXTENDED_NUM_TYPES)) {
      const { name, count } = record.layout;
      const index = counts.get(name) ?? 0;
      counts.set(name, index + 1);
      rows.push(...describeRecord(bytes, record, count === 'any' ? `${name}[${index}].` : `${name}.`));
    }
  });
  return { rows, error: imageErrorOf(() => decodeImageB(bytes)) };
}
