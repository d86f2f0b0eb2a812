import { expect, test } from 'vitest';
import type { Channel } from '../../src/transport/index.js';
import { connect } from '../../src/transport/index.js';
import { type DataFd, type Device, DeviceError } from '../../src/uapi/device.js';
import { type BitmapRange, DirtyBitmap } from '../../src/uapi/dirty-bitmap.js';
import { type MigState, migStateOf } from '../../src/uapi/vfio.js';
import { VFIO_USER_COMMANDS } from '../../src/uapi/vfio-user.js';
import { FrameParser, LIBVFIO_USER, SPECIFICATION, type VfioUserMessage } from '../../src/vfio-user/index.js';
import { traceLines } from '../support/qemu-trace.js';
import { clientOf, listening, served } from './servers.js';

interface Recorded {
  dir: 'c2s' | 's2c';
  msg_id: number;
  cmd: number;
  name: string;
  flags: number;
  hex: string;
}

const recording = (file: string): Recorded[] =>
  traceLines(`vfio-user/${file}.jsonl`).map((line) => JSON.parse(line));
const bytesOf = ({ hex }: Recorded) => Buffer.from(hex, 'hex');
const BAR1 = 0x3000;
const STREAM = BAR1 + 8;

/** The device of libvfio-user's sample programs, as the recordings show it: a time in BAR 0, memory in BAR 1. */
class Sample implements Device {
  readonly name = 'sample';
  readonly flags = 5;
  readonly offersReset = true;
  readonly dmaLogging = {
    start: () => 4096n,
    stop: () => {},
    report: (range: BitmapRange) => new DirtyBitmap(range),
  };
  memory = new Uint8Array(STREAM);
  #state: MigState = 'RUNNING';
  #at = 0;

  setState(wanted: MigState | number): DataFd | null {
    const state = typeof wanted === 'number' ? migStateOf(wanted) : wanted;
    if (state === undefined) throw new DeviceError('EINVAL', 'no state');
    const goesOn = this.#state === 'PRE_COPY' && state === 'STOP_COPY';
    this.#state = state;
    this.#at = 0;
    return goesOn || state === 'RUNNING' || state === 'STOP' ? null : this.#fd;
  }

