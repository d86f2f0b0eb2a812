import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { connect } from '../../src/transport/index.js';
import type { DataFd, Device } from '../../src/uapi/device.js';
import {
  E810_MAILBOX_FLAGS,
  E810_MAILBOX_OPCODE,
  E810_VF_REGISTERS,
  E810MailboxDescriptor,
  VF_MAILBOX_LEN,
} from '../../src/uapi/e810.js';
import { VIRTCHNL_OPS } from '../../src/uapi/virtchnl.js';
import { VirtchnlVersionInfo } from '../../src/uapi/virtchnl-structs.js';
import { SparseMemory, VfioUserClient, vfioUserDevice } from '../../src/vfio-user/index.js';
import { stopcopy } from '../support/cli.js';
import { Running, runs } from '../support/processes.js';
import { socketFolder } from '../vfio-user/servers.js';

// Each test starts processes, on machines that are busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

class Server {
  readonly path: string;
  readonly process: Running;

  constructor(device: string, ...more: string[]) {
    this.path = join(socketFolder(), 'vf.sock');
    this.process = new Running(['serve', '--device', device, '--vfio-user', this.path, '--json', ...more]);
    onTestFinished(() => this.process.kill());
  }

  async client() {
    await this.process.says(/"listening"/, 'out');
    const memory = new SparseMemory(0, 1 << 20);
    const client = await VfioUserClient.connect(await connect({ kind: 'unix', path: this.path }), { memory });
    onTestFinished(() => client.close());
    await client.dmaMap({ addr: 0n, size: 1n << 20n, flags: 3 });
    return { client, memory, device: await vfioUserDevice(client, 'it') };
  }

  /** What the server has told of the client that is gone. */
  async gone(): Promise<{ state: string; digest: string; commands: number; refused: number }> {
    const line = (await this.process.says(/^.*"gone".*\n/m, 'out'))[0];
    this.process.out = '"listening"';
    return JSON.parse(line);
  }
}

/** All that there is, to the end or for now. */
async function readAll(fd: DataFd): Promise<Buffer> {
  const parts: Buffer[] = [];
  const block = new Uint8Array(777);
  for (;;) {
    let size = 0;
    try {
      size = await fd.read(block);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOMSG' });
    }
    if (size === 0) return Buffer.concat(parts);
    parts.push(Buffer.from(block.subarray(0, size)));
  }
}

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const { VF_ATQBAL1, VF_ATQLEN1, VF_ATQT1, VF_ATQH1, VF_ARQBAL1, VF_ARQLEN1, VF_ARQT1, VF_ARQH1 } =
  E810_VF_REGISTERS;
/** Where the rings of the mailbox and their buffers are in the client's memory. */
const [ATQ, ARQ, REQUEST, ANSWER] = [0x1000, 0x2000, 0x3000, 0x4000] as const;

/** Asks the PF driver for its version, as the VF's driver does: by two rings in memory, and registers. */
async function askVersion({ device, memory }: Awaited<ReturnType<Server['client']>>): Promise<Uint8Array> {
  const descriptor = { retval: 0, cookie_low: 0, param0: 0, param1: 0, addr_high: 0 } as const;
  const { BUF, RD } = E810_MAILBOX_FLAGS;
  memory.write(REQUEST, VirtchnlVersionInfo.encode({ major: 1, minor: 1 }));
  memory.write(
    ATQ,
    E810MailboxDescriptor.encode({
      ...descriptor,
      flags: BUF | RD,
      opcode: E810_MAILBOX_OPCODE.SEND_MSG_TO_PF,
      datalen: VirtchnlVersionInfo.size,
      cookie_high: VIRTCHNL_OPS.VERSION,
      addr_low: REQUEST,
    }),
  );
  memory.write(
    ARQ,
    E810MailboxDescriptor.encode({
      ...descriptor,
      flags: BUF,
      opcode: 0,
      datalen: 512,
      cookie_high: 0,
      addr_low: ANSWER,
    }),
  );
  // Bus mastering, then both rings.
  await device.writeRegion(7, 4, Uint8Array.of(6, 0));
  const registers = [
    ...[
      [VF_ARQBAL1, ARQ],
      [VF_ARQH1, 0],
      [VF_ARQLEN1, VF_MAILBOX_LEN.ENABLE + 8],
      [VF_ARQT1, 7],
    ],
    ...[
      [VF_ATQBAL1, ATQ],
      [VF_ATQH1, 0],
      [VF_ATQLEN1, VF_MAILBOX_LEN.ENABLE + 8],
      [VF_ATQT1, 1],
    ],
  ];
  for (const [offset, value] of registers) await device.writeRegion(0, offset!, u32(value!));
  const head = async () => Buffer.from(await device.readRegion(0, VF_ARQH1, 4)).readUInt32LE();
  await expect.poll(head, { timeout: 10_000 }).toBe(1);
  const answer = new Uint8Array(VirtchnlVersionInfo.size);
  memory.read(ANSWER, answer);
  return answer;
}

