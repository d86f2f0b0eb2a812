import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/transport/index.js';
import { connect } from '../../src/transport/index.js';
import { encodeVfioUserMessage, VFIO_USER_COMMANDS } from '../../src/uapi/vfio-user.js';
import { encodeVfioUserVersion, VFIO_USER_DEFAULTS } from '../../src/uapi/vfio-user-version.js';
import {
  FrameParser,
  VfioUserClient,
  VfioUserError,
  type VfioUserMessage,
  vfioUserDevice,
} from '../../src/vfio-user/index.js';
import { clientOf, listening } from './servers.js';

type Answer = (message: VfioUserMessage, channel: Channel) => Uint8Array | null;

/** A server that agrees on a version, and then answers as it likes; null: not at all. */
function hostile(answer: Answer): Promise<string> {
  return listening(async (channel) => {
    const parser = new FrameParser(1 << 22);
    await channel.receive(async (block) => {
      const due: Uint8Array[] = [];
      parser.push(block, (message) => {
        const isFirst = message.head.command === VFIO_USER_COMMANDS.VERSION;
        const bytes = isFirst ? reply(message, VERSION) : answer(message, channel);
        if (bytes !== null) due.push(bytes);
      });
      for (const bytes of due) await channel.write(bytes);
    });
  });
}

const VERSION = encodeVfioUserVersion({ major: 0, minor: 2 }, VFIO_USER_DEFAULTS);

function reply({ head }: VfioUserMessage, payload: Uint8Array, change: object = {}): Uint8Array {
  return encodeVfioUserMessage(
    { ...head, type: 'reply', noReply: false, failed: false, errno: 0, ...change },
    payload,
  );
}

const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);

describe('the client gives up, and says why', () => {
  const cases: [string, Answer, RegExp][] = [
    ['a wrong id', (it) => reply(it, u32(16, 3, 9, 5), { msgId: it.head.msgId + 1 }), /nobody has asked for/],
    [
      'a reply to another command',
      (it) => reply(it, u32(16, 3, 9, 5), { command: 5 }),
      /answered by a reply to/,
    ],
    ['a payload that is too short', (it) => reply(it, u32(16)), /reply to DEVICE_GET_INFO cannot be read/],
    ['a giant size', () => u32(0x0004_0001, 0xffff_fff0, 1, 0), /4294967280 bytes is announced/],
    ['a size of 3', () => u32(0x0004_0001, 3, 1, 0), /message of 3 bytes is announced/],
    ['garbage', () => Buffer.alloc(64, 0xa5), /is announced/],
    ['no answer', () => null, /no reply to DEVICE_GET_INFO within 150 ms/],
    [
      'half a message',
      (it) => reply(it, u32(16, 3, 9, 5)).subarray(0, 20),
      /no reply to DEVICE_GET_INFO within/,
    ],
    [
      'a closed connection',
      (_it, channel) => {
        void channel.end();
        return null;
      },
      /has closed the connection/,
    ],
  ];
  test.each(cases)('%s', async (_name, answer, words) => {
    const client = await clientOf(await hostile(answer), { timeout: 150 });
    const error = await client.deviceInfo().catch((it) => it);
    expect(error).toBeInstanceOf(VfioUserError);
    expect(error.message).toMatch(words);
    // It stays that way, at once.
    await expect(client.deviceInfo()).rejects.toBe(error);
  });

  test('a server that says nothing, or something else, is no server', async () => {
    const silent = await listening((channel) => channel.receive(() => {}));
    const web = await listening(async (channel) => {
      await channel.write(Buffer.from('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'));
      await channel.receive(() => {});
    });
    const open = async (path: string) =>
      VfioUserClient.connect(await connect({ kind: 'unix', path }), { timeout: 100 });
    await expect(open(silent)).rejects.toThrow('no reply to VERSION within 100 ms');
    await expect(open(web)).rejects.toThrow('is announced');
  });

  test('more device state than was asked for', async () => {
    const path = await hostile((it) => reply(it, Buffer.concat([u32(100, 92), Buffer.alloc(92)])));
    const client = await clientOf(path);
    await expect(client.migDataRead(10)).rejects.toThrow('MIG_DATA_READ of 10 bytes was answered with 92');
  });

  test('less device state than the reply says, and a state that there is not', async () => {
    const path = await hostile((it) => reply(it, u32(24, 9999, 9, 9)));
    const short = await clientOf(path);
    await expect(short.migDataRead(10_000)).rejects.toThrow('cannot be read');
    const strange = await clientOf(await hostile((it) => reply(it, u32(16, 0x1_0001, 5, 0))));
    const device = await vfioUserDevice(strange, 'it').catch((error) => error);
    expect(device.dmaLogging).not.toBeNull();
    const odd = await clientOf(await hostile((it) => reply(it, u32(16, 0x1_0002, 77, 0))));
    await expect(vfioUserDevice(odd, 'it').then((it) => it.getState())).rejects.toThrow('names the state 77');
  });
});

test('a server that asks for DMA without end does not fill memory', async () => {
  const ask = { msgId: 9, command: VFIO_USER_COMMANDS.DMA_READ, type: 'command' } as const;
  const dma = encodeVfioUserMessage(
    { ...ask, noReply: false, failed: false, errno: 0 },
    Buffer.from(BigUint64Array.of(0n, 1n << 40n).buffer),
  );
  const flood = Buffer.concat(Array.from({ length: 20_000 }, () => dma));
  let refused = 0;
  const path = await listening(async (channel) => {
    const parser = new FrameParser(1 << 20);
    await channel.receive((block) => {
      parser.push(block, (message) => {
        const { command, type, errno, failed } = message.head;
        if (command === VFIO_USER_COMMANDS.VERSION) void channel.write(reply(message, VERSION));
        else if (type === 'reply' && failed && errno === 7) refused++;
        else if (type === 'command') {
          void channel.write(flood);
          void channel.write(reply(message, u32(16, 3, 9, 5)));
        }
      });
    });
  });
  const client = await clientOf(path, { timeout: 20_000 });
  expect(await client.deviceInfo()).toMatchObject({ num_regions: 9 });
  await expect.poll(() => refused, { timeout: 20_000 }).toBe(20_000);
});
