import { existsSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { type Channel, connect, listen } from '../../src/transport/index.js';
import { all, failure, fresh, pattern, until } from './scratch.js';

let channels: Channel[] = [];
afterEach(() => {
  for (const channel of channels) channel.destroy();
  channels = [];
});

async function command(text: string): Promise<Channel> {
  const channel = await connect(`exec:${text}`);
  channels.push(channel);
  return channel;
}

describe('exec', () => {
  it('is both ways: what goes in may come out again', async () => {
    const channel = await command('cat');
    expect(channel.duplex).toBe(true);
    const bytes = pattern(2_000_000);
    const received = all(channel);
    for (let at = 0; at < bytes.length; at += 100_000) await channel.write(bytes.subarray(at, at + 100_000));
    await channel.end();
    expect((await received).equals(bytes)).toBe(true);
    expect(channel.bytesWritten).toBe(bytes.length);
  });

  it('has written the file when the end is done', async () => {
    const path = fresh('out');
    const channel = await command(`sleep 0.1; cat > ${path}`);
    await channel.write(pattern(100_000));
    await channel.end();
    expect(readFileSync(path).equals(pattern(100_000))).toBe(true);
  });

  it('does not make the command wait for somebody who reads its output', async () => {
    const channel = await command('head -c 3000000 /dev/zero; cat > /dev/null');
    await channel.write(pattern(10));
    await channel.end();
  });

  it('loads what a command gives, to its last byte though it has ended by then', async () => {
    const listener = await listen('exec:head -c 150000 /dev/zero');
    const channel = await listener.accept();
    channels.push(channel);
    await new Promise((resolve) => setTimeout(resolve, 100));
    let size = 0;
    await channel.receive(async (block) => {
      size += block.length;
      await new Promise((resolve) => setTimeout(resolve, 5));
    });
    expect(size).toBe(150_000);
    expect((await failure(listener.accept())).message).toMatch(/has a single channel/);
    await listener.close();
  });

  it('tells a status and the last line of the messages', async () => {
    const failing = 'echo first >&2; printf "it \\033[31mbroke\\n\\n" >&2; cat > /dev/null; exit 3';
    const words = /: the command ended with status 3: it \?\[31mbroke$/;
    const saving = await command(failing);
    await saving.write(pattern(10));
    expect((await failure(saving.end())).message).toMatch(words);
    const loading = await command(failing.replace('cat > /dev/null; ', 'head -c 5 /dev/zero; '));
    expect((await failure(all(loading))).message).toMatch(words);
  });

  it('tells the status rather than a broken pipe', async () => {
    const channel = await command('echo no room >&2; exit 7');
    const error = await failure(async () => {
      for (;;) await channel.write(new Uint8Array(100_000));
    });
    expect(error.message).toMatch(/ended with status 7: no room$/);
  });

  it('says that a command in good order took not all', async () => {
    const channel = await command('head -c 10 > /dev/null');
    const error = await failure(async () => {
      for (;;) await channel.write(new Uint8Array(100_000));
    });
    expect(error.message).toMatch(/the command ended before it had taken everything$/);
  });

  it('is named in one line, however long the command is', async () => {
    const channel = await command(`: ${'x'.repeat(500)}\nexit 2`);
    const { message } = await failure(channel.end());
    expect(message).toMatch(/^exec:: x{113}\.\.\.: the command ended with status 2$/);
  });

  it('tells a signal', async () => {
    const channel = await command('kill -9 $$');
    expect((await failure(channel.end())).message).toMatch(/the command was ended by SIGKILL$/);
  });

  it('knows no command', async () => {
    const channel = await command('/no/such/command');
    expect((await failure(channel.end())).message).toMatch(/ended with status 127: .*not found/);
  });

  it('keeps little of endless messages', async () => {
    const channel = await command('head -c 20000000 /dev/zero | tr "\\0" x >&2; exit 1');
    const { message } = await failure(channel.end());
    expect(message).toMatch(/ended with status 1: x+\.\.\.$/);
    expect(message.length).toBeLessThan(400);
  });

  it('ends the command when it is destroyed', async () => {
    const pidFile = fresh('pid');
    const channel = await command(`echo $$ > ${pidFile}; exec sleep 100`);
    await until(
      () => existsSync(pidFile) && readFileSync(pidFile, 'utf8').endsWith('\n'),
      'the command runs',
    );
    const pid = readFileSync(pidFile, 'utf8').trim();
    const received = failure(channel.receive(() => {}));
    channel.destroy();
    expect((await received).message).toMatch(/closed on this side/);
    await until(() => !existsSync(`/proc/${pid}`), 'the command is gone');
    await failure(channel.write(pattern(1)));
    await failure(channel.end());
  });
});
