import {
  VHOST_USER_CAPTURE_SCHEMA,
  VHOST_USER_MAX_PAYLOAD,
  VhostUserHeader,
  vhostUserRequest,
} from '../../uapi/vhost-user.js';
import type { TraceEvent } from '../event.js';
import { countUnknown, type ParseContext, type ParseCounts, type Parser, type Reader } from '../reader.js';
import {
  asCount,
  firstLines,
  type JsonObject,
  kinds,
  type LinePlace,
  type LineResult,
  lineParser,
  parseObject,
} from './line-parser.js';
import { VhostUserConnection } from './vhost-user-messages.js';

/** Every capture is of one connection, and one connection is one back end. */
const DEVICE = 'vhost-user';

const NONE: readonly TraceEvent[] = [];

/** The messages of one capture. */
class Capture {
  readonly #connection = new VhostUserConnection(DEVICE);
  #open = false;
  #closed = false;

  line(text: string, place: LinePlace, counts: ParseCounts): LineResult {
    if (text.trim() === '') return NONE;
    const object = parseObject(text);
    if (object === undefined) return undefined;
    if (place.line === 1 && object.schema === VHOST_USER_CAPTURE_SCHEMA) return NONE;
    const t = typeof object.t === 'number' && Number.isFinite(object.t) ? object.t : undefined;
    if (t === undefined) return undefined;
    const at = { t, ...place };
    const opened: TraceEvent[] = this.#open
      ? []
      : [{ kind: 'vhost_open', ...at, device: DEVICE, interface: 'user' }];
    const events =
      object.closed === undefined ? this.#message(object, at, counts) : this.#close(object.closed, at);
    if (events === undefined) return undefined;
    this.#open = true;
    return [...opened, ...events];
  }

  #message(object: JsonObject, at: LinePlace & { t: number }, counts: ParseCounts): TraceEvent[] | undefined {
    const { dir, hex } = object;
    const bytes = typeof hex === 'string' ? fromHex(hex) : undefined;
    const fds = object.fds === undefined ? 0 : asCount(object.fds);
    if ((dir !== 'f2b' && dir !== 'b2f') || bytes === undefined || fds === undefined) return undefined;
    const head = VhostUserHeader.decode(bytes);
    if (bytes.length !== VhostUserHeader.size + head.size) return undefined;
    if (vhostUserRequest(head.request) === undefined) countUnknown(counts, `request ${head.request}`);
    const payload = bytes.subarray(VhostUserHeader.size);
    const from = dir === 'f2b' ? 'front_end' : 'back_end';
    return this.#connection.message({ from, ...head, payload, fds }, at);
  }

  #close(side: unknown, at: LinePlace & { t: number }): TraceEvent[] | undefined {
    if (side !== 'front' && side !== 'back') return undefined;
    if (this.#closed) return [];
    this.#closed = true;
    return [{ kind: 'vhost_close', ...at, device: DEVICE, interface: 'user', lost: side === 'back' }];
  }
}

/** The bytes of a whole message; `undefined` when it is none. */
function fromHex(hex: string): Uint8Array | undefined {
  const bytes = hex.length / 2;
  if (bytes < VhostUserHeader.size || bytes > VhostUserHeader.size + VHOST_USER_MAX_PAYLOAD) return undefined;
  return /^(?:[0-9a-f]{2})+$/i.test(hex) ? Buffer.from(hex, 'hex') : undefined;
}

/**
 * Captures of a vhost-user connection, as `stopcopy proxy` writes them: JSON, one object a line. In JSON Schema, each
 * line is one of
 *
 * ```json
 * { "oneOf": [
 *   { "description": "the first line",
 *     "properties": { "schema": { "const": "stopcopy-vhost-user-1" } }, "required": ["schema"] },
 *   { "description": "a message",
 *     "properties": {
 *       "t": { "type": "number", "description": "µs since 1970" },
 *       "dir": { "enum": ["f2b", "b2f"], "description": "front end to back end, or back" },
 *       "hex": { "type": "string", "pattern": "^([0-9a-fA-F]{2}){12,4108}$", "description": "the whole message" },
 *       "fds": { "type": "integer", "minimum": 0, "description": "descriptors that came with it" } },
 *     "required": ["t", "dir", "hex"] },
 *   { "description": "one side has ended the connection",
 *     "properties": { "t": { "type": "number" }, "closed": { "enum": ["front", "back"] } },
 *     "required": ["t", "closed"] } ] }
 * ```
 */
export const vhostUserCaptureReader: Reader = {
  format: 'vhost-user-capture',
  title: 'vhost-user messages, as `stopcopy proxy` writes them',
  shows: kinds(
    'vhost_open',
    'vhost_close',
    'vhost_message',
    'vhost_offered',
    'vhost_set_owner',
    'vhost_reset_owner',
    'vhost_set_features',
    'vhost_set_protocol_features',
    'vhost_mem_table',
    'vhost_log_base',
    'vhost_log_fd',
    'vring_num',
    'vring_base',
    'vring_base_read',
    'vring_addr',
    'vring_kick_fd',
    'vring_call_fd',
    'vring_enable',
    'vring_kick',
    'vhost_config',
    'vhost_iotlb',
    'vhost_reset_device',
    'vhost_inflight',
    'vhost_state_fd',
    'vhost_state_check',
    'vhost_postcopy',
    'vhost_rarp',
  ),
  detect(head) {
    const [line] = firstLines(head, 1);
    return line !== undefined && parseObject(line)?.schema === VHOST_USER_CAPTURE_SCHEMA ? 1 : 0;
  },
  open(context: ParseContext): Parser {
    const capture = new Capture();
    return lineParser(context, (text, place, counts) => capture.line(text, place, counts));
  },
};
