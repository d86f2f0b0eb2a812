import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { connect, listen, openFile } from '../../src/transport/index.js';
import { all, failure, fresh, pattern } from './scratch.js';

async function load(uri: string): Promise<Buffer> {
  const listener = await listen(uri);
  try {
    return await all(await listener.accept());
  } finally {
    await listener.close();
  }
}

describe('file, as a channel', () => {
  it('saves and loads, for its owner only', async () => {
    const uri = `file:${fresh()}`;
    const channel = await connect(uri);
    expect(channel.duplex).toBe(false);
    const bytes = pattern(2_500_000);
    await channel.write(bytes.subarray(0, 7));
    await channel.writev([bytes.subarray(7, 9), bytes.subarray(9, 1_000_000), bytes.subarray(1_000_000)]);
    await channel.end();
    await channel.end();
    expect(channel.bytesWritten).toBe(bytes.length);
    expect(statSync(uri.slice(5)).mode & 0o777).toBe(0o600);
    expect((await load(uri)).equals(bytes)).toBe(true);
    await failure(channel.write(bytes));
  });

  it('keeps the order of writes that nobody waits for', async () => {
    const path = fresh();
    const channel = await connect(`file:${path}`);
    for (let count = 0; count < 50; count++) void channel.write(Buffer.from(`${count} `));
    await channel.end();
    expect(readFileSync(path, 'utf8')).toBe(Array.from({ length: 50 }, (_, count) => `${count} `).join(''));
  });

  it('keeps what stands before the offset, and nothing after it', async () => {
    const path = fresh();
    writeFileSync(path, 'head of somebody else, and a tail');
    const channel = await connect(`file:${path},offset=4`);
    await channel.write(Buffer.from('STREAM'));
    await channel.end();
    expect(readFileSync(path, 'utf8')).toBe('headSTREAM');
    expect((await load(`file:${path},offset=0x4`)).toString()).toBe('STREAM');
    const empty = await connect(`file:${path}`);
    await empty.end();
    expect(statSync(path).size).toBe(0);
  });

  it('makes a hole where the file was shorter than the offset', async () => {
    const path = fresh();
    const channel = await connect(`file:${path},offset=1M`);
    await channel.write(Buffer.from('x'));
    await channel.end();
    expect(statSync(path).size).toBe((1 << 20) + 1);
  });

  it('is read no faster than it is taken, and stops with what the taker throws', async () => {
    const path = fresh();
    writeFileSync(path, pattern(3_000_000));
    const channel = await (await listen(`file:${path}`)).accept();
    let calls = 0;
    const received = channel.receive(async () => {
      if (++calls === 2) throw new RangeError('enough');
    });
    await expect(received).rejects.toThrow(new RangeError('enough'));
    expect(calls).toBe(2);
    channel.destroy();
    const stuck = await (await listen(`file:${path}`)).accept();
    const waiting = failure(stuck.receive(() => new Promise(() => {})));
    await new Promise((resolve) => setTimeout(resolve, 10));
    stuck.destroy();
    expect((await waiting).message).toMatch(/closed on this side/);
  });

  it('has one direction', async () => {
    const path = fresh();
    const saving = await connect(`file:${path}`);
    expect((await failure(saving.receive(() => {}))).message).toMatch(/can only be written/);
    await saving.end();
    const loading = await (await listen(`file:${path}`)).accept();
    expect((await failure(loading.write(pattern(1)))).message).toMatch(/can only be read/);
    await loading.end();
    expect((await all(loading)).length).toBe(0);
  });

  it('says what is wrong with a file', async () => {
    const folder = fresh('d');
    mkdirSync(folder);
    const pipe = fresh('p');
    execFileSync('mkfifo', [pipe]);
    writeFileSync(`${folder}/short`, '123');
    for (const [work, words] of [
      [() => listen(`file:${folder}/none`), /cannot open the file: there is no such file/],
      [() => connect(`file:${folder}/none/x`), /cannot open the file: there is no such file/],
      [() => connect(`file:${folder}`), /it is a folder/],
      [() => listen(`file:${pipe}`), /a pipe or a socket; use exec:/],
      [() => connect(`file:${folder}/short/x`), /not a folder/],
      [() => listen(`file:${folder}/short,offset=4`), /the file has 3 bytes, so nothing can begin at 4/],
      [() => openFile('unix:/x', 'write'), /only in a file can any place/],
    ] as const) {
      expect((await failure(work)).message).toMatch(words);
    }
  });

  it('tells that no space is left, to who waits and to the next', async () => {
    const channel = await connect('file:/dev/full');
    expect((await failure(channel.write(pattern(10)))).message).toMatch(/no space is left/);
    expect((await failure(channel.write(pattern(10)))).code).toBe('ENOSPC');
    expect((await failure(channel.end())).code).toBe('ENOSPC');
    channel.destroy();
  });
});

describe('file, with random access', () => {
  it('writes and reads any place', async () => {
    const path = fresh();
    writeFileSync(path, 'head and tail');
    const file = await openFile(`file:${path},offset=4`, 'write');
    expect(file.offset).toBe(4);
    expect(await file.size()).toBe(4);
    await Promise.all([file.write(pattern(100_000), 1 << 20), file.write(Buffer.from('x'), 6)]);
    expect(await file.size()).toBe((1 << 20) + 100_000);
    const into = Buffer.alloc(10, 0xff);
    expect(await file.read(into, 0)).toBe(10);
    expect(into.toString('latin1')).toBe('head\0\0x\0\0\0');
    await file.truncate((1 << 20) + 5);
    await file.close();
    await file.close();
    await failure(file.size());

    const again = await openFile(`file:${path}`, 'read');
    expect(await again.read(into, 1 << 20)).toBe(5);
    expect(into.subarray(0, 5).equals(pattern(5))).toBe(true);
    expect(await again.read(into, 1 << 30)).toBe(0);
    expect((await failure(again.write(into, 0))).message).toMatch(/not open in this direction/);
    await again.close();
  });

  it('makes a new file for its owner only, and ends its work before it closes', async () => {
    const path = fresh();
    const file = await openFile(`file:${path}`, 'write');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const writing = file.write(pattern(5_000_000), 0);
    await file.close();
    await writing;
    expect(readFileSync(path).equals(pattern(5_000_000))).toBe(true);
  });
});
