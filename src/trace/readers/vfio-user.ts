import { ERRNO } from '../../uapi/errno.js';
import {
  decodeVfioUserHeader,
  decodeVfioUserMigData,
  decodeVfioUserVersion,
  VFIO_USER_COMMANDS,
  VfioUserDeviceFeature,
  VfioUserHeader,
  type VfioUserMessageHead,
  VfioUserMigData,
  vfioUserCommand,
} from '../../uapi/vfio-user.js';
import type { TraceEvent } from '../event.js';
import { MAX_LINE } from '../lines.js';
import { countUnknown, type ParseContext, type ParseCounts, type Parser, type Reader } from '../reader.js';
import {
  firstLines,
  type JsonObject,
  kinds,
  type LinePlace,
  type LineResult,
  lineParser,
  micros,
  parseObject,
} from './line-parser.js';
import {
  decodeFeature,
  type Feature,
  featureEvents,
  isSetState,
  type OnDevice,
  stateIn,
} from './vfio-user-feature.js';

/** Every capture is of one connection, and one connection is one device. */
const DEVICE = 'vfio-user';

/** One message of the capture. */
interface Message extends VfioUserMessageHead {
  fromClient: boolean;
  /** What stands behind the header; shorter than `size` says when the line was cut. */
  payload: Uint8Array;
  cut: boolean;
  at: OnDevice;
}

/** Bytes of a DEVICE_FEATURE command that are remembered; what is looked at are fields at its start. */
const FEATURE_BYTES = 64;

/** What is remembered of a client's command until its reply comes. */
type Pending =
  | { command: 'DEVICE_FEATURE'; feature: Feature }
  | { command: 'MIG_DATA_READ' | 'MIG_DATA_WRITE'; size: number }
  | { command: 'VERSION'; json: string }
  | { command: 'DEVICE_RESET' };

const NONE: readonly TraceEvent[] = [];

/** Reads a JSON object from a line; a line that was cut inside `hex`, its last member, is closed. */
function parseLine(text: string): { object: JsonObject; cut: boolean } | undefined {
  const object = parseObject(text);
  if (object !== undefined) return { object, cut: false };
  if (text.length < MAX_LINE) return undefined;
  const closed = parseObject(`${text}"}`);
  return closed && { object: closed, cut: true };
}

/** Bytes of a hexadecimal text, or `undefined`; an odd last digit is dropped only where the text was cut. */
function fromHex(value: unknown, cut: boolean): Uint8Array | undefined {
  if (typeof value !== 'string' || (value.length % 2 !== 0 && !cut)) return undefined;
  const bytes = Buffer.from(value, 'hex');
  return bytes.length === value.length >> 1 ? bytes : undefined;
}

/** Whether what the recorder wrote beside the bytes is what the bytes say. */
function agrees(object: JsonObject, head: VfioUserMessageHead): boolean {
  const same = (key: string, value: number) => object[key] === undefined || object[key] === value;
  return same('msg_id', head.msgId) && same('cmd', head.command) && same('size', head.size);
}

function decodeMessage(text: string, place: LinePlace): Message | undefined {
  const line = parseLine(text);
  if (line === undefined) return undefined;
  const { object, cut } = line;
  if (object.dir !== 'c2s' && object.dir !== 's2c') return undefined;
  const bytes = fromHex(object.hex, cut);
  if (bytes === undefined) return undefined;
  const head = decodeVfioUserHeader(bytes);
  if (!agrees(object, head) || (cut ? bytes.length > head.size : bytes.length !== head.size))
    return undefined;
  const t = micros(object.t);
  return {
    ...head,
    fromClient: object.dir === 'c2s',
    payload: bytes.subarray(VfioUserHeader.size),
    cut,
    at: { ...t, ...place, device: DEVICE },
  };
}

/** The messages of one connection, and the commands that await their reply. */
class Connection {
  readonly #context: ParseContext;
  /** By message id of the client: at most 65536, since an id has 16 bits. */
  readonly #pending = new Map<number, Pending>();
  #dialectSeen = false;
  #unnumberedSeen = false;

  constructor(context: ParseContext) {
    this.#context = context;
  }