test('a guest finds the VF in its configuration space', async () => {
  const { device } = await new Server('e810-vf').client();
  const config = Buffer.from(await device.readRegion(7, 0, 256));
  expect([config.readUInt16LE(0), config.readUInt16LE(2)]).toEqual([0x8086, 0x1889]);
  expect([config[11], config[10]]).toEqual([2, 0]);
  const ones = Buffer.alloc(24, 0xff);
  await device.writeRegion(7, 0x10, ones);
  const bars = Buffer.from(await device.readRegion(7, 0x10, 24));
  expect([0, 4, 8, 12, 16, 20].map((at) => bars.readUInt32LE(at).toString(16))).toEqual([
    'fffe0004',
    'ffffffff',
    '0',
    'ffffc004',
    'ffffffff',
    '0',
  ]);
  await device.writeRegion(7, 0x10, u32(0xfeb0_0000));
  expect(Buffer.from(await device.readRegion(7, 0x10, 4)).readUInt32LE()).toBe(0xfeb0_0004);
  const capabilities: number[] = [];
  for (let at = config[0x34]!; at !== 0; at = config[at + 1]!) capabilities.push(config[at]!);
  expect(capabilities).toEqual([0x11, 0x10]);
  await device.writeRegion(3, 16, u32(0xfee0_1000));
  expect(Buffer.from(await device.readRegion(3, 16, 4)).readUInt32LE()).toBe(0xfee0_1000);
  await device.reset();
  expect(Buffer.from(await device.readRegion(7, 0x10, 4)).readUInt32LE()).toBe(4);
  // A register that every VF has: active.
  expect(Buffer.from(await device.readRegion(0, E810_VF_REGISTERS.VFGEN_RSTAT, 4)).readUInt32LE()).toBe(2);
});

const register = async ({ device }: { device: Device }, region: number, at: number, size = 4) =>
  Buffer.from(await device.readRegion(region, at, size)).readUIntLE(0, size);

describe('a migration between two servers ends with equal device state', () => {
  test.each(['uart', 'e810-vf?precopy&dma-logging'])('%s', async (text) => {
    const [source, destination] = [new Server(text), new Server(text, '--seed', '7')];
    for (const begin of ['PRE_COPY', 'STOP_COPY'] as const) {
      const [from, to] = [await source.client(), await destination.client()];
      if (text === 'uart') await from.device.writeRegion(0, 7, Uint8Array.of(0x5a));
      else expect(VirtchnlVersionInfo.decode(await askVersion(from))).toEqual({ major: 1, minor: 1 });
      const fd = (await from.device.setState(begin))!;
      const first = begin === 'PRE_COPY' ? await readAll(fd) : Buffer.alloc(0);
      if (begin === 'PRE_COPY')
        expect([first.length > 0, await from.device.setState('STOP_COPY')]).toEqual([true, null]);
      const image = Buffer.concat([first, await readAll(fd)]);
      await from.device.setState('STOP');
      const into = (await to.device.setState('RESUMING'))!;
      expect(await into.write(image)).toBe(image.length);
      await to.device.setState('STOP');
      // What was done on the source shows on the destination.
      if (text === 'uart') expect(await register(to, 0, 7, 1)).toBe(0x5a);
      else expect(await register(to, 0, VF_ATQH1)).toBe(1);
      from.client.close();
      to.client.close();
      const [left, arrived] = [await source.gone(), await destination.gone()];
      expect(left).toMatchObject({ state: 'STOP', digest: expect.stringMatching(/^[0-9a-f]{6,}$/) });
      expect(arrived).toMatchObject({ state: 'STOP', digest: left.digest });
    }
  });
});

