/** Messages of a front end, changed by a seed and with descriptors of all kinds, against a vhost-user back end. */
import { closeSync, openSync } from 'node:fs';
import type { Linux } from '../../src/linux/index.js';
import { VringAddr, VringState } from '../../src/uapi/vhost.js';
import {
  VHOST_USER_FLAGS,
  VHOST_USER_REQUESTS,
  VhostUserConfig,
  VhostUserHeader,
  VhostUserInflight,
  VhostUserLog,
  type VhostUserRequest,
  VhostUserTransfer,
} from '../../src/uapi/vhost-user.js';
import { VhostUserConnection } from '../../src/vhost-user/index.js';
import { encodeIotlb, encodeMemTable, encodeVringFd, u64 } from '../../src/vhost-user/messages.js';
import { numbers } from '../vfio-user/fuzz.js';
import { ALL_FEATURES, SERVED_PROTOCOL } from './fake-device.js';

/** How long a back end may take for one connection's messages before it counts as hung, in milliseconds. */
const PATIENCE = 30_000;
/** Messages of one connection at most. */
const MOST = 64;
const PAGE = 4096;

export interface FuzzCount {
  messages: number;
  connections: number;
  replies: number;
  /** Replies that say that something failed. */
  failures: number;
  /** Connections that lived until the front end closed them. */
  survived: number;
}

/** What can be sent with a message. */
type Kind = 'memory' | 'short' | 'event' | 'full' | 'pipe' | 'end' | 'socket' | 'null' | 'file' | 'same';

/** Good messages to begin with: request, payload, and what goes along. */
const GOOD: readonly (readonly [VhostUserRequest, Uint8Array, ...Kind[]])[] = [
  ['GET_FEATURES', u64(0).subarray(8)],
  ['SET_FEATURES', u64(ALL_FEATURES)],
  ['GET_PROTOCOL_FEATURES', u64(0).subarray(8)],
  ['SET_PROTOCOL_FEATURES', u64(SERVED_PROTOCOL)],
  ['SET_OWNER', u64(0).subarray(8)],
  ['GET_QUEUE_NUM', u64(0).subarray(8)],
  [
    'SET_MEM_TABLE',
    encodeMemTable([{ gpa: 0, size: 16 * PAGE, uaddr: 0x7f00_0000_0000, mmapOffset: 0 }]),
    'memory',
  ],
  [
    'SET_MEM_TABLE',
    encodeMemTable([
      { gpa: 0, size: 4 * PAGE, uaddr: 0x7f00_0000_0000, mmapOffset: 0 },
      { gpa: 0x1_0000_0000, size: 8 * PAGE, uaddr: 0x7f10_0000_0000, mmapOffset: 8 * PAGE },
    ]),
    'memory',
    'memory',
  ],
  ['SET_LOG_BASE', VhostUserLog.encode({ mmap_size: BigInt(PAGE), mmap_offset: 0n }), 'memory'],
  ['SET_VRING_NUM', VringState.encode({ index: 0, num: 256 })],
  ['SET_VRING_BASE', VringState.encode({ index: 0, num: 0 })],
  [
    'SET_VRING_ADDR',
    VringAddr.encode({
      index: 0,
      flags: 1,
      desc_user_addr: 0x7f00_0000_0000n,
      used_user_addr: 0x7f00_0000_2000n,
      avail_user_addr: 0x7f00_0000_1000n,
      log_guest_addr: 0x2000n,
    }),
  ],
  ['SET_VRING_KICK', encodeVringFd(0, true), 'event'],
  ['SET_VRING_KICK', encodeVringFd(1, true), 'event'],
  ['SET_VRING_CALL', encodeVringFd(0, true), 'event'],
  ['SET_VRING_CALL', encodeVringFd(0, false)],
  ['SET_VRING_ERR', encodeVringFd(0, true), 'event'],
  ['SET_VRING_ENABLE', VringState.encode({ index: 0, num: 1 })],
  ['GET_VRING_BASE', VringState.encode({ index: 0, num: 0 })],
  ['SEND_RARP', u64(0x0102_0304_0506n)],
  ['IOTLB_MSG', encodeIotlb({ type: 2, asid: 0, iova: 0, size: PAGE, uaddr: 0, perm: 3 })],
  ['GET_CONFIG', Buffer.concat([VhostUserConfig.encode({ offset: 0, size: 8, flags: 0 }), Buffer.alloc(8)])],
  ['SET_CONFIG', Buffer.concat([VhostUserConfig.encode({ offset: 0, size: 6, flags: 1 }), Buffer.alloc(6)])],
  [
    'GET_INFLIGHT_FD',
    VhostUserInflight.encode({ mmap_size: 0n, mmap_offset: 0n, num_queues: 2, queue_size: 256 }),
  ],
  [
    'SET_INFLIGHT_FD',
    VhostUserInflight.encode({ mmap_size: BigInt(PAGE), mmap_offset: 0n, num_queues: 2, queue_size: 256 }),
    'memory',
  ],
  ['RESET_DEVICE', u64(0).subarray(8)],
  ['SET_STATUS', u64(15)],
  ['GET_STATUS', u64(0).subarray(8)],
  ['SET_DEVICE_STATE_FD', VhostUserTransfer.encode({ direction: 0, phase: 0 }), 'pipe'],
  ['SET_DEVICE_STATE_FD', VhostUserTransfer.encode({ direction: 1, phase: 0 }), 'end'],
  ['CHECK_DEVICE_STATE', u64(0).subarray(8)],
];

