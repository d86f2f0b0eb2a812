/** Messages of a client, changed by a seed, against a server of vfio-user. */
import { connect } from '../../src/transport/index.js';
import { FEATURE_FLAGS, FEATURES } from '../../src/uapi/vfio.js';
import { encodeVfioUserMessage, VFIO_USER_COMMANDS, type VfioUserCommand } from '../../src/uapi/vfio-user.js';
import { encodeVfioUserVersion, VFIO_USER_DEFAULTS } from '../../src/uapi/vfio-user-version.js';
import { FrameParser, type VfioUserMessage } from '../../src/vfio-user/index.js';

/** How long a server may take for one connection's messages before it counts as hung, in milliseconds. */
const PATIENCE = 30_000;
/** Messages of one connection at most. */
const MOST = 96;
/** Id of the good message at the end of a connection. */
const LAST = 0xffff;

export interface FuzzCount {
  messages: number;
  connections: number;
  replies: number;
  refused: number;
  /** Connections that the server has closed. */
  closed: number;
  slowest: number;
}

const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
const u64 = (...values: bigint[]) => Buffer.from(BigUint64Array.from(values).buffer);
const { GET, SET, PROBE } = FEATURE_FLAGS;
const feature = (flags: number, data: Uint8Array = u32(), room = data.length): Uint8Array =>
  Buffer.concat([u32(8 + room, flags), data]);
const set = (state: number) => feature(FEATURES.MIG_DEVICE_STATE | SET, u32(state, 0xffff_ffff));

/** Good payloads to begin with. */
const GOOD: readonly (readonly [VfioUserCommand, Uint8Array])[] = [
  ['VERSION', encodeVfioUserVersion({ major: 0, minor: 2 }, VFIO_USER_DEFAULTS)],
  ['DMA_MAP', Buffer.concat([u32(32, 3), u64(0n, 0n, 0x10_0000n)])],
  ['DMA_UNMAP', Buffer.concat([u32(24, 0), u64(0n, 0x10_0000n)])],
  ['DMA_UNMAP', Buffer.concat([u32(64, 1), u64(0n, 0x10_0000n, 4096n, 32n)])],
  ['DEVICE_GET_INFO', u32(16, 0, 0, 0)],
  ['DEVICE_GET_REGION_INFO', u32(32, 0, 7, 0, 0, 0, 0, 0)],
  ['DEVICE_GET_REGION_IO_FDS', u32(16, 0, 0, 0)],
  ['DEVICE_GET_IRQ_INFO', u32(16, 0, 2, 0)],
  ['DEVICE_SET_IRQS', u32(20, 0x24, 2, 0, 1)],
  ['REGION_READ', Buffer.concat([u64(0n), u32(7, 256)])],
  ['REGION_READ', Buffer.concat([u64(0x8400n), u32(0, 4)])],
  ['REGION_WRITE', Buffer.concat([u64(0x10n), u32(7, 8), u64(0xffff_ffff_ffff_ffffn)])],
  ['REGION_WRITE', Buffer.concat([u64(0x7c00n), u32(0, 4), u32(0x1000)])],
  ['REGION_WRITE', Buffer.concat([u64(0x6800n), u32(0, 4), u32(0x8000_0020)])],
  ['REGION_WRITE', Buffer.concat([u64(0x8400n), u32(0, 4), u32(3)])],
  ['REGION_WRITE_MULTI', Buffer.concat([u64(1n, 0n), u32(0, 4), u64(1n)])],
  ['DMA_READ', u64(0n, 64n)],
  ['DEVICE_RESET', u32()],
  ['DEVICE_FEATURE', feature(FEATURES.MIGRATION | GET, u32(), 8)],
  ['DEVICE_FEATURE', feature(FEATURES.MIG_DEVICE_STATE | GET, u32(), 8)],
  ['DEVICE_FEATURE', feature(FEATURES.DMA_LOGGING_START | SET | PROBE)],
  ['DEVICE_FEATURE', feature(FEATURES.DMA_LOGGING_START | SET, Buffer.concat([u64(4096n), u32(0, 0)]))],
  ['DEVICE_FEATURE', feature(FEATURES.DMA_LOGGING_REPORT | GET, u64(0n, 0x10_0000n, 4096n), 56)],
  ['DEVICE_FEATURE', feature(FEATURES.DMA_LOGGING_STOP | SET)],
  ...[1, 2, 3, 4, 6].map((state) => ['DEVICE_FEATURE', set(state)] as const),
  ['MIG_DATA_READ', u32(8 + 4096, 4096)],
  ['MIG_DATA_WRITE', Buffer.concat([u32(24, 16), Buffer.alloc(16, 0x41)])],
];

/** Values at which code tends to go wrong. */
const EDGES = [
  0, 1, 2, 7, 15, 16, 0x7fff, 0xffff, 0x10_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
];

/** A generator of numbers below 2^32 (mulberry32). */
export function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Draw = ReturnType<typeof numbers>;

function message(msgId: number, command: number, payload: Uint8Array, noReply = false): Buffer {
  const head = { msgId, command, type: 'command', noReply, failed: false, errno: 0 } as const;
  return Buffer.from(encodeVfioUserMessage(head, payload));
}

