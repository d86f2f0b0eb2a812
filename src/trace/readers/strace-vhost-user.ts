import {
  VHOST_USER_FLAGS,
  VHOST_USER_MAX_PAYLOAD,
  VHOST_USER_REQUESTS,
  VhostUserHeader,
} from '../../uapi/vhost-user.js';
import type { TraceEvent } from '../event.js';
import type { At, StraceCall } from './strace-line.js';
import { straceTransfer } from './strace-text.js';
import { put } from './uapi-fds.js';
import { vhostUserCaptureReader } from './vhost-user-capture.js';
import { plausibleHeader, VhostUserConnection } from './vhost-user-messages.js';

const RECEIVES: ReadonlySet<string> = new Set(['read', 'readv', 'recvmsg', 'recvfrom']);
const SENDS: ReadonlySet<string> = new Set(['write', 'writev', 'sendmsg', 'sendto']);

/** Most sockets that are followed at a time. */
const LIMIT = 64;
const HEAD = VhostUserHeader.size;
/** Bytes of one call that are looked at: a message is no longer. */
const MOST = HEAD + VHOST_USER_MAX_PAYLOAD;

/** What a strace of one end of a connection can show when it prints enough of each call. */
export const VHOST_USER_KINDS = vhostUserCaptureReader.shows;

/** Bytes that one call has moved. */
interface Chunk {
  /** As far as they were printed. */
  bytes: Uint8Array;
  /** How many there were. */
  length: number;
  fds: number;
  at: At;
}

/** A message that is not whole yet. */
interface Begun {
  head: { request: number; flags: number; size: number };
  payload: Uint8Array[];
  /** Bytes of the payload that have come, printed or not. */
  have: number;
  fds: number;
  at: At;
}

/** A message, and where its header stands. */
interface Whole {
  head: Begun['head'];
  payload: Uint8Array;
  fds: number;
  at: At;
}

/** One direction of a connection: calls in, whole messages out. */
class Direction {
  #begun: Begun | undefined;
  /** The payload is read by calls that are not traced: a header is all there is. */
  #headersOnly = false;
  #lost = false;

