import { describe, expect, test } from 'vitest';
import { Uart } from '../../devices/uart/uart.js';
import { connect } from '../../src/transport/index.js';
import { errnoName } from '../../src/uapi/errno.js';
import { encodeVfioUserMessage, VFIO_USER_COMMANDS, type VfioUserCommand } from '../../src/uapi/vfio-user.js';
import { FrameParser, type VfioUserMessage } from '../../src/vfio-user/index.js';
import { clientOf, served, shape } from './servers.js';

const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
const u64 = (...values: bigint[]) => Buffer.from(BigUint64Array.from(values).buffer);
const join = (...parts: Uint8Array[]) => Buffer.concat(parts);
const version = (json: string, major = 0, minor = 2) =>
  join(Uint8Array.of(major, 0, minor, 0), Buffer.from(json));
const GOOD_VERSION = version('{"capabilities":{"max_data_xfer_size":65536}}\0');

const message = (command: number, payload: Uint8Array, noReply = false) =>
  encodeVfioUserMessage(
    { msgId: 0xabc, command, type: 'command', noReply, failed: false, errno: 0 },
    payload,
  );

/** Sends bytes, and returns what came back until the server closed or, for `replies`, so many came. */
async function exchange(
  bytes: Uint8Array,
  replies: number,
): Promise<{ got: VfioUserMessage[]; closed: boolean }> {
  const path = await served({ device: new Uart(), ...shape(4096) });
  const channel = await connect({ kind: 'unix', path });
  const parser = new FrameParser(1 << 21);
  const got: VfioUserMessage[] = [];
  let enough = () => {};
  const all = new Promise<void>((resolve) => {
    enough = resolve;
  });
  let closed = false;
  const received = channel
    .receive((block) =>
      parser.push(block, (it) => {
        got.push(it);
        if (got.length === replies) enough();
      }),
    )
    .catch(() => {})
    .then(() => {
      closed = true;
    });
  await channel.write(bytes);
  await Promise.race([all, received]);
  // A server that has refused a connection closes it right behind its reply.
  await Promise.race([received, new Promise((resolve) => setTimeout(resolve, 30))]);
  channel.destroy();
  return { got, closed };
}

const told = ({ head }: VfioUserMessage) => (head.failed ? errnoName(head.errno) : 'OK');

describe('a version', () => {
  test.each([
    [
      'with all that can be said',
      version('{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true},"x":[1]}}\0'),
    ],
    ['without text', version('')],
    ['with an empty object', version('{}\0')],
    ['of QEMU', version('{"capabilities":{"pgsizes":4096,"write_multiple":true}}\0', 0, 0)],
    ['with text behind the NUL', version('{}\0rest')],
    ['of a newer minor', version('{}\0', 0, 77)],
  ])('%s is agreed on', async (_name, payload) => {
    const { got, closed } = await exchange(message(1, payload), 1);
    expect(got.map(told)).toEqual(['OK']);
    expect(closed).toBe(false);
    const answer = Buffer.from(got[0]!.payload);
    expect([answer.readUInt16LE(0), answer.readUInt16LE(2)]).toEqual([0, Math.min(payload[2]!, 2)]);
    expect(JSON.parse(answer.subarray(4, -1).toString())).toMatchObject({ capabilities: { max_msg_fds: 0 } });
  });

  test.each([
    ['of another major', version('{}\0', 1)],
    ['of 3 bytes', Uint8Array.of(0, 0, 2)],
    ['without the NUL', version('{}')],
    ['that is no JSON', version('{capabilities}\0')],
    ['that is a list', version('[]\0')],
    ['whose capabilities are a number', version('{"capabilities":3}\0')],
    ['with a size below 0', version('{"capabilities":{"max_data_xfer_size":-1}}\0')],
    ['with a size that is text', version('{"capabilities":{"max_data_xfer_size":"1"}}\0')],
  ])('%s is refused, and the connection closed', async (_name, payload) => {
    const { got, closed } = await exchange(message(1, payload), 2);
    expect(got.map(told)).toEqual(['EINVAL']);
    expect(closed).toBe(true);
  });

  test('comes first, and once', async () => {
    const first = await exchange(message(VFIO_USER_COMMANDS.DEVICE_GET_INFO, u32(16, 0, 0, 0)), 2);
    expect([first.got.map(told), first.closed]).toEqual([['EINVAL'], true]);
    const twice = await exchange(join(message(1, GOOD_VERSION), message(1, GOOD_VERSION)), 2);
    expect([twice.got.map(told), twice.closed]).toEqual([['OK', 'EINVAL'], false]);
  });
});

