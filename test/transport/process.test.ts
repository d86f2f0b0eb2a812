/** Descriptors that come from another process, and what is left of channels in one of its own. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, connect as netConnect, type Socket } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/transport/index.js';
import { failure, fresh, pattern, until } from './scratch.js';
import { transpiled } from './transpiled.js';

/** Sends or receives over a URI and prints what came; it ends when nothing is left that holds it. */
const SCRIPT = `
  const { connect, listen } = await import(process.env.TRANSPORT);
  const [what, uri, size] = process.argv.slice(1);
  try {
    let channel;
    if (what !== 'receive') {
      channel = await connect(uri);
      for (let sent = 0; sent < Number(size); sent += 100_000) {
        await channel.write(new Uint8Array(Math.min(100_000, Number(size) - sent)).fill(7));
      }
      await channel.end();
    } else {
      channel = await (await listen(uri)).accept();
    }
    if (what !== 'send') {
      let got = 0;
      await channel.receive((block) => { got += block.length; });
      if (what === 'receive' && channel.duplex) { await channel.write(new Uint8Array(9)); await channel.end(); }
      console.error('got ' + got);
    }
    console.error('duplex ' + channel.duplex);
  } catch (error) {
    console.error(error.name + ': ' + error.message);
  }`;

let transport: string;
beforeAll(() => {
  transport = transpiled();
});

interface Run {
  child: ChildProcess;
  /** Standard error and status, when it has ended by itself. */
  ended: Promise<string>;
}

function run(script: string, args: readonly string[], stdio: StdioOptions): Run {
  return started(process.execPath, ['--input-type=module', '-e', script, ...args], stdio);
}

function started(command: string, args: readonly string[], stdio: StdioOptions): Run {
  const child = spawn(command, args, { stdio, env: { ...process.env, TRANSPORT: transport, SCRIPT } });
  let text = '';
  child.stderr?.on('data', (part: Buffer) => {
    text += part.toString();
  });
  const ended = new Promise<string>((resolve) => {
    child.once('close', (status, signal) =>
      resolve(`${text}${status === 0 ? '' : `status ${status ?? signal}`}`),
    );
  });
  return { child, ended };
}

/** Node within a shell, which can make pipes and close descriptors. */
const NODE = `"${process.execPath}" --input-type=module -e "$SCRIPT"`;
const shell = (line: string) => started('/bin/sh', ['-c', line], ['ignore', 'ignore', 'pipe']).ended;

describe('fd', () => {
  it('is both ways on a unix socket', async () => {
    const { child, ended } = run(SCRIPT, ['both', 'fd:3', '1000000'], ['ignore', 'ignore', 'pipe', 'pipe']);
    const socket = child.stdio[3] as Socket;
    let got = 0;
    socket.on('data', (block) => {
      got += block.length;
    });
    socket.once('end', () => socket.end(pattern(12_345)));
    expect(await ended).toBe('got 12345\nduplex true\n');
    expect(got).toBe(1_000_000);
  });

  it('is both ways on a TCP socket', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await until(() => server.listening, 'listening');
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const ours = netConnect((server.address() as AddressInfo).port, '127.0.0.1');
    const theirs = (await accepted).pause();
    const { ended } = run(SCRIPT, ['receive', 'fd:3'], ['ignore', 'ignore', 'pipe', theirs]);
    theirs.destroy();
    server.close();
    let got = 0;
    ours.on('data', (block) => {
      got += block.length;
    });
    ours.end(new Uint8Array(500_000));
    expect(await ended).toBe('got 500000\nduplex true\n');
    await until(() => got === 9, 'the answer is there');
  });

  it('is one way on a pipe, from one process to another', async () => {
    const line = `${NODE} send fd:4 3000000 4>&1 >/dev/null | ${NODE} receive fd:5 5<&0 </dev/null`;
    expect((await shell(line)).split('\n').sort()).toEqual([
      '',
      'duplex false',
      'duplex false',
      'got 3000000',
    ]);
  });

  it('saves to a file, from where the descriptor stands, and loads it', async () => {
    const path = fresh();
    writeFileSync(path, 'head');
    const out = openSync(path, 'a');
    expect(await run(SCRIPT, ['send', 'fd:3', '250000'], ['ignore', 'ignore', 'pipe', out]).ended).toBe(
      'duplex false\n',
    );
    closeSync(out);
    expect(readFileSync(path).subarray(0, 5)).toEqual(Buffer.from('head\x07'));
    const back = openSync(path, 'r');
    const { ended } = run(SCRIPT, ['receive', 'fd:3'], ['ignore', 'ignore', 'pipe', back]);
    expect(await ended).toBe('got 250004\nduplex false\n');
    closeSync(back);
  });

  it('must be open, in this direction', async () => {
    expect((await failure(connect('fd:999'))).message).toBe(
      'fd:999: no descriptor 999 is open; whoever starts this process has to pass it on',
    );
    expect(await shell(`true | ${NODE} send fd:4 1 4<&0`)).toMatch(
      /fd:4: the descriptor can only be read\n$/,
    );
    expect(await shell(`${NODE} receive fd:4 4>/dev/null`)).toMatch(/can only be written\n$/);
    expect(await shell(`${NODE} receive fd:4 4</`)).toMatch(/neither a socket, a pipe nor a file\n$/);
  });

  it('tells that the reader of a pipe has gone', async () => {
    const line = `{ ${NODE} send fd:4 9000000 4>&1 >/dev/null; } | head -c 10 >/dev/null`;
    expect(await shell(line)).toBe('TransportError: fd:4: the other side has closed the connection\n');
  });

  it('may be standard output, but no terminal', async () => {
    const { child, ended } = run(SCRIPT, ['send', 'fd:1', '200000'], ['ignore', 'pipe', 'pipe']);
    let got = 0;
    child.stdout?.on('data', (block: Buffer) => {
      got += block.length;
    });
    expect(await ended).toBe('duplex true\n');
    expect(got).toBe(200_000);
    const log = fresh();
    await shell(`script -qec '${NODE.replaceAll("'", '')} send fd:1 10' ${log}`);
    expect(readFileSync(log, 'latin1')).toMatch(
      /fd:1: it is a terminal, and a migration stream is no text; redirect it/,
    );
  });
});