  readonly #fd: DataFd = {
    read: (into) => {
      // All of BAR 1 is sent again in STOP_COPY.
      const end = this.#state === 'PRE_COPY' ? BAR1 : STREAM;
      const part = this.memory.subarray(this.#at, Math.min(end, this.#at + into.length));
      into.set(part);
      this.#at += part.length;
      return part.length;
    },
    write: (bytes) => {
      if (this.#at + bytes.length > STREAM) throw new DeviceError('EINVAL', 'the end was passed');
      this.memory.set(bytes, this.#at);
      this.#at += bytes.length;
      return bytes.length;
    },
    precopyInfo: () => expect.unreachable(),
    close: () => {},
  };

  getState = () => this.#state;
  dataSize = () => 0n;
  optInPrecopyInfoV2 = () => {};
  reset = () => {};

  readRegion(region: number, offset: number, size: number): Uint8Array {
    if (region === 0) return this.memory.slice(BAR1 + offset, BAR1 + offset + size);
    // The sample ignores the offset.
    return region === 1 ? this.memory.slice(0, size) : new Uint8Array(size);
  }

  writeRegion(region: number, offset: number, bytes: Uint8Array): void {
    this.memory.set(bytes, region === 0 ? BAR1 + offset : offset);
  }
}

const regions = [8, BAR1, 0, 0, 0, 0, 0, 256, 0];
const irqs = [1, 1, 1, 1, 1];

/** Sends recorded messages of a client, one at a time, and returns the replies; answers DMA of the server itself. */
async function replay(path: string, messages: readonly Recorded[]): Promise<VfioUserMessage[]> {
  const channel = await connect({ kind: 'unix', path });
  const parser = new FrameParser(1 << 21);
  const replies: VfioUserMessage[] = [];
  let arrived = () => {};
  const received = channel.receive((block) =>
    parser.push(block, (message) => {
      replies.push(message);
      arrived();
    }),
  );
  for (const message of messages) {
    const reply = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await channel.write(bytesOf(message));
    await Promise.race([reply, received.then(() => expect.unreachable('the server has hung up'))]);
  }
  channel.destroy();
  await received.catch(() => {});
  return replies;
}

const commands = (messages: readonly Recorded[]) =>
  messages.filter(({ dir, flags }) => dir === 'c2s' && (flags & 0xf) === 0);
const answers = (messages: readonly Recorded[]) =>
  messages.filter(({ dir, flags }) => dir === 's2c' && (flags & 0xf) === 1);

test.each(['nofd/src', 'nofd/dst', 'pair/src', 'pair/dst'])(
  'our server answers the client of %s',
  async (file) => {
    const device = new Sample();
    const path = await served({ device, regions, irqs }, { dialect: LIBVFIO_USER });
    const messages = recording(file);
    const replies = await replay(path, commands(messages));
    expect(replies.length).toBe(commands(messages).length);
    for (const [index, { head }] of replies.entries()) {
      const command = commands(messages)[index]!;
      expect(head).toMatchObject({ msgId: command.msg_id, command: command.cmd, type: 'reply' });
    }
    // Those that libvfio-user refuses are refused here too, and no others.
    const refused = (flags: readonly boolean[]) => flags.flatMap((failed, index) => (failed ? [index] : []));
    const theirs = refused(answers(messages).map(({ flags }) => (flags & 0x20) !== 0));
    expect(refused(replies.map(({ head }) => head.failed))).toEqual(theirs);
    // The device state that crosses is the same, byte for byte, with its padding.
    if (!file.startsWith('nofd')) return;
    const data = (command: number) => command === VFIO_USER_COMMANDS.MIG_DATA_READ;
    const own = replies.filter(({ head }) => data(head.command)).map(({ payload }) => hex(payload));
    const want = answers(messages)
      .filter(({ cmd }) => data(cmd))
      .map((it) => hex(bytesOf(it).subarray(16)));
    expect(own).toEqual(want);
  },
);

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** A server that answers each message with the next recorded one, after a look that it was asked the same. */
async function recordedServer(file: string): Promise<string> {
  const messages = recording(file);
  return listening(async (channel: Channel) => {
    const parser = new FrameParser(1 << 21);
    await channel.receive(async (block) => {
      const due: Buffer[] = [];
      parser.push(block, ({ head, payload }) => {
        const [asked, answer] = messages.splice(0, 2) as [Recorded, Recorded];
        expect({ name: asked.name, id: asked.msg_id }).toEqual({ name: asked.name, id: head.msgId });
        expect(head.command).toBe(asked.cmd);
        if (asked.name !== 'VERSION') expect(hex(payload)).toBe(hex(bytesOf(asked).subarray(16)));
        due.push(bytesOf(answer));
      });
      for (const bytes of due) await channel.write(bytes);
    });
  });
}

test.each([LIBVFIO_USER, SPECIFICATION])(
  'our client understands the servers of nofd ($name)',
  async (dialect) => {
    const set = (client: Awaited<ReturnType<typeof clientOf>>, state: number) => {
      const data = Buffer.from([state, 0, 0, 0, 255, 255, 255, 255]);
      return client.feature(0x2_0002, data);
    };
    const get = async (client: Awaited<ReturnType<typeof clientOf>>) =>
      (await client.feature(0x1_0002, undefined, 8))[0];
    const src = await clientOf(await recordedServer('nofd/src'), { dialect });
    expect(await src.deviceInfo()).toMatchObject({ flags: 3, num_regions: 9, num_irqs: 5 });
    const sizes: bigint[] = [];
    for (let index = 0; index < 9; index++) sizes.push((await src.regionInfo(index)).size);
    expect(sizes).toEqual(regions.map(BigInt));
    await src.dmaMap({ addr: 0n, size: 0x1_0000n, flags: 3 });
    const recordedWrites = recording('nofd/src').filter(
      ({ name, dir }) => name === 'REGION_WRITE' && dir === 'c2s',
    );
    const [memory, time] = recordedWrites.map((it) => bytesOf(it).subarray(32)) as [Buffer, Buffer];
    await src.regionWrite(1, 0, memory);
    await src.regionWrite(0, 0, time);
    const states: unknown[] = [];
    const stream: Uint8Array[] = [];
    for (const state of [6, 3]) {
      await set(src, state);
      states.push(await get(src));
      stream.length = 0;
      for (let data = await src.migDataRead(4096); data.length > 0; data = await src.migDataRead(4096))
        stream.push(data);
    }
    await set(src, 1);
    expect([...states, await get(src)]).toEqual([6, 3, 1]);
    expect(Buffer.concat(stream)).toEqual(Buffer.concat([memory, time]));
    await expect(src.regionRead(0, 0, 8)).resolves.toHaveLength(8);

    const dst = await clientOf(await recordedServer('nofd/dst'), { dialect });
    await set(dst, 4);
    expect(await get(dst)).toBe(4);
    for (const part of stream) expect(await dst.migDataWrite(part)).toBe(part.length);
    await set(dst, 1);
    expect(await get(dst)).toBe(1);
    expect(hex(await dst.regionRead(1, 0, BAR1))).toBe(hex(memory));
    await set(dst, 2);
    expect(await get(dst)).toBe(2);
  },
);