/** A message with changes. The frame stays whole, so that what follows it still is a message. */
function changed(draw: Draw, id: number): Buffer {
  const [name, good] = GOOD[draw(GOOD.length)]!;
  let payload = Buffer.from(good);
  const kind = draw(8);
  if (kind === 0) payload = payload.subarray(0, draw(payload.length + 1));
  if (kind === 1) payload = Buffer.concat([payload, Buffer.alloc(draw(300), draw(256))]);
  if (kind === 2) payload = Buffer.from(Array.from({ length: draw(64) }, () => draw(256)));
  for (let changes = kind >= 3 && kind < 7 ? 1 + draw(3) : 0; changes > 0 && payload.length >= 4; changes--) {
    const at = 4 * draw(payload.length >> 2);
    if (draw(2) === 0) payload.writeUInt32LE(EDGES[draw(EDGES.length)]!, at);
    else payload[at + draw(4)]! ^= 1 << draw(8);
  }
  const command = draw(20) === 0 ? draw(0x1_0000) : VFIO_USER_COMMANDS[name];
  const bytes = message(id, command, payload, draw(20) === 0);
  // Error bit, reserved bits, errno, or a reply that nobody waits for.
  if (draw(20) === 0) bytes.writeUInt32LE((draw(2) | (draw(0x1000_0000) << 4)) >>> 0, 8);
  return bytes;
}

/** A header that cannot be: the connection is over with it. */
function broken(draw: Draw): Buffer {
  const bytes = message(draw(0xffff), draw(20), Buffer.alloc(0));
  if (draw(2) === 0) bytes.writeUInt32LE(EDGES[draw(4)]!, 4);
  else bytes.writeUInt32LE([0x20_0000, 0x7fff_ffff, 0xffff_ffff][draw(3)]!, 4);
  return bytes;
}

/** Answers a DMA message of the server: well, badly, or not at all. */
function answerTo({ head, payload }: VfioUserMessage, draw: Draw): Uint8Array | null {
  const kind = draw(16);
  if (kind === 0) return null;
  const reply = { ...head, type: 'reply' as const, noReply: false };
  if (kind < 3) return encodeVfioUserMessage({ ...reply, failed: true, errno: 14 });
  if (kind < 5) return encodeVfioUserMessage(reply, payload.subarray(0, draw(17)));
  const size = payload.length < 16 ? 0 : Math.min(Buffer.from(payload).readUInt32LE(8), 0x1_0000);
  const data = head.command === VFIO_USER_COMMANDS.DMA_READ ? Buffer.alloc(size, draw(256)) : Buffer.alloc(0);
  return encodeVfioUserMessage(reply, Buffer.concat([payload.subarray(0, 16), data]));
}

/**
 * One connection: a version, changed messages, and at the end a good one, whose reply is waited for.
 * @throws Error when the server neither answers nor closes in time
 */
async function connection(path: string, draw: Draw, most: number, count: FuzzCount): Promise<void> {
  const channel = await connect({ kind: 'unix', path }, { retryFor: 5000 });
  const parser = new FrameParser(1 << 22);
  const begun = performance.now();
  let done: (() => void) | null = null;
  const last = new Promise<void>((resolve) => {
    done = resolve;
  });
  const received = channel
    .receive((block) => {
      parser.push(block, (it) => {
        if (it.head.type === 'command') {
          const answer = answerTo(it, draw);
          if (answer !== null) void channel.write(answer);
          return;
        }
        count.replies++;
        if (it.head.failed) count.refused++;
        if (it.head.msgId === LAST) done?.();
      });
    })
    .then(
      () => count.closed++,
      () => count.closed++,
    );
  const size = 1 + draw(most);
  const parts = draw(50) === 0 ? [] : [message(0, VFIO_USER_COMMANDS.VERSION, GOOD[0]![1])];
  for (let index = 1; index <= size; index++) parts.push(changed(draw, index));
  if (draw(4) === 0) parts.push(broken(draw));
  parts.push(message(LAST, VFIO_USER_COMMANDS.DEVICE_GET_INFO, u32(16, 0, 0, 0)));
  count.messages += size;
  count.connections++;
  // In pieces of any size, as a socket gives them.
  const bytes = Buffer.concat(parts);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + draw(draw(3) === 0 ? 40 : 8192);
    await Promise.resolve(channel.write(bytes.subarray(at, end))).catch(() => {});
    at = end;
  }
  if (draw(10) !== 0) await inTime(Promise.race([last, received]));
  channel.destroy();
  await received;
  count.slowest = Math.max(count.slowest, performance.now() - begun);
}

async function inTime(what: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no reply within ${PATIENCE} ms: the server hangs`)), PATIENCE);
  });
  await Promise.race([what, late]).finally(() => clearTimeout(timer));
}

/** Sends at least so many changed messages, over many connections. */
export async function fuzzServer(path: string, messages: number, seed: number): Promise<FuzzCount> {
  const count: FuzzCount = { messages: 0, connections: 0, replies: 0, refused: 0, closed: 0, slowest: 0 };
  const draw = numbers(seed);
  while (count.messages < messages)
    await connection(path, draw, Math.min(MOST, messages - count.messages), count);
  return count;
}