  /** The other side has spoken: a message whose payload was not traced is over. */
  flush(): Whole[] {
    const begun = this.#begun;
    if (begun === undefined || begun.have > 0 || !this.#headersOnly) return [];
    return [this.#end(begun)];
  }

  take(chunk: Chunk): Whole[] {
    const found: Whole[] = [];
    let from = 0;
    if (this.#begun !== undefined && this.#isNext(this.#begun, chunk)) {
      this.#headersOnly = true;
      found.push(this.#end(this.#begun));
    }
    while (from < chunk.length && !this.#lost) {
      const begun = this.#begun ?? this.#begin(chunk, from);
      if (this.#begun === undefined) from += HEAD;
      if (begun === undefined) return found;
      this.#begun = begun;
      from += fill(begun, chunk, from);
      if (begun.have === begun.head.size || (this.#headersOnly && begun.have === 0))
        found.push(this.#end(begun));
    }
    return found;
  }

  /** A header where a payload was due, nothing of which has come. */
  #isNext(begun: Begun, chunk: Chunk): boolean {
    return begun.have === 0 && chunk.length !== begun.head.size && headerIn(chunk, 0) !== undefined;
  }

  #begin(chunk: Chunk, from: number): Begun | undefined {
    const head = headerIn(chunk, from);
    // A header that cannot be read leaves no place to go on from.
    if (head === undefined) this.#lost = true;
    return head && { head, payload: [], have: 0, fds: chunk.fds, at: chunk.at };
  }

  #end(begun: Begun): Whole {
    this.#begun = undefined;
    return { head: begun.head, payload: Buffer.concat(begun.payload), fds: begun.fds, at: begun.at };
  }
}

/** Puts what the chunk has of the payload into the message; returns how many bytes that were. */
function fill(begun: Begun, chunk: Chunk, from: number): number {
  const most = Math.min(begun.head.size - begun.have, chunk.length - from);
  const printed = chunk.bytes.subarray(from, from + most);
  // Bytes behind some that were not printed have no place.
  const seen = begun.payload.reduce((sum, part) => sum + part.length, 0);
  if (seen === begun.have && printed.length > 0) begun.payload.push(printed);
  begun.have += most;
  if (from === 0) begun.fds += chunk.fds;
  return most;
}

function headerIn(chunk: Chunk, from: number): Begun['head'] | undefined {
  if (chunk.bytes.length < from + HEAD) return undefined;
  const head = VhostUserHeader.decode(chunk.bytes, { offset: from });
  return plausibleHeader(head) ? head : undefined;
}

/** One end of a connection. */
interface Socket {
  readonly device: string;
  readonly connection: VhostUserConnection;
  /** The traced program is the back end: what it receives comes from the front end. */
  readonly isBackEnd: boolean;
  readonly received: Direction;
  readonly sent: Direction;
  ended: boolean;
  /** The process that uses it: what a fork of it closes stays open. */
  process: number;
}

/**
 * vhost-user sockets of the traced program, found by what goes over them: a first call that moves the header of a
 * request, or a whole request. Nothing else is taken for one.
 */
export class VhostUserSockets {
  readonly #sockets = new Map<number, Socket>();
  seen = false;

  /** The events of a call on a descriptor, by one process. */
  call(call: StraceCall, fd: number, process: number, at: At): TraceEvent[] {
    const receives = RECEIVES.has(call.name);
    if ((!receives && !SENDS.has(call.name)) || call.errno !== 0) return [];
    const known = this.#sockets.get(fd);
    if (known !== undefined && call.ret === 0 && receives) known.ended = true;
    if (call.ret <= 0) return [];
    if (known === undefined && (call.ret < HEAD || call.ret > MOST)) return [];
    const transfer = straceTransfer(call.rest, Math.min(MOST, call.ret));
    if (transfer === undefined) return [];
    const chunk = { ...transfer, length: call.ret, at };
    const socket = known ?? this.#found(chunk, fd, receives);
    if (socket === undefined) return [];
    socket.process = process;
    const opened: TraceEvent[] =
      known === undefined ? [{ kind: 'vhost_open', ...at, device: socket.device, interface: 'user' }] : [];
    return [...opened, ...this.#messages(socket, chunk, receives)];
  }

  closed(fd: number, process: number, at: At): TraceEvent[] {
    const socket = this.#sockets.get(fd);
    if (socket === undefined || socket.process !== process) return [];
    this.#sockets.delete(fd);
    const lost = socket.ended && !socket.isBackEnd;
    return [{ kind: 'vhost_close', ...at, device: socket.device, interface: 'user', lost }];
  }

  #found(chunk: Chunk, fd: number, receives: boolean): Socket | undefined {
    const head = headerIn(chunk, 0);
    if (head === undefined || (head.flags & VHOST_USER_FLAGS.REPLY) !== 0) return undefined;
    if (chunk.length !== HEAD && chunk.length !== HEAD + head.size) return undefined;
    if (this.#isBackChannel(head, receives)) return undefined;
    const device = `vhost-user fd ${fd}`;
    const socket: Socket = {
      device,
      connection: new VhostUserConnection(device),
      isBackEnd: receives,
      received: new Direction(),
      sent: new Direction(),
      ended: false,
      process: 0,
    };
    put(this.#sockets, fd, socket, LIMIT);
    this.seen = true;
    return socket;
  }

  /** The channel on which a back end asks has the same headers, and its requests go the other way. */
  #isBackChannel(head: Begun['head'], receives: boolean): boolean {
    const begins = head.request === VHOST_USER_REQUESTS.GET_FEATURES && head.size === 0;
    return !begins && [...this.#sockets.values()].some(({ isBackEnd }) => isBackEnd !== receives);
  }

  #messages(socket: Socket, chunk: Chunk, receives: boolean): TraceEvent[] {
    const [here, there] = receives ? [socket.received, socket.sent] : [socket.sent, socket.received];
    return [
      ...there.flush().flatMap((message) => this.#tell(socket, message, !receives)),
      ...here.take(chunk).flatMap((message) => this.#tell(socket, message, receives)),
    ];
  }

  #tell(socket: Socket, { head, payload, fds, at }: Whole, received: boolean): TraceEvent[] {
    const from = received === socket.isBackEnd ? 'front_end' : 'back_end';
    return socket.connection.message({ from, ...head, payload, fds }, at);
  }
}
