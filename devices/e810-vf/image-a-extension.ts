/** The records behind an image of generation A. What they are for: `image-extension-layout.ts`. */
import { B_RECORD_HEADER } from './image-b-layout.js';
import { ImageError } from './image-error.js';
import {
  A_EXTENSION_FIELDS,
  A_EXTENSION_HEADER,
  A_EXTENSION_MAGIC,
  EXTENDED_NUM_TYPES,
} from './image-extension-layout.js';
import {
  decodeRecord,
  encodeRecord,
  frameOfRecord,
  type RecordName,
  type RecordValue,
} from './image-record.js';
import { decodeFields, encodeFields } from './layout.js';

/** What a replay of messages does not bring back. */
export interface ExtensionA {
  vfInfo: RecordValue<'VF_INFO'>;
  rss: RecordValue<'RSS'>;
  stats: RecordValue<'STATS'>;
  vfState: RecordValue<'VF_STATE'>;
  /** Of queue pairs that are not as a reset leaves them. */
  queueStates: RecordValue<'QUEUE_STATE'>[];
}

const ONCE = ['VF_INFO', 'RSS', 'STATS', 'VF_STATE', 'END'] as const satisfies readonly RecordName[];

/**
 * The extension as bytes, little endian, as it stands behind an image of generation A.
 * @throws RangeError naming the field whose value does not fit
 */
export function encodeExtensionA(extension: ExtensionA): Uint8Array {
  const records = [
    encodeRecord('VF_INFO', extension.vfInfo),
    encodeRecord('RSS', extension.rss),
    encodeRecord('STATS', extension.stats),
    encodeRecord('VF_STATE', extension.vfState),
    ...extension.queueStates.map((each) => encodeRecord('QUEUE_STATE', each)),
    encodeRecord('END', {}),
  ];
  const size = records.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(A_EXTENSION_HEADER + size);
  encodeFields(A_EXTENSION_FIELDS, { magic: A_EXTENSION_MAGIC, size }, bytes);
  let at = A_EXTENSION_HEADER;
  for (const record of records) {
    bytes.set(record, at);
    at += record.length;
  }
  return bytes;
}

/**
 * Reads the records at `offset`, all of them.
 * @returns null when there are none, else what they hold and where they end
 * @throws ImageError naming what is wrong and where
 */
export function decodeExtensionA(
  bytes: Uint8Array,
  offset: number,
): { extension: ExtensionA; end: number } | null {
  if (bytes.length < offset + A_EXTENSION_HEADER) return null;
  const { magic, size } = decodeFields(A_EXTENSION_FIELDS, bytes, offset);
  if (magic !== A_EXTENSION_MAGIC) return null;
  const first = offset + A_EXTENSION_HEADER;
  const end = first + size;
  if (bytes.length < end)
    throw new ImageError(
      'truncated',
      'EINVAL',
      bytes.length,
      `the records behind the image take ${size} bytes, and ${bytes.length - first} are there`,
    );
  const found = new Map<RecordName, unknown>();
  const queueStates = new Map<number, RecordValue<'QUEUE_STATE'>>();
  const body = bytes.subarray(0, end);
  let at = first;
  while (!found.has('END')) {
    const record = frameOfRecord(body, at, EXTENDED_NUM_TYPES);
    const name = record.layout.name as RecordName;
    const value = decodeRecord(record) as unknown as RecordValue<'QUEUE_STATE'>;
    const queue = name === 'QUEUE_STATE';
    if (!queue && !(ONCE as readonly string[]).includes(name))
      throw new ImageError('unknown-type', 'EINVAL', at, `${name} does not belong behind an image`);
    if (queue ? queueStates.has(value.queue_id) : found.has(name))
      throw new ImageError('duplicate', 'EINVAL', at, `${name} is there already`);
    if (queue) queueStates.set(value.queue_id, value);
    else found.set(name, value);
    at += B_RECORD_HEADER + record.data.length;
  }
  if (at !== end) throw new ImageError('trailing', 'EINVAL', at, `${end - at} bytes behind END`);
  for (const name of ONCE)
    if (!found.has(name)) throw new ImageError('missing', 'EINVAL', end, `there is no ${name}`);
  const one = <N extends RecordName>(name: N) => found.get(name) as RecordValue<N>;
  const extension: ExtensionA = {
    vfInfo: one('VF_INFO'),
    rss: one('RSS'),
    stats: one('STATS'),
    vfState: one('VF_STATE'),
    queueStates: [...queueStates.values()],
  };
  return { extension, end };
}
