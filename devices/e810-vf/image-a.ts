/**
 * Device state of generation A: registers, ring positions, and the virtchnl messages of the guest, which the
 * destination replays. Layout: `image-a-layout.ts`.
 *
 * This is the form only. When the state is applied, what a loader does not check, and the match with the
 * local VF belong to the device and its personality.
 */
import { decodeExtensionA, type ExtensionA, encodeExtensionA } from './image-a-extension.js';
import {
  A_HEADER_SIZE,
  A_SLOT_FIELDS,
  A_SLOT_MESSAGE,
  A_SLOT_OVERHEAD,
  A_SLOTS_OFFSET,
  IMAGE_A_FIELDS,
} from './image-a-layout.js';
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
  decodeFields,
  describeFields,
  encodeFields,
  fieldSize,
  hexBytes,
  type ImageRow,
  type LayoutValue,
} from './layout.js';

/** A virtchnl message as it came from the guest. */
export interface VirtchnlMessage {
  /** Not 0, which ends the list. */
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** The two bytes behind the message, as a number. The published driver leaves them 0, as does who omits them. */
  readonly stray?: number;
}

/** The state; magic, version and size come from the codec. */
export type ImageA = Omit<LayoutValue<typeof IMAGE_A_FIELDS>, 'magic' | 'version' | 'total_size'> & {
  messages: VirtchnlMessage[];
  /** Beyond the published image (`image-extension-layout.ts`), where there is more. */
  extension?: ExtensionA;
};

/** `total_size` of an image with these messages. */
export function imageASize(messages: readonly VirtchnlMessage[]): number {
  const slots = messages.reduce((sum, { payload }) => sum + A_SLOT_OVERHEAD + payload.length, 0);
  return A_HEADER_SIZE + slots + A_SLOT_OVERHEAD;
}

/**
 * The file that the source's data_fd gives: always 128 KiB, zeros behind the terminator.
 * @throws ImageError ENOBUFS when it does not fit
 * @throws RangeError naming the field whose value does not fit
 */
export function encodeImageA(image: ImageA): Uint8Array {
  const size = imageASize(image.messages);
  const extension = image.extension ? encodeExtensionA(image.extension) : new Uint8Array(0);
  const whole = size + extension.length;
  if (whole > IMAGE_FILE_SIZE)
    throw new ImageError(
      'overflow',
      'ENOBUFS',
      IMAGE_FILE_SIZE,
      `${whole} bytes of state in a file of 128 KiB`,
    );
  const bytes = new Uint8Array(IMAGE_FILE_SIZE);
  const fixed = { magic: IMAGE_MAGIC, version: IMAGE_VERSION, total_size: BigInt(size) };
  encodeFields(IMAGE_A_FIELDS, { ...image, ...fixed }, bytes);
  let at = A_SLOTS_OFFSET;
  for (const { opcode, payload, stray = 0 } of image.messages) {
    if (opcode === 0) throw new RangeError('opcode: expected any but 0, which ends the list');
    encodeFields(A_SLOT_FIELDS, { opcode, msg_len: payload.length }, bytes, at);
    bytes.set(payload, at + A_SLOT_MESSAGE);
    at += A_SLOT_OVERHEAD + payload.length;
    if (!Number.isInteger(stray) || stray < 0 || stray > 0xffff)
      throw new RangeError(`stray: expected an integer from 0 to 65535, got ${stray}`);
    bytes[at - 2] = stray & 0xff;
    bytes[at - 1] = stray >> 8;
  }
  bytes.set(extension, size);
  return bytes;
}

/** The same without the zeros at the end of the file. */
export function encodeShortestImageA(image: ImageA): Uint8Array {
  const extension = image.extension ? encodeExtensionA(image.extension).length : 0;
  return encodeImageA(image).slice(0, imageASize(image.messages) + extension);
}

/** A slot and where it stands. */
export interface SlotA {
  readonly offset: number;
  /** Bytes of the slot: its message and 8. */
  readonly size: number;
  readonly message: VirtchnlMessage;
}

/**
 * The slots from `A_SLOTS_OFFSET` on, up to the terminator, and nothing else is looked at: this is how the
 * published loader walks them. What follows the last slot of the iteration is the terminator.
 * @param end where the slots end at the latest
 * @throws ImageError ENOBUFS at a slot that runs over the end
 */
export function* slotsOfImageA(bytes: Uint8Array, end = bytes.length): Generator<SlotA> {
  for (let offset = A_SLOTS_OFFSET; ; ) {
    const room = end - offset;
    if (room < A_SLOT_OVERHEAD)
      throw new ImageError(
        'truncated',
        'ENOBUFS',
        offset,
        `no room for a slot in the last ${Math.max(0, room)} bytes`,
      );
    const { opcode, msg_len } = decodeFields(A_SLOT_FIELDS, bytes, offset);
    if (opcode === 0) return;
    const size = A_SLOT_OVERHEAD + msg_len;
    if (room < size)
      throw new ImageError('truncated', 'ENOBUFS', offset, `a slot of ${size} bytes in the last ${room}`);
    const message = offset + A_SLOT_MESSAGE;
    const payload = Uint8Array.from(bytes.subarray(message, message + msg_len));
    const stray = bytes[offset + size - 2]! | (bytes[offset + size - 1]! << 8);
    yield { offset, size, message: { opcode, payload, ...(stray === 0 ? {} : { stray }) } };
    offset += size;
  }
}