const EDGES = [
  0n,
  1n,
  7n,
  255n,
  0x1000n,
  0x7fff_ffffn,
  0xffff_ffffn,
  1n << 40n,
  (1n << 53n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];
const KINDS: readonly Kind[] = [
  'memory',
  'short',
  'event',
  'full',
  'pipe',
  'end',
  'socket',
  'null',
  'file',
  'same',
];

type Draw = ReturnType<typeof numbers>;

/** Descriptors of all kinds, and what else has to be closed with them. */
class Descriptors {
  readonly #linux: Linux;
  readonly #open = new Map<Kind, number>();
  readonly #also: number[] = [];
  readonly #self: number;

  constructor(linux: Linux, self: number) {
    this.#linux = linux;
    this.#self = self;
  }

  get(kind: Kind): number {
    const known = this.#open.get(kind);
    if (known !== undefined) return known;
    const fd = this.#make(kind);
    this.#open.set(kind, fd);
    return fd;
  }

  /** Kicks whoever listens, and lets go what was sent. */
  stir(): void {
    const event = this.#open.get('event');
    if (event !== undefined) this.#linux.writeEvent(event);
  }

  close(): void {
    for (const fd of [...this.#open.values(), ...this.#also]) this.#linux.close(fd);
  }

  #make(kind: Kind): number {
    const linux = this.#linux;
    switch (kind) {
      case 'memory':
        return linux.memfd('fuzz', 16 * PAGE);
      case 'short':
        return linux.memfd('fuzz', 100);
      case 'event':
        return linux.eventfd(1);
      case 'full': {
        const fd = linux.eventfd();
        linux.writeEvent(fd, 0xffff_ffff_ffff_fffen);
        linux.setNonBlocking(fd, false);
        return fd;
      }
      case 'pipe': {
        const [read, write] = linux.pipe();
        this.#also.push(read);
        return write;
      }
      case 'end': {
        const [read, write] = linux.pipe();
        linux.write(write, new Uint8Array(1000));
        linux.close(write);
        return read;
      }
      case 'socket': {
        const [one, other] = linux.socketpair();
        this.#also.push(one);
        return other;
      }
      case 'null':
        return linux.dup(this.#node('/dev/null'));
      case 'file':
        return linux.dup(this.#node('/proc/self/status'));
      case 'same':
        return linux.dup(this.#self);
    }
  }

  #node(path: string): number {
    const fd = openSync(path, 'r');
    const copy = this.#linux.dup(fd);
    closeSync(fd);
    this.#also.push(copy);
    return copy;
  }
}

/** A message with changes, and what goes along. */
function changed(draw: Draw): { bytes: Uint8Array; kinds: Kind[] } {
  const [name, good, ...with_] = GOOD[draw(GOOD.length)]!;
  let payload = Buffer.from(good);
  let kinds = [...with_];
  const kind = draw(24);
  if (kind === 0) payload = payload.subarray(0, draw(payload.length + 1));
  if (kind === 1) payload = Buffer.concat([payload, Buffer.alloc(draw(300), draw(256))]);
  for (let changes = kind >= 2 && kind < 5 ? 1 + draw(3) : 0; changes > 0 && payload.length >= 8; changes--) {
    const at = 8 * draw(payload.length >> 3);
    if (draw(2) === 0) payload.writeBigUInt64LE(EDGES[draw(EDGES.length)]!, at);
    else payload[at + draw(8)]! ^= 1 << draw(8);
  }
  if (kind === 5) kinds = kinds.map(() => KINDS[draw(KINDS.length)]!);
  if (kind === 6)
    kinds = Array.from({ length: draw(draw(5) === 0 ? 30 : 3) }, () => KINDS[draw(KINDS.length)]!);
  const request = draw(30) === 0 ? draw(60) : VHOST_USER_REQUESTS[name];
  let flags: number = VHOST_USER_FLAGS.VERSION | (draw(4) === 0 ? 0 : VHOST_USER_FLAGS.NEED_REPLY);
  if (draw(60) === 0) flags = draw(0x1_0000_0000);
  const size = draw(60) === 0 ? Number(EDGES[draw(7)]!) : payload.length;
  return { bytes: Buffer.concat([VhostUserHeader.encode({ request, flags, size }), payload]), kinds };
}

/** Who may hang: told with what was going on. */
async function inTime<T>(what: Promise<T>, doing: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${doing}: nothing within ${PATIENCE} ms`)), PATIENCE);
  });
  return Promise.race([what, late]).finally(() => clearTimeout(timer));
}

/** One connection: features, then changed messages, while answers are read; then it is closed, or cut. */
async function connection(
  linux: Linux,
  fd: number,
  draw: Draw,
  most: number,
  count: FuzzCount,
): Promise<void> {
  const it = new VhostUserConnection(linux, fd);
  const own = new Descriptors(linux, fd);
  let isOver = false;
  const reading = (async () => {
    for (let reply = await it.next(); reply !== null; reply = await it.next()) {
      count.replies++;
      for (const each of reply.fds.splice(0)) linux.close(each);
      if (reply.payload.length === 8 && reply.payload[0] !== 0) count.failures++;
    }
  })()
    .catch(() => {})
    .finally(() => {
      isOver = true;
    });
  const begin = [
    ['GET_FEATURES', new Uint8Array()],
    ['SET_PROTOCOL_FEATURES', u64(SERVED_PROTOCOL)],
  ] as const;
  try {
    for (const [request, payload] of draw(20) === 0 ? [] : begin) {
      const header = { request: VHOST_USER_REQUESTS[request], flags: 1, size: payload.length };
      await it.send(Buffer.concat([VhostUserHeader.encode(header), payload]));
    }
    const size = 1 + draw(most);
    count.connections++;
    for (let index = 0; index < size && !isOver; index++) {
      const { bytes, kinds } = changed(draw);
      count.messages++;
      await inTime(
        it.send(
          bytes,
          kinds.map((kind) => own.get(kind)),
        ),
        'a message',
      );
      if (draw(8) === 0) own.stir();
      if (draw(4) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (draw(10) === 0) await it.send(new Uint8Array(1 + draw(20)));
    else if (!isOver) count.survived++;
  } catch (error) {
    if ((error as { code?: string }).code !== 'EPIPE') throw error;
  } finally {
    own.close();
  }
  // Some wait for what is still to come.
  if (draw(3) === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  it.close();
  await inTime(reading, 'the answers');
}

/** Sends at least so many changed messages, over many connections, each made by `connect`. */
export async function fuzzBackEnd(
  linux: Linux,
  connect: () => Promise<{ fd: number; ended?: Promise<unknown> }>,
  messages: number,
  seed: number,
): Promise<FuzzCount> {
  const count: FuzzCount = { messages: 0, connections: 0, replies: 0, failures: 0, survived: 0 };
  const draw = numbers(seed);
  while (count.messages < messages) {
    const { fd, ended } = await connect();
    await connection(linux, fd, draw, Math.min(MOST, messages - count.messages), count);
    if (ended !== undefined) await inTime(ended, 'the end of a session');
  }
  return count;
}