describe('the server', () => {
  test('serves one client after another, and each finds the device in RUNNING', async () => {
    const server = new Server('uart');
    const first = await server.client();
    await first.device.writeRegion(0, 7, Uint8Array.of(0x5a));
    await first.device.setState('STOP_COPY');
    first.client.close();
    const second = await server.client();
    expect(await second.device.getState()).toBe('RUNNING');
    expect(await second.device.readRegion(0, 7, 1)).toEqual(Uint8Array.of(0));
    expect(statSync(server.path).mode & 0o777).toBe(0o600);
    server.process.kill('SIGTERM');
    expect(await server.process.ended).toMatchObject({ code: 0, err: '' });
    expect(existsSync(server.path)).toBe(false);
  });

  test('records what a client asks for, and the validator judges it', async () => {
    const file = join(socketFolder(), 'run.ndjson');
    const server = new Server('e810-vf', '--once', '--record', file);
    const { device, client } = await server.client();
    const fd = (await device.setState('STOP_COPY'))!;
    await readAll(fd);
    await device.setState('RUNNING');
    client.close();
    expect(await server.process.ended).toMatchObject({ code: 0 });
    const { code, out } = stopcopy(['validate', file, '--json']);
    expect(code, out).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ verdict: 'conformant', devices: [{ transitions: 2 }] });
  });

  test.each(['uart', 'e810-vf?precopy&dma-logging'])(
    'of %s passes the suite for what it offers',
    async (text) => {
      const server = new Server(text);
      await server.process.says(/"listening"/, 'out');
      const { out, err, code } = await runs(['test', '--target', `vfio-user:${server.path}`, '--json']);
      expect(code, out + err).toBe(0);
      expect(JSON.parse(out)).toMatchObject({ verdict: 'pass', failures: [] });
    },
  );

  test('takes the place of a dead one, and not of a live one or of a file', async () => {
    const server = new Server('uart');
    await server.client();
    const second = stopcopy(['serve', '--device', 'uart', '--vfio-user', server.path]);
    expect([second.code, second.err]).toEqual([2, expect.stringMatching(/another process listens there/)]);
    server.process.kill('SIGKILL');
    await server.process.ended;
    expect(existsSync(server.path)).toBe(true);
    const third = new Running(['serve', '--device', 'uart', '--vfio-user', server.path]);
    onTestFinished(() => third.kill());
    await third.says(/serving uart at .*; SIGINT ends it/);
    const file = join(socketFolder(), 'file');
    writeFileSync(file, '');
    const fourth = stopcopy(['serve', '--device', 'uart', '--vfio-user', file]);
    expect([fourth.code, fourth.err]).toEqual([
      2,
      expect.stringMatching(/a file that is not a socket is there/),
    ]);
  });

  test.each([
    [['--device', 'uart?fault=none'], /--device uart\?fault=none: no fault is called none/],
    [['--dialect', 'mine'], /--dialect/],
  ])('%s is refused in a sentence', (options, words) => {
    const { code, err } = stopcopy(['serve', '--vfio-user', join(socketFolder(), 'x'), ...options]);
    expect([code, err]).toEqual([2, expect.stringMatching(words)]);
    expect(err.trim().split('\n')).toHaveLength(1);
  });
});