/**
 * Reads an image, all of it: from the whole file, or cut anywhere behind `total_size`, where only zeros are.
 * @throws ImageError naming what is wrong and where
 */
export function decodeImageA(bytes: Uint8Array): ImageA {
  const { total_size, ...state } = decodeHead(bytes);
  const end = slotsEnd(total_size);
  const messages: VirtchnlMessage[] = [];
  let terminator = A_SLOTS_OFFSET;
  for (const slot of slotsOfImageA(bytes, end)) {
    messages.push(slot.message);
    terminator = slot.offset + slot.size;
  }
  if (terminator + A_SLOT_OVERHEAD !== end)
    throw new ImageError(
      'length',
      'EINVAL',
      terminator,
      `the slots end before total_size ${total_size} does`,
    );
  const size = Number(total_size);
  const behind = decodeExtensionA(bytes, size);
  checkZero(bytes, terminator, size);
  checkZero(bytes, behind?.end ?? size, bytes.length);
  return { ...state, messages, ...(behind ? { extension: behind.extension } : {}) };
}

function checkZero(bytes: Uint8Array, from: number, to: number): void {
  const garbage = bytes.subarray(from, to).findIndex((byte) => byte !== 0);
  if (garbage >= 0)
    throw new ImageError('not-zero', 'EINVAL', from + garbage, 'there is data behind the last slot');
}

/** Where the terminator ends: `total_size` counts the struct's padding too, in which the slots begin. */
const slotsEnd = (totalSize: bigint): number => Number(totalSize) - (A_HEADER_SIZE - A_SLOTS_OFFSET);

/** The header of an image, without what the codec itself looks at. */
export type HeadA = Omit<LayoutValue<typeof IMAGE_A_FIELDS>, 'magic' | 'version'>;

/**
 * The header of an image that is still on its way: null while it is not whole.
 * @throws ImageError `other-generation`, `magic` or `version`, as soon as that is known
 */
export function headOfImageA(bytes: Uint8Array): HeadA | null {
  if (bytes.length < 8) return null;
  checkBeginning(bytes);
  if (bytes.length < A_HEADER_SIZE) return null;
  const { magic: _m, version: _v, ...head } = decodeFields(IMAGE_A_FIELDS, bytes);
  return head;
}

const refuse = (problem: ImageProblem, offset: number, words: string) =>
  new ImageError(problem, 'EINVAL', offset, words);

function checkBeginning(bytes: Uint8Array): void {
  checkGeneration(bytes);
  const [magicField, versionField] = IMAGE_A_FIELDS;
  const { magic, version } = decodeFields([magicField, versionField], bytes);
  if (magic !== IMAGE_MAGIC) throw refuse('magic', 0, `the magic number is 0x${magic.toString(16)}`);
  if (version !== IMAGE_VERSION) throw refuse('version', 4, `version ${version} is not known`);
}

function checkGeneration(bytes: Uint8Array): void {
  if (generationOf(bytes) === 'b')
    throw refuse('other-generation', 4, 'this is an image of generation B (TLV), and A is expected');
}

/** Reads the header, after what the published match check looks at first, in its order. */
function decodeHead(bytes: Uint8Array): HeadA {
  const { length } = bytes;
  checkGeneration(bytes);
  if (length < A_HEADER_SIZE)
    throw refuse('truncated', length, `${length} bytes, and the header has ${A_HEADER_SIZE}`);
  checkBeginning(bytes);
  const { magic: _m, version: _v, ...head } = decodeFields(IMAGE_A_FIELDS, bytes);
  const size = head.total_size;
  if (size > length) throw refuse('truncated', length, `${length} bytes, and total_size says ${size}`);
  if (length > IMAGE_FILE_SIZE)
    throw refuse('trailing', IMAGE_FILE_SIZE, `${length} bytes, and the file has 128 KiB`);
  if (size < A_HEADER_SIZE + A_SLOT_OVERHEAD)
    throw refuse('length', 8, `total_size ${size} has no room for a terminator`);
  return head;
}

/** The image field by field, as far as it goes; `error` says what is wrong with it, if anything is. */
export function describeImageA(bytes: Uint8Array): { rows: ImageRow[]; error: ImageError | null } {
  const fields = IMAGE_A_FIELDS.filter((field) => field.offset + fieldSize(field) <= bytes.length);
  const rows = describeFields(fields, bytes);
  let index = 0;
  imageErrorOf(() => {
    const { total_size } = decodeHead(bytes);
    for (const slot of slotsOfImageA(bytes, slotsEnd(total_size))) rows.push(slotRow(slot, index++));
  });
  return { rows, error: imageErrorOf(() => decodeImageA(bytes)) };
}

function slotRow({ offset, size, message: { opcode, payload } }: SlotA, index: number): ImageRow {
  return {
    offset,
    size,
    name: `virtchnl_msgs[${index}]`,
    type: 'slot',
    value: `opcode ${opcode}, ${payload.length} bytes${payload.length > 0 ? `: ${hexBytes(payload)}` : ''}`,
    meaning: 'a virtchnl message of the guest, to be replayed',
    certainty: 'concluded',
  };
}
