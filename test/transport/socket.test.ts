import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, connect as netConnect, type Socket } from 'node:net';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type Channel, connect, type Listener, listen } from '../../src/transport/index.js';
import { adopt, SocketChannel } from '../../src/transport/socket-channel.js';
import { all, FOLDER, failure, fresh, pair, pattern, until } from './scratch.js';

let opened: { close(): Promise<void> }[] = [];
let channels: Channel[] = [];
afterEach(async () => {
  for (const channel of channels) channel.destroy();
  await Promise.all(opened.map((each) => each.close()));
  opened = [];
  channels = [];
});

async function listening(uri: string): Promise<Listener> {
  const listener = await listen(uri);
  opened.push(listener);
  return listener;
}

async function connected(uri: string): Promise<{ near: Channel; far: Channel }> {
  const both = await pair(await listening(uri), (address) => connect(address));
  channels.push(both.near, both.far);
  return both;
}

/** Sends until all buffers on the way are full. */
async function fill(channel: Channel, block: Uint8Array): Promise<{ pending: Promise<void> }> {
  for (let count = 0; count < 1000; count++) {
    const sent = channel.write(block);
    if (sent === undefined) continue;
    const first = await Promise.race([sent.then(() => 'sent'), sleep(50)]);
    if (first === undefined) return { pending: sent };
  }
  return expect.fail('the writer was never held back');
}

describe.each([
  ['tcp', () => 'tcp::0'],
  ['tcp over IPv6', () => 'tcp:[::1]:0'],
  ['unix', () => `unix:${fresh('s')}`],
])('%s', (_kind, uri) => {
  it('carries bytes both ways, each way to its own end', async () => {
    const { near, far } = await connected(uri());
    expect([near.duplex, far.duplex]).toEqual([true, true]);
    const there = pattern(3_000_000, 1);
    const back = pattern(1_000_000, 2);
    const sending = (async () => {
      for (let at = 0; at < there.length; at += 70_001) await near.write(there.subarray(at, at + 70_001));
      await near.end();
    })();
    expect((await all(far)).equals(there)).toBe(true);
    await sending;
    const answering = (async () => {
      await far.writev([
        back.subarray(0, 10),
        new Uint8Array(0),
        back.subarray(10, 500_000),
        back.subarray(500_000),
      ]);
      await far.end();
    })();
    expect((await all(near)).equals(back)).toBe(true);
    await answering;
    expect([near.bytesWritten, far.bytesWritten]).toEqual([there.length, back.length]);
  });

  it('holds the writer back while the reader works, and loses nothing', async () => {
    const { near, far } = await connected(uri());
    const idle = () => {};
    let release = idle;
    let taken = 0;
    const received = far.receive((block) => {
      taken += block.length;
      if (release === idle)
        return new Promise((resolve) => {
          release = resolve;
        });
      return undefined;
    });
    const block = new Uint8Array(1 << 20);
    const { pending } = await fill(near, block);
    const inFlight = near.bytesWritten - taken;
    // What the system buffers, and no more: the reader has one block.
    expect(inFlight).toBeLessThan(32 << 20);
    const before = taken;
    await sleep(20);
    expect(taken).toBe(before);
    release();
    await pending;
    await near.end();
    await received;
    expect(taken).toBe(near.bytesWritten);
    expect(taken % block.length).toBe(0);
  });

  it('tells a writer, also one that waits, that the peer is gone', async () => {
    const { near, far } = await connected(uri());
    const { pending } = await fill(near, new Uint8Array(1 << 20));
    far.destroy();
    expect((await failure(pending)).message).toMatch(/the other side has (closed|broken)/);
    await failure(near.write(new Uint8Array(1)));
    await failure(near.end());
    await failure(near.receive(() => {}));
  });

  it('ends what is pending when it is destroyed', async () => {
    const { near, far } = await connected(uri());
    const receiving = near.receive(() => {});
    const { pending } = await fill(near, new Uint8Array(1 << 20));
    const stuck = far.receive(() => new Promise(() => {}));
    await sleep(10);
    near.destroy();
    far.destroy();
    for (const work of [receiving, pending, stuck, near.write(new Uint8Array(1)), near.end()]) {
      expect((await failure(work)).message).toMatch(/closed on this side/);
    }
  });

  it('reads nothing before somebody receives, and gives what has come by then', async () => {
    const { near, far } = await connected(uri());
    await near.write(pattern(1000));
    await near.end();
    await sleep(20);
    expect((await all(far)).equals(pattern(1000))).toBe(true);
    expect((await failure(far.receive(() => {}))).message).toMatch(/received already/);
  });

  it('ends the receiving with what the taker throws, and reads no more', async () => {
    for (const take of [
      () => {
        throw new RangeError('enough');
      },
      async () => {
        throw new RangeError('enough');
      },
    ]) {
      const { near, far } = await connected(uri());
      let calls = 0;
      const received = far.receive(() => {
        calls++;
        return take();
      });
      void near.write(new Uint8Array(1 << 22));
      await expect(received).rejects.toThrow(new RangeError('enough'));
      await sleep(10);
      expect(calls).toBe(1);
    }
  });

  it('refuses to write after the end', async () => {
    const { near } = await connected(uri());
    await near.end();
    await near.end();
    expect((await failure(near.write(new Uint8Array(1)))).message).toMatch(/end was sent already/);
  });

  it('accepts in order of arrival, before and after they are waited for', async () => {
    const listener = await listening(uri());
    const waiting = [listener.accept(), listener.accept()];
    for (const text of ['0', '1', '2', '3']) {
      const channel = await connect(listener.address);
      channels.push(channel);
      await channel.write(Buffer.from(text));
      await channel.end();
    }
    const accepted = await Promise.all([...waiting, listener.accept(), listener.accept()]);
    channels.push(...accepted);
    const texts = await Promise.all(accepted.map(all));
    expect(texts.map(String)).toEqual(['0', '1', '2', '3']);
  });

  it('closes: who waits is told, who was not accepted is dropped, who was lives on', async () => {
    const listener = await listening(uri());
    const { near, far } = await pair(listener, (address) => connect(address));
    const dropped = await connect(listener.address);
    channels.push(near, far, dropped);
    await sleep(10);
    const stop = new AbortController();
    const first = await listener.accept();
    first.destroy();
    const ended = failure(listener.accept({ signal: stop.signal }));
    const waiting = failure(listener.accept());
    stop.abort();
    expect((await ended).message).toMatch(/wait for a connection was ended/);
    await listener.close();
    await listener.close();
    expect((await waiting).message).toMatch(/listener is closed/);
    await failure(listener.accept());
    await failure(connect(listener.address));
    await near.write(pattern(10));
    await near.end();
    expect((await all(far)).length).toBe(10);
  });

  it('waits for a side that does not listen yet, until it is told to stop', async () => {
    const first = await listen(uri());
    const { address } = first;
    await first.close();
    expect((await failure(connect(address))).message).toMatch(
      /cannot connect: (nobody listens|there is no such)/,
    );
    const late = connect(address, { retryFor: 5000 });
    await sleep(30);
    opened.push(await listen(address));
    channels.push(await late);
    await opened.pop()?.close();
    const stop = new AbortController();
    const stopped = failure(connect(address, { retryFor: 60_000, signal: stop.signal }));
    await sleep(30);
    stop.abort();
    expect((await stopped).message).toMatch(/attempt to connect was ended/);
  });

  it('sends bytes of shared memory', async () => {
    const { near, far } = await connected(uri());
    const shared = new Uint8Array(new SharedArrayBuffer(300_000));
    shared.set(pattern(300_000));
    const received = all(far);
    await near.write(shared);
    await near.writev([shared.subarray(0, 5), shared.subarray(5)]);
    await near.end();
    expect((await received).equals(Buffer.concat([pattern(300_000), pattern(300_000)]))).toBe(true);
  });
});