const head = (size: number, type: number) => join(Uint8Array.of(0x34, 0x12, 9, 0), u32(size, type, 0));

test.each([
  ['a size of 0', head(0, 0)],
  ['a size of 15', head(15, 0)],
  ['a size of 4 GiB', head(0xffff_ffff, 0)],
  ['a size of 2 MiB', head(1 << 21, 0)],
  ['a type that there is not', head(16, 5)],
])('%s gets an error reply after those due, and the connection is closed', async (_name, header) => {
  const get = message(VFIO_USER_COMMANDS.DEVICE_GET_INFO, u32(16, 0, 0, 0));
  const { got, closed } = await exchange(join(message(1, GOOD_VERSION), get, header, get), 9);
  expect(got.map(told)).toEqual(['OK', 'OK', 'EINVAL']);
  expect(got[2]!.head).toMatchObject({ msgId: 0x1234, command: 9, size: 16 });
  expect(closed).toBe(true);
});

const feature = (flags: number, data: Uint8Array = u32(), argsz = 8 + data.length) =>
  join(u32(argsz, flags), data);
const [GET, SET, PROBE] = [1 << 16, 1 << 17, 1 << 18];

/** Commands that get an error reply, and leave the connection as it is. */
const REFUSED: [string, VfioUserCommand | number, Uint8Array, string][] = [
  ['a command that there is not', 99, u32(), 'EINVAL'],
  ['the command that is gone', 14, u32(1), 'EINVAL'],
  ['a command for clients', 'DMA_READ', u64(0n, 8n), 'EINVAL'],
  ['an empty payload', 'DEVICE_GET_INFO', u32(), 'EINVAL'],
  ['argsz too small', 'DEVICE_GET_INFO', u32(15, 0, 0, 0), 'EINVAL'],
  ['a region that there is not', 'DEVICE_GET_REGION_INFO', u32(32, 0, 9, 0, 0, 0, 0, 0), 'EINVAL'],
  ['an interrupt that there is not', 'DEVICE_GET_IRQ_INFO', u32(16, 0, 5, 0), 'EINVAL'],
  ['an interrupt too many', 'DEVICE_SET_IRQS', u32(20, 0x24, 0, 0, 1), 'EINVAL'],
  ['two kinds of data', 'DEVICE_SET_IRQS', u32(20, 0x27, 0, 0, 0), 'EINVAL'],
  ['a read behind the region', 'REGION_READ', join(u64(4095n), u32(0, 2)), 'EINVAL'],
  ['a read of a region without bytes', 'REGION_READ', join(u64(0n), u32(1, 1)), 'EINVAL'],
  ['a read at 2^64', 'REGION_READ', join(u64(0xffff_ffff_ffff_ffffn), u32(0, 4)), 'EINVAL'],
  ['a read of 4 GiB', 'REGION_READ', join(u64(0n), u32(0, 0xffff_ffff)), 'EINVAL'],
  ['a write without its data', 'REGION_WRITE', join(u64(0n), u32(0, 4), Uint8Array.of(1)), 'EINVAL'],
  ['more writes than there are', 'REGION_WRITE_MULTI', u64(1n << 63n, 0n, 0n, 0n), 'EINVAL'],
  ['a write of 9 of 8 bytes', 'REGION_WRITE_MULTI', join(u64(1n, 0n), u32(0, 9), u64(0n)), 'EINVAL'],
  ['an empty range', 'DMA_MAP', join(u32(32, 3), u64(0n, 0n, 0n)), 'EINVAL'],
  ['a range over the end', 'DMA_MAP', join(u32(32, 3), u64(0n, 0xffff_ffff_ffff_f000n, 0x2000n)), 'EINVAL'],
  ['a range that is not mapped', 'DMA_UNMAP', join(u32(24, 0), u64(0n, 4096n)), 'ENOENT'],
  ['all, with an address', 'DMA_UNMAP', join(u32(24, 2), u64(4096n, 0n)), 'EINVAL'],
  ['both flags', 'DMA_UNMAP', join(u32(40, 3), u64(0n, 0n, 4096n, 8n)), 'EINVAL'],
  ['a feature that there is not', 'DEVICE_FEATURE', feature(9 | GET, u32(), 16), 'ENOTTY'],
  ['a SET of MIGRATION', 'DEVICE_FEATURE', feature(1 | SET, u64(5n)), 'EINVAL'],
  ['a GET and SET', 'DEVICE_FEATURE', feature(2 | GET | SET, u32(1, 0)), 'EINVAL'],
  ['neither GET nor SET', 'DEVICE_FEATURE', feature(2, u32(1, 0)), 'EINVAL'],
  ['a SET without its data', 'DEVICE_FEATURE', feature(2 | SET), 'EINVAL'],
  ['argsz without room for the answer', 'DEVICE_FEATURE', feature(2 | GET, u32(), 15), 'EINVAL'],
  ['a PROBE of logging that is not there', 'DEVICE_FEATURE', feature(6 | SET | PROBE), 'ENOTTY'],
  ['a state that there is not', 'DEVICE_FEATURE', feature(2 | SET, u32(8, 0)), 'EINVAL'],
  ['a P2P state', 'DEVICE_FEATURE', feature(2 | SET, u32(5, 0)), 'EINVAL'],
  ['device state without a session', 'MIG_DATA_READ', u32(16, 8), 'EINVAL'],
  ['data without a session', 'MIG_DATA_WRITE', u32(16, 8, 0, 0), 'EINVAL'],
  ['more device state than was agreed on', 'MIG_DATA_READ', u32(0xffff_ffff, 65_537), 'EINVAL'],
  ['device state without room', 'MIG_DATA_READ', u32(15, 8), 'EINVAL'],
  ['data that is not there', 'MIG_DATA_WRITE', u32(16, 8, 0), 'EINVAL'],
];

