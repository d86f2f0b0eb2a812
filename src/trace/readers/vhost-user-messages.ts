import { ERRNO } from '../../uapi/errno.js';
import {
  VHOST_USER_ANSWERED,
  VHOST_USER_FLAGS,
  VHOST_USER_MAX_PAYLOAD,
  VHOST_USER_PROTOCOL_FEATURES,
  VHOST_USER_REQUESTS,
  VHOST_USER_STATE_REPLY,
  VHOST_USER_VRING_FD,
  type VhostUserRequest,
  vhostUserRequest,
} from '../../uapi/vhost-user.js';
import type { TraceEvent } from '../event.js';
import { known } from './uapi-calls.js';
import { Payload, type Place, requestEvents } from './vhost-user-requests.js';

/** One message of a vhost-user connection. */
export interface VhostUserMessage {
  from: 'front_end' | 'back_end';
  /** Number of the request. */
  request: number;
  /** Flags of the header: version, reply, need_reply. */
  flags: number;
  /** Bytes of the payload, by the header. */
  size: number;
  /** The payload: empty when it was not seen, short when it was not seen whole. */
  payload: Uint8Array;
  /** Descriptors that came with it, where that was seen. */
  fds?: number;
}

const VRING_FDS: ReadonlySet<number> = new Set([
  VHOST_USER_REQUESTS.SET_VRING_KICK,
  VHOST_USER_REQUESTS.SET_VRING_CALL,
  VHOST_USER_REQUESTS.SET_VRING_ERR,
]);

/** Most requests that wait for an answer; there is no message id, and answers come in order. */
const MAX_WAITING = 64;

/** Bytes of an acknowledgement. */
const ACK = 8;

/** A request that waits for its answer. */
interface Waiting {
  request: VhostUserRequest;
  payload: Payload;
  at: Place;
}

/** Whether a header can be one of vhost-user: version 1, a known request, a payload that fits. */
export function plausibleHeader(head: { request: number; flags: number; size: number }): boolean {
  const { VERSION, VERSION_MASK, REPLY, NEED_REPLY } = VHOST_USER_FLAGS;
  return (
    vhostUserRequest(head.request) !== undefined &&
    (head.flags & VERSION_MASK) === VERSION &&
    (head.flags & ~(VERSION_MASK | REPLY | NEED_REPLY)) === 0 &&
    head.size <= VHOST_USER_MAX_PAYLOAD
  );
}

/** Protocol features that decide what is answered. */
const { REPLY_ACK, LOG_SHMFD } = VHOST_USER_PROTOCOL_FEATURES;

/**
 * Turns the messages of one connection into events. Each message is told as `vhost_message`; a request that has an
 * answer is told when the answer comes, with its result, any other at once, without one. What a payload that was
 * not seen would say is left out; where it would say which ring a request is of, the request is a message only.
 * A back end that refuses gives no error number; it is shown as EIO.
 */
export class VhostUserConnection {
  readonly #device: string;
  #waiting: Waiting[] = [];
  /** Protocol features that were negotiated; absent where SET_PROTOCOL_FEATURES was not seen. */
  #features: bigint | undefined;
  #postcopy = false;

  constructor(device: string) {
    this.#device = device;
  }

