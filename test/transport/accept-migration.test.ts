import { connect as netConnect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { MultifdWriter } from '../../src/stream/multifd-writer.js';
import {
  acceptMigration,
  type Channel,
  connect,
  type Listener,
  listen,
  type MigrationChannels,
} from '../../src/transport/index.js';
import { MULTIFD_MAGIC, MULTIFD_VERSION, MultifdInit } from '../../src/uapi/qemu-stream.js';
import { all, failure, fresh, pattern } from './scratch.js';

let listener: Listener;
const opened: Channel[] = [];
afterEach(async () => {
  for (const channel of opened.splice(0)) channel.destroy();
  await listener.close();
});

const MAIN = Buffer.concat([Buffer.from('QEVM'), pattern(100_000)]);

function init(id: number, fields: { magic?: number; version?: number } = {}): Buffer {
  const packet = MultifdInit.encode(
    {
      magic: MULTIFD_MAGIC,
      version: MULTIFD_VERSION,
      uuid: new Uint8Array(16),
      id,
      unused1: new Uint8Array(7),
      unused2: new Uint8Array(32),
      ...fields,
    },
    { order: 'big' },
  );
  return Buffer.concat([packet, pattern(50_000, id + 1)]);
}

async function send(bytes: Uint8Array, end = true): Promise<Channel> {
  const channel = await connect(listener.address);
  opened.push(channel);
  await channel.write(bytes);
  if (end) await channel.end();
  return channel;
}

/** Whether the other side has dropped a connection. */
async function dropped(channel: Channel): Promise<void> {
  await channel.receive(() => {}).catch(() => {});
}

async function accepted(work: Promise<MigrationChannels>): Promise<MigrationChannels> {
  const found = await work;
  opened.push(found.main, ...found.channels);
  return found;
}

describe.each([
  ['unix', () => `unix:${fresh('s')}`],
  ['tcp', () => 'tcp::0'],
])('acceptMigration over %s', (_kind, uri) => {
  it('sorts channels by what they say, and gives all of their bytes', async () => {
    listener = await listen(uri());
    const work = accepted(acceptMigration(listener, { channels: 3 }));
    const sends = [init(2), init(0), MAIN, init(1)];
    for (const bytes of sends) void send(bytes);
    const { main, channels } = await work;
    expect((await all(main)).equals(MAIN)).toBe(true);
    expect(main.duplex).toBe(true);
    for (const [id, channel] of channels.entries()) {
      expect((await all(channel)).equals(init(id))).toBe(true);
    }
    expect((await failure(main.receive(() => {}))).message).toMatch(/received already/);
  });

  it('takes what comes byte by byte, and what the writer of channels sends', async () => {
    listener = await listen(uri());
    const work = accepted(acceptMigration(listener, { channels: 1 }));
    const slow = await connect(listener.address);
    opened.push(slow);
    for (const byte of MAIN.subarray(0, 10)) {
      await slow.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const channel = await connect(listener.address);
    opened.push(channel);
    const writer = new MultifdWriter(channel.write);
    await writer.item({ kind: 'multifd-init', uuid: new Uint8Array(16), channel: 0 });
    await writer.flush();
    const found = await work;
    await slow.end();
    await channel.end();
    expect((await all(found.main)).equals(MAIN.subarray(0, 10))).toBe(true);
    expect((await all(found.channels[0]!)).length).toBe(MultifdInit.size);
  });

  it('is done at once when the connections are there before it', async () => {
    listener = await listen(uri());
    await send(MAIN.subarray(0, 4));
    const { main, channels } = await accepted(acceptMigration(listener));
    expect(channels).toEqual([]);
    expect((await all(main)).toString()).toBe('QEVM');
  });

  it('reads nothing before somebody receives, and can answer', async () => {
    listener = await listen(uri());
    const near = await connect(listener.address);
    opened.push(near);
    const sending = near.write(new Uint8Array(64 << 20).fill(1)) as Promise<void>;
    // The first bytes are wrong, so it must not be taken; a right one waits.
    expect((await failure(acceptMigration(listener))).message).toMatch(/begins with 0x01010101/);
    await failure(sending);
    const second = await connect(listener.address);
    opened.push(second);
    let sent = false;
    const rest = Buffer.concat([Buffer.from('QEVM'), Buffer.alloc(64 << 20)]);
    const all64 = (second.write(rest) as Promise<void>).then(() => {
      sent = true;
    });
    const { main } = await accepted(acceptMigration(listener));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(sent).toBe(false);
    let size = 0;
    const received = main.receive((block) => {
      size += block.length;
    });
    await all64;
    await second.end();
    await received;
    expect(size).toBe(rest.length);
    const answer = all(second);
    await main.write(Buffer.from('ok'));
    await main.end();
    expect((await answer).toString()).toBe('ok');
  });

  it('does not mind who only looks, breaks off or says nothing', async () => {
    listener = await listen(uri());
    const work = accepted(acceptMigration(listener, { channels: 1, timeLimit: 300 }));
    const looks = await send(new Uint8Array(0));
    await dropped(looks);
    (await connect(listener.address)).destroy();
    const silent = await send(new Uint8Array(0), false);
    await dropped(silent);
    void send(MAIN);
    void send(init(0));
    expect((await work).channels.length).toBe(1);
  });

  it.each<[string, Uint8Array[], RegExp]>([
    [
      'an unknown magic',
      [Buffer.from('GET / HTTP/1.1')],
      /begins with 0x47455420, and neither a migration stream \(0x5145564d\)/,
    ],
    ['too few bytes', [Buffer.from('QE')], /begins with 0x5145,/],
    [
      'half a packet',
      [init(0).subarray(0, 30)],
      /ended after 30 of the 64 bytes of a multifd channel's first packet/,
    ],
    ['another version', [init(0, { version: 2 })], /a multifd channel of version 2, expected 1/],
    ['an id too high', [init(2)], /multifd channel 2, expected 0 to 1; both sides need the same number/],
    ['an id twice', [MAIN, init(1), init(1)], /a second multifd channel 1/],
    ['two main channels', [MAIN, MAIN], /a second main channel/],
  ])('refuses %s, and drops all connections', async (_what, sends, words) => {
    listener = await listen(uri());
    const work = failure(acceptMigration(listener, { channels: 2 }));
    const channels: Channel[] = [];
    for (const bytes of sends) channels.push(await send(bytes));
    const { message } = await work;
    expect(message).toMatch(words);
    expect(message).toMatch(/^(unix|tcp):\S+: a connection /);
    await Promise.all(channels.map(dropped));
  });

  it('refuses a channel where none is expected', async () => {
    listener = await listen(uri());
    const work = failure(acceptMigration(listener));
    await send(init(0));
    expect((await work).message).toMatch(/is multifd channel 0, no multifd channels are expected/);
  });

  it('does not wait for ever: for the rest of the channels', async () => {
    listener = await listen(uri());
    const work = failure(acceptMigration(listener, { channels: 3, timeLimit: 100 }));
    const channel = await send(init(1));
    const error = await work;
    expect(error.message).toMatch(
      /after 0.1 s there is still no main channel and no multifd channels 0, 2; both/,
    );
    expect(error.code).toBe('ETIMEDOUT');
    await dropped(channel);
  });

  it('does not wait for ever: for the rest of a packet', async () => {
    listener = await listen(uri());
    const work = failure(acceptMigration(listener, { channels: 1, timeLimit: 100 }));
    await dropped(await send(init(0).subarray(0, 10), false));
    expect((await work).message).toMatch(/has not said in 0.1 s which multifd channel it is/);
  });

  it('can be told to stop, and ends with the listener', async () => {
    listener = await listen(uri());
    const stop = new AbortController();
    const stopped = failure(acceptMigration(listener, { channels: 1, signal: stop.signal }));
    const channel = await send(MAIN, false);
    await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort();
    expect((await stopped).message).toMatch(/wait for the migration was ended/);
    await dropped(channel);
    await failure(acceptMigration(listener, { signal: stop.signal }));
    const closed = failure(acceptMigration(listener));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await listener.close();
    expect((await closed).message).toMatch(/listener is closed/);
  });

  it('breaks with a connection that breaks, whoever receives', async () => {
    listener = await listen(uri());
    const near = await send(MAIN, false);
    const { main } = await accepted(acceptMigration(listener));
    const stuck = failure(main.receive(() => new Promise(() => {})));
    main.destroy();
    expect((await stuck).message).toMatch(/closed on this side/);
    near.destroy();
  });
});

describe('acceptMigration', () => {
  it('takes the single channel of a command, and says when more are wanted', async () => {
    listener = await listen('exec:printf QEVMabc');
    const { main } = await accepted(acceptMigration(listener));
    expect((await all(main)).toString()).toBe('QEVMabc');
    await listener.close();
    listener = await listen('exec:printf QEVMabc');
    expect((await failure(acceptMigration(listener, { channels: 2 }))).message).toMatch(
      /it has a single channel, which is in use; several channels need tcp: or unix:/,
    );
  });

  it('survives any first bytes', async () => {
    listener = await listen(`unix:${fresh('s')}`);
    const { address } = listener;
    for (let seed = 0; seed < 40; seed++) {
      const work = acceptMigration(listener, { channels: 2, timeLimit: 50 });
      const socket = netConnect({ path: (address as { path: string }).path });
      socket.on('error', () => {});
      const bytes = seed % 2 === 0 ? pattern(seed * 3 + 1, seed) : init(seed).fill(seed, 4 + (seed % 60), 64);
      socket.write(bytes);
      // What is no more than silence would be waited for.
      if (bytes.length < 4 || seed % 3 === 0) socket.end();
      await failure(work);
      socket.destroy();
    }
  });
});