describe('a process', () => {
  it('ends by itself when its channels are closed, however they were used', async () => {
    const script = `
      const { acceptMigration, connect, limited, listen, openFile, RateLimit } = await import(process.env.TRANSPORT);
      const [folder] = process.argv.slice(1);
      for (const uri of ['tcp::0', 'unix:' + folder]) {
        const listener = await listen(uri);
        const near = await connect(listener.address);
        const far = await listener.accept();
        await connect(listener.address);
        near.receive(() => {}).catch(() => {});
        near.write(new Uint8Array(1 << 24));
        limited(near.write, new RateLimit(1 << 20));
        near.destroy();
        far.destroy();
        const stop = new AbortController();
        acceptMigration(listener, { signal: stop.signal }).catch(() => {});
        setTimeout(async () => { stop.abort(); await listener.close(); }, 20);
      }
      const peer = await listen('unix:' + folder + 'b');
      const both = await connect(peer.address);
      const other = await peer.accept();
      await peer.close();
      await Promise.all([both.end(), other.end(), both.receive(() => {}), other.receive(() => {})]);
      const command = await connect('exec:cat');
      await command.write(new Uint8Array(10));
      await command.end();
      (await connect('exec:sleep 100')).destroy();
      const saved = await connect('file:' + folder + 'f');
      await saved.write(new Uint8Array(10));
      await saved.end();
      const random = await openFile('file:' + folder + 'f', 'read');
      await random.close();
      console.error('done');`;
    const { child, ended } = run(script, [fresh('s')], ['ignore', 'ignore', 'pipe']);
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    expect(await ended).toBe('done\n');
    clearTimeout(timer);
  }, 15_000);

  it('is not ended by what nobody waits for', async () => {
    const script = `
      process.on('unhandledRejection', (error) => { console.error('unhandled ' + error); process.exitCode = 1; });
      const { connect, listen } = await import(process.env.TRANSPORT);
      const [path] = process.argv.slice(1);
      for (const uri of ['tcp::0', 'unix:' + path]) {
        const listener = await listen(uri);
        const near = await connect(listener.address);
        const far = await listener.accept();
        for (let count = 0; count < 50; count++) near.write(new Uint8Array(1 << 18));
        near.writev([new Uint8Array(10), new Uint8Array(10)]);
        far.destroy();
        near.end();
        await new Promise((resolve) => setTimeout(resolve, 30));
        near.write(new Uint8Array(1));
        near.end();
        await listener.close();
      }
      const command = await connect('exec:exit 1');
      for (let count = 0; count < 50; count++) command.write(new Uint8Array(1 << 18));
      command.end();
      const full = await connect('file:/dev/full');
      full.write(new Uint8Array(10));
      full.write(new Uint8Array(10));
      await new Promise((resolve) => setTimeout(resolve, 700));
      full.destroy();
      console.error('done');`;
    const { ended } = run(script, [fresh('s')], ['ignore', 'ignore', 'pipe']);
    expect(await ended).toBe('done\n');
  });
});