describe('a socket that cannot be given a buffer', () => {
  it('is read as it is, and held back all the same', async () => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(fresh('s'));
    opened.push({ close: async () => void server.close() });
    await until(() => server.listening, 'listening');
    const arrival = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const near = await connect(`unix:${server.address()}`);
    const made = await arrival;
    Object.assign((made as unknown as { _handle: object })._handle, { useUserBuffer: undefined });
    const { inbox, socket } = adopt('plain', made);
    expect(socket).toBe(made);
    const far = new SocketChannel('plain', inbox, socket, socket);
    channels.push(near, far);

    const blocks: Buffer[] = [];
    let release = () => {};
    const received = far.receive((block) => {
      blocks.push(Buffer.from(block));
      if (blocks.length > 1) return undefined;
      return new Promise((resolve) => {
        release = resolve;
      });
    });
    const bytes = pattern(1_000_000);
    const sending = near.write(bytes);
    await until(() => blocks.length === 1, 'the first block has come');
    await sleep(20);
    expect(blocks.length).toBe(1);
    release();
    await sending;
    await near.end();
    await received;
    expect(Buffer.concat(blocks).equals(bytes)).toBe(true);
    await far.end();
    expect((await all(near)).length).toBe(0);
  });
});

describe('tcp', () => {
  it('listens on the loopback address only when no host is given', async () => {
    const { address } = await listening('tcp::0');
    expect(address).toMatchObject({ kind: 'tcp', host: '127.0.0.1' });
  });

  it('finds the address of a name that listens', async () => {
    const listener = await listening('tcp:127.0.0.1:0');
    const { address } = listener;
    const near = await connect(`tcp:localhost:${(address as { port: number }).port}`);
    const far = await listener.accept();
    channels.push(near, far);
    const received = all(near);
    await far.write(pattern(700_000));
    await far.end();
    expect((await received).equals(pattern(700_000))).toBe(true);
    expect((await failure(connect('tcp:no-such-host.invalid:1'))).message).toMatch(
      /no host of this name|looked up/,
    );
  });

  it('says that an address is in use, or not of this host', async () => {
    const { address } = await listening('tcp::0');
    expect((await failure(listen(address))).message).toMatch(
      /^tcp:127.0.0.1:\d+: cannot listen: the address is in use/,
    );
    expect((await failure(listen('tcp:203.0.113.1:0'))).message).toMatch(/this host has no such address/);
  });

  it('takes a reset of the peer as the end of the connection, and not of the process', async () => {
    const listener = await listening('tcp::0');
    const port = (listener.address as { port: number }).port;
    const peer = netConnect({ host: '127.0.0.1', port });
    peer.on('error', () => {});
    const far = await listener.accept();
    channels.push(far);
    const received = failure(far.receive(() => {}));
    await far.write(new Uint8Array(10));
    peer.resetAndDestroy();
    expect((await received).code).toBe('ECONNRESET');
    expect((await received).message).toMatch(
      /^tcp:127.0.0.1:\d+: the other side has broken the connection off$/,
    );
  });
});