  read(text: string, place: LinePlace, counts: ParseCounts): LineResult {
    if (text.trim() === '') return NONE;
    try {
      const message = decodeMessage(text, place);
      if (message === undefined) return undefined;
      if (vfioUserCommand(message.command) === undefined) countUnknown(counts, `command ${message.command}`);
      if (message.type === 'command') return message.fromClient ? this.#request(message) : NONE;
      return message.fromClient ? NONE : this.#reply(message);
    } catch (error) {
      // A payload that is too short for what its header claims.
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** A command of the client. What asks for something is an event at once, the rest when it is answered. */
  #request(message: Message): readonly TraceEvent[] {
    // An id that is used again means that the old command was never answered in this capture.
    this.#pending.delete(message.msgId);
    const pending = describeRequest(message);
    if (pending === undefined) return NONE;
    // A connection begins: replies to commands of an older one never come.
    if (pending.command === 'VERSION') this.#pending.clear();
    if (!message.noReply) this.#pending.set(message.msgId, pending);
    if (pending.command !== 'DEVICE_FEATURE' || !isSetState(pending.feature)) return NONE;
    const state = stateIn(pending.feature.data);
    return state === undefined ? NONE : [{ kind: 'set_state', ...message.at, state }];
  }

  #reply(message: Message): readonly TraceEvent[] {
    const pending = this.#pending.get(message.msgId);
    if (pending === undefined || VFIO_USER_COMMANDS[pending.command] !== message.command) return NONE;
    this.#pending.delete(message.msgId);
    const errno = this.#errno(message);
    switch (pending.command) {
      case 'VERSION':
        if (errno !== 0) return NONE;
        this.#dialect(pending.json, message.payload);
        return [{ kind: 'device_open', ...message.at }];
      case 'DEVICE_RESET':
        return [{ kind: 'reset', ...message.at, errno }];
      case 'MIG_DATA_READ':
        return [{ kind: 'data_read', ...message.at, size: pending.size, result: readResult(message, errno) }];
      case 'MIG_DATA_WRITE': {
        const result = errno === 0 ? pending.size : -errno;
        return [{ kind: 'data_write', ...message.at, size: pending.size, result }];
      }
      case 'DEVICE_FEATURE':
        return featureEvents(pending.feature, featureReply(message.payload), errno, message.at);
    }
  }

  /** 0 for success. A failure without a number is shown as EIO, and the report says so. */
  #errno(message: Message): number {
    if (!message.failed) return 0;
    if (message.errno > 0) return message.errno;
    if (!this.#unnumberedSeen) {
      this.#unnumberedSeen = true;
      this.#context.remark('the peer fails commands without an error number; they are shown as EIO');
    }
    return ERRNO.EIO!;
  }

  /** Says it when the server offers what no client asked for, as libvfio-user does. */
  #dialect(proposed: string, payload: Uint8Array): void {
    if (this.#dialectSeen || payload.length === 0) return;
    const { major, minor, json } = decodeVfioUserVersion(payload);
    const offered = capabilities(json);
    const unasked = Object.keys(offered).filter((key) => !Object.hasOwn(capabilities(proposed), key));
    if (!unasked.includes('migration')) return;
    this.#dialectSeen = true;
    this.#context.remark(
      `libvfio-user dialect: version ${major}.${minor}, offers ${unasked.join(', ')} unasked`,
    );
  }
}

function capabilities(json: string): object {
  const value = parseObject(json)?.capabilities;
  return typeof value === 'object' && value !== null ? value : {};
}

/** @throws RangeError when the payload lies about its size */
function describeRequest(message: Message): Pending | undefined {
  const { payload } = message;
  const command = vfioUserCommand(message.command);
  switch (command) {
    case 'DEVICE_FEATURE':
      return { command, feature: decodeFeature(Uint8Array.from(payload.subarray(0, FEATURE_BYTES))) };
    case 'MIG_DATA_READ':
      return { command, size: VfioUserMigData.decode(payload).size };
    case 'MIG_DATA_WRITE':
      return { command, size: dataSize(message) };
    case 'VERSION':
      return { command, json: decodeVfioUserVersion(payload).json };
    case 'DEVICE_RESET':
      return { command };
    default:
      return undefined;
  }
}

/** The `size` field of a message with data, held against the bytes that are there. */
function dataSize(message: Message): number {
  return (message.cut ? VfioUserMigData.decode(message.payload) : decodeVfioUserMigData(message.payload))
    .size;
}

function readResult(message: Message, errno: number): number {
  return errno === 0 ? dataSize(message) : -errno;
}

/** Data of a DEVICE_FEATURE reply behind its feature header; a header-only reply has none. */
function featureReply(payload: Uint8Array): Uint8Array | undefined {
  return payload.length === 0 ? undefined : payload.subarray(VfioUserDeviceFeature.size);
}

function isCaptureLine(line: string): boolean {
  const object = parseObject(line);
  if (object !== undefined) return typeof object.hex === 'string' && /^(c2s|s2c)$/.test(String(object.dir));
  // A message may be longer than what detection is given.
  return /^\{.*"dir": ?"(c2s|s2c)".*"hex": ?"[0-9a-f]*$/.test(line);
}

/**
 * Captures of a vfio-user connection: a JSON object a message, with `t` in seconds, `dir` (`c2s`,
 * `s2c`) and `hex`, the bytes of the whole message.
 */
export const vfioUserReader: Reader = {
  format: 'vfio-user-jsonl',
  title: 'vfio-user messages, one JSON object a line',
  profile: 'libvfio-user',
  shows: kinds(
    'capabilities',
    'set_state',
    'set_state_result',
    'get_state',
    'data_read',
    'data_write',
    'data_size',
    'dma_logging_start',
    'dma_logging_stop',
    'dma_logging_report',
    'feature_probe',
    'precopy_info_v2',
    'reset',
    'device_open',
  ),
  detect(head) {
    const [line] = firstLines(head, 1);
    return line !== undefined && isCaptureLine(line) ? 1 : 0;
  },
  open(context): Parser {
    const connection = new Connection(context);
    return lineParser(context, (text, place, counts) => connection.read(text, place, counts));
  },
};