test.each(REFUSED)(
  '%s gets its error, and the next command its answer',
  async (_name, command, payload, code) => {
    const number = typeof command === 'number' ? command : VFIO_USER_COMMANDS[command];
    const good = message(VFIO_USER_COMMANDS.DEVICE_GET_INFO, u32(16, 0, 0, 0));
    const bytes = join(message(1, GOOD_VERSION), message(number, payload), good);
    const { got, closed } = await exchange(bytes, 3);
    expect([got.map(told), closed]).toEqual([['OK', code, 'OK'], false]);
    // Header only, as the specification has it.
    expect(got[1]!.head).toMatchObject({ msgId: 0xabc, command: number, size: 16 });
  },
);

test('who wants no reply gets none, also for what fails', async () => {
  const good = message(VFIO_USER_COMMANDS.DEVICE_GET_INFO, u32(16, 0, 0, 0));
  const silent = [message(99, u32(), true), message(VFIO_USER_COMMANDS.DEVICE_RESET, u32(), true)];
  const { got } = await exchange(join(message(1, GOOD_VERSION), ...silent, good), 2);
  expect(got.map(({ head: { command } }) => command)).toEqual([1, 4]);
});

test('a client that sends and never reads does not fill memory', async () => {
  const path = await served({ device: new Uart(), ...shape(4096) });
  const channel = await connect({ kind: 'unix', path });
  await channel.write(message(1, GOOD_VERSION));
  const block = join(...Array.from({ length: 4096 }, () => message(4, u32(16, 0, 0, 0))));
  let sent = 0;
  const sending = (async () => {
    for (;;) {
      await channel.write(block);
      sent += block.length;
    }
  })().catch(() => {});
  // The server stops to read: what is sent stays in the two sockets.
  for (let before = -1; before < sent; ) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(sent).toBeLessThan(8 << 20);
  channel.destroy();
  await sending;
  const client = await clientOf(path);
  expect((await client.deviceInfo()).num_regions).toBe(9);
});