  /** The events of one message. */
  message(message: VhostUserMessage, place: Omit<Place, 'device'>): TraceEvent[] {
    const at: Place = { ...place, device: this.#device };
    const name = vhostUserRequest(message.request);
    const reply = (message.flags & VHOST_USER_FLAGS.REPLY) !== 0;
    const needReply = (message.flags & VHOST_USER_FLAGS.NEED_REPLY) !== 0;
    const payload = new Payload(message.payload);
    const told: TraceEvent = {
      kind: 'vhost_message',
      ...at,
      request: name ?? message.request,
      from: message.from,
      reply,
      needReply,
      size: message.size,
      ...known('fds', message.fds),
      ...known('noFd', VRING_FDS.has(message.request) && !reply ? noFd(payload) : undefined),
    };
    if (name === undefined) return [told];
    if (message.from === 'back_end')
      return reply ? [told, ...this.#answer(name, payload, message.size, at)] : [told];
    if (reply) return [told];
    return [told, ...this.#request(name, payload, needReply, message.size, at)];
  }

  #request(
    request: VhostUserRequest,
    payload: Payload,
    needReply: boolean,
    size: number,
    at: Place,
  ): TraceEvent[] {
    if (request === 'SET_PROTOCOL_FEATURES') this.#features = payload.u64(0);
    // In post-copy the front end acknowledges the answer to its memory table with a message that has no regions.
    if (this.#postcopy && request === 'SET_MEM_TABLE' && size <= ACK) return [];
    if (request === 'POSTCOPY_LISTEN') this.#postcopy = true;
    const waiting: Waiting = { request, payload, at };
    if (!this.#isAnswered(request, needReply)) return requestEvents(waiting.request, payload, at, undefined);
    this.#waiting.push(waiting);
    return this.#waiting.length > MAX_WAITING ? this.#tellFirst() : [];
  }

  #isAnswered(request: VhostUserRequest, needReply: boolean): boolean {
    if (VHOST_USER_ANSWERED.has(request)) return true;
    if (request === 'SET_LOG_BASE' && this.#has(LOG_SHMFD) !== false) return true;
    if (this.#postcopy && MEMORY.has(request)) return true;
    return needReply && this.#has(REPLY_ACK) !== false;
  }

  /** Whether a protocol feature was negotiated, where that is known. */
  #has(bit: number): boolean | undefined {
    return this.#features === undefined ? undefined : ((this.#features >> BigInt(bit)) & 1n) === 1n;
  }

  /** Requests before the one that is answered were not: they are told without a result. */
  #answer(request: VhostUserRequest, payload: Payload, size: number, at: Place): TraceEvent[] {
    const found = this.#waiting.findIndex((each) => each.request === request);
    if (found < 0) return [];
    const events: TraceEvent[] = [];
    for (let n = 0; n < found; n++) events.push(...this.#tellFirst());
    const { payload: asked } = this.#waiting.shift()!;
    return [
      ...events,
      ...requestEvents(request, asked, at, { payload, errno: errnoOf(request, payload, size) }),
    ];
  }

  #tellFirst(): TraceEvent[] {
    const { request, payload, at } = this.#waiting.shift()!;
    return requestEvents(request, payload, at, undefined);
  }
}

/** Answers that carry what was asked for; every other says 0 for success. */
const VALUES: ReadonlySet<VhostUserRequest> = new Set([
  'GET_FEATURES',
  'GET_PROTOCOL_FEATURES',
  'GET_VRING_BASE',
  'GET_VRING_BASE_SKIP_DRAIN',
  'GET_INFLIGHT_FD',
  'POSTCOPY_ADVISE',
  // Any payload will do: back ends differ in it, and a front end looks at the request alone.
  'SET_LOG_BASE',
]);

/** Requests whose answer in post-copy says where the back end has mapped the memory. */
const MEMORY: ReadonlySet<VhostUserRequest> = new Set(['SET_MEM_TABLE', 'ADD_MEM_REG']);

/** 0, EIO, or `undefined` where the answer was not seen. */
function errnoOf(request: VhostUserRequest, payload: Payload, size: number): number | undefined {
  if (VALUES.has(request)) return 0;
  // GET_CONFIG fails by an empty answer.
  if (request === 'GET_CONFIG') return size === 0 ? ERRNO.EIO! : 0;
  // In post-copy, where the back end has the memory.
  if (MEMORY.has(request) && size > ACK) return 0;
  const value = payload.u64(0);
  if (value === undefined) return undefined;
  const error =
    request === 'SET_DEVICE_STATE_FD' ? Number(value & BigInt(VHOST_USER_STATE_REPLY.ERROR_MASK)) : value;
  return Number(error) === 0 ? 0 : ERRNO.EIO!;
}

function noFd(payload: Payload): boolean | undefined {
  const value = payload.u64(0);
  return value === undefined ? undefined : (value & BigInt(VHOST_USER_VRING_FD.NO_FD)) !== 0n;
}