describe('unix', () => {
  it('makes a socket for its owner only, and removes it', async () => {
    const path = fresh('s');
    const mask = process.umask();
    const listener = await listening(`unix:${path}`);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    expect(process.umask()).toBe(mask);
    await listener.close();
    expect(existsSync(path)).toBe(false);
  });

  it('replaces the socket of a dead process', async () => {
    const path = fresh('s');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(lstatSync(path).isSocket()).toBe(true);
    expect((await failure(connect(`unix:${path}`))).message).toMatch(/cannot connect: nobody listens there/);
    const { near, far } = await connected(`unix:${path}`);
    await near.write(pattern(3));
    await near.end();
    expect((await all(far)).length).toBe(3);
  });

  it('leaves a living one alone, and its listener at work', async () => {
    const path = fresh('s');
    const listener = await listening(`unix:${path}`);
    expect((await failure(listen(`unix:${path}`))).message).toMatch(/another process listens there/);
    (await listener.accept()).destroy();
    const { near, far } = await pair(listener, (address) => connect(address));
    channels.push(near, far);
    expect(near.name).toBe(`unix:${path}`);
  });

  it('leaves any other file alone', async () => {
    const path = fresh('f');
    writeFileSync(path, 'precious');
    expect((await failure(listen(`unix:${path}`))).message).toMatch(/a file that is not a socket is there/);
    const link = fresh('l');
    symlinkSync(path, link);
    expect((await failure(listen(`unix:${link}`))).message).toMatch(/not a socket/);
  });

  it('says what is wrong with the folder', async () => {
    expect((await failure(listen(`unix:${fresh('none')}/s`))).message).toMatch(/cannot listen: /);
    expect((await failure(connect(`unix:${fresh('none')}/s`))).message).toMatch(/there is no such file/);
    if (process.getuid?.() === 0) return;
    const folder = fresh('d');
    mkdirSync(folder);
    chmodSync(folder, 0o500);
    expect((await failure(listen(`unix:${folder}/s`))).message).toMatch(/permission is denied/);
  });

  it('takes the longest path there can be, and refuses the next', async () => {
    const folder = `${FOLDER}/`;
    const path = folder + 'x'.repeat(107 - folder.length);
    const { near, far } = await connected(`unix:${path}`);
    expect(readdirSync(FOLDER)).toContain(basename(path));
    await near.end();
    expect((await all(far)).length).toBe(0);
    const longer = { kind: 'unix', path: `${path}x` } as const;
    expect((await failure(listen(longer))).message).toMatch(/108 bytes, and a unix socket's has at most 107/);
    expect((await failure(connect(longer))).message).toMatch(/at most 107/);
  });

  it('takes 256 connections that nobody has accepted, and drops more', async () => {
    const listener = await listening(`unix:${fresh('s')}`);
    const all300 = await Promise.all(
      Array.from({ length: 300 }, () => connect(listener.address, { retryFor: 2000 })),
    );
    channels.push(...all300);
    let dropped = 0;
    for (const channel of all300) {
      channel
        .receive(() => {})
        .then(
          () => dropped++,
          () => dropped++,
        );
    }
    await until(() => dropped === 44, '44 connections are dropped');
    await sleep(20);
    expect(dropped).toBe(44);
  });
});
