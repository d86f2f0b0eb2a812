import { RETURN_PATH } from '../uapi/qemu-stream.js';

/**
 * What a destination tells its source. `CHECKS` and `REPORT` are additions to QEMU's messages, JSON text of
 * numbers that QEMU does not use: the prerequisites as the destination found them, and how it fares at the end.
 */
export type ReturnMessage =
  | { readonly type: 'SHUT' | 'PONG'; readonly value: number }
  | {
      readonly type: 'REQ_PAGES';
      readonly start: number;
      readonly length: number;
      readonly block: string | null;
    }
  | { readonly type: 'SWITCHOVER_ACK' }
  | { readonly type: 'CHECKS' | 'REPORT'; readonly text: string };

const [REPORT, CHECKS] = [0x5343, 0x5344] as const;
const HEAD = 4;
const MOST = 0xffff;

/** A message as bytes, big-endian. @throws RangeError when a report is longer than 65535 bytes */
export function encodeReturnMessage(message: ReturnMessage): Uint8Array {
  switch (message.type) {
    case 'SHUT':
    case 'PONG':
      return framed(RETURN_PATH[message.type], u32(message.value));
    case 'SWITCHOVER_ACK':
      return framed(RETURN_PATH.SWITCHOVER_ACK, new Uint8Array(0));
    case 'CHECKS':
    case 'REPORT':
      return framed(message.type === 'CHECKS' ? CHECKS : REPORT, new TextEncoder().encode(message.text));
    case 'REQ_PAGES': {
      const name = Buffer.from(message.block ?? '', 'latin1');
      const payload = Buffer.alloc(12 + (message.block === null ? 0 : 1 + name.length));
      payload.writeBigUInt64BE(BigInt(message.start), 0);
      payload.writeUInt32BE(message.length, 8);
      if (message.block === null) return framed(RETURN_PATH.REQ_PAGES, payload);
      payload.writeUInt8(name.length, 12);
      payload.set(name, 13);
      return framed(RETURN_PATH.REQ_PAGES_ID, payload);
    }
  }
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

function framed(type: number, payload: Uint8Array): Uint8Array {
  if (payload.length > MOST)
    throw new RangeError(`a message of ${payload.length} bytes; at most ${MOST} fit`);
  const bytes = Buffer.alloc(HEAD + payload.length);
  bytes.writeUInt16BE(type, 0);
  bytes.writeUInt16BE(payload.length, 2);
  bytes.set(payload, HEAD);
  return bytes;
}

/** Something came on the return path that is no message. */
export class ReturnPathError extends Error {
  override readonly name = 'ReturnPathError';
}

/** Takes the return path apart, in any segmentation; keeps less than one message. */
export class ReturnPathReader {
  #rest: Buffer = Buffer.alloc(0);
  readonly #take: (message: ReturnMessage) => void;

  constructor(take: (message: ReturnMessage) => void) {
    this.#take = take;
  }

  /** @throws ReturnPathError at a message that is not known, or has a wrong length */
  write(block: Uint8Array): void {
    let bytes = this.#rest.length === 0 ? Buffer.from(block) : Buffer.concat([this.#rest, block]);
    while (bytes.length >= HEAD) {
      const end = HEAD + bytes.readUInt16BE(2);
      if (bytes.length < end) break;
      this.#take(decode(bytes.readUInt16BE(0), bytes.subarray(HEAD, end)));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
  }
}

function decode(type: number, payload: Buffer): ReturnMessage {
  const need = (fits: boolean): void => {
    if (!fits) throw new ReturnPathError(`a message of type ${type} with ${payload.length} bytes`);
  };
  switch (type) {
    case RETURN_PATH.SHUT:
    case RETURN_PATH.PONG:
      need(payload.length === 4);
      return { type: type === RETURN_PATH.SHUT ? 'SHUT' : 'PONG', value: payload.readUInt32BE(0) };
    case RETURN_PATH.SWITCHOVER_ACK:
      need(payload.length === 0);
      return { type: 'SWITCHOVER_ACK' };
    case RETURN_PATH.REQ_PAGES:
    case RETURN_PATH.REQ_PAGES_ID: {
      const named = type === RETURN_PATH.REQ_PAGES_ID;
      need(named ? payload.length >= 13 && payload.length === 13 + payload[12]! : payload.length === 12);
      return {
        type: 'REQ_PAGES',
        start: Number(payload.readBigUInt64BE(0)),
        length: payload.readUInt32BE(8),
        block: named ? payload.toString('latin1', 13) : null,
      };
    }
    case CHECKS:
    case REPORT:
      return { type: type === CHECKS ? 'CHECKS' : 'REPORT', text: payload.toString('utf8') };
    default:
      throw new ReturnPathError(`no message has type ${type}`);
  }
}
