import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decoderFor } from '../../src/trace/decompress.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { type ReadOptions, type ReadSummary, readTrace, type TraceInput } from '../../src/trace/open.js';
import { InputError } from '../../src/trace/reader.js';
import { READERS } from '../../src/trace/readers/index.js';

const LINE = '175@1795225654.036963:migration_cancel \n';
/** `LINE`, as the zstd tool packs it. */
const ZSTD = Buffer.from(
  'KLUv/QRoQQEAMTc1QDE3OTUyMjU2NTQuMDM2OTYzOm1pZ3JhdGlvbl9jYW5jZWwgCkRjPmM=',
  'base64',
);

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-open-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function read(
  input: string | TraceInput,
  options: Partial<ReadOptions> = {},
): Promise<ReadSummary & { events: TraceEvent[] }> {
  const events: TraceEvent[] = [];
  const summary = await readTrace(typeof input === 'string' ? { file: input } : input, {
    emit: (event) => events.push(event),
    ...options,
  });
  return { ...summary, events };
}

async function failure(input: string | TraceInput): Promise<string> {
  const error = await read(input).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  const { message } = error as InputError;
  expect(message).not.toContain('\n');
  return message.replace(folder, '');
}

/** More than a block of real-looking log. */
const big = (lines: number) => LINE.repeat(lines);

describe('readTrace', () => {
  it('reads a plain file and says what it was', async () => {
    const path = file('host-a.trace.log', LINE + LINE);
    const { events, counts, ...summary } = await read(path);
    expect(summary).toMatchObject({
      file: path,
      host: 'host-a',
      format: 'qemu-log',
      bytes: LINE.length * 2,
      cut: false,
      remarks: [],
    });
    expect(counts).toMatchObject({ lines: 2, decoded: 2 });
    expect(events[1]).toEqual({
      kind: 'migration_cancel',
      host: 'host-a',
      file: path,
      line: 2,
      t: 1795225654036963,
      thread: 175,
    });
  });

  it('takes host and format from the caller', async () => {
    const path = file('x.log', LINE);
    expect(await read({ file: path, host: 'left', format: 'qemu-log' })).toMatchObject({ host: 'left' });
  });

  it('finds the format behind foreign lines', async () => {
    const foreign = 'qemu-system-x86_64: warning: something\nBIOS 1.2.3\n';
    expect((await read(file('foreign.log', foreign + LINE))).format).toBe('qemu-log');
  });

  it('reads more than one block, tells progress, and honours what is wanted', async () => {
    const lines = 2_000_000;
    const path = file('big.log', big(lines));
    const told: [number, number | undefined][] = [];
    const { counts, events } = await read(path, {
      progress: (done, total) => told.push([done, total]),
      wants: new Set(['vm_reset']),
    });
    expect(counts).toMatchObject({ lines, decoded: 0, ignored: lines });
    expect(events).toEqual([]);
    const size = LINE.length * lines;
    expect(told.length).toBeGreaterThan(1);
    expect(told.at(-1)).toEqual([size, size]);
  });
});

describe('compressed input', () => {
  it('gzip, in one member or several, with anything behind', async () => {
    const member = gzipSync(big(50_000));
    expect((await read(file('one.gz', member))).counts.decoded).toBe(50_000);
    expect((await read(file('two.gz', Buffer.concat([member, member])))).counts.decoded).toBe(100_000);
    const padded = await read(file('padded.gz', Buffer.concat([member, Buffer.alloc(1000)])));
    expect(padded).toMatchObject({ cut: false, bytes: LINE.length * 50_000 });
  });

  it('gzip whose members end where blocks end', async () => {
    const member = gzipSync(LINE);
    let text = '';
    const decoder = decoderFor(member, (block) => {
      text += Buffer.from(block).toString();
    })!;
    await decoder.write(member);
    await decoder.write(member);
    await decoder.end();
    expect(text).toBe(LINE + LINE);
  });

  it('gzip that ends early or is damaged: gives what came before', async () => {
    const noise = Array.from(
      { length: 20_000 },
      (_, n) => `${n * 7919}@1795225654.036963:migration_cancel \n`,
    );
    const whole = gzipSync(noise.join(''));
    const cut = await read(file('cut.log.gz', whole.subarray(0, whole.length - 100)));
    expect(cut.cut).toBe(true);
    expect(cut.counts.decoded).toBeGreaterThan(19_000);
    expect(cut.remarks).toEqual([expect.stringMatching(/^gzip data is damaged or incomplete .* was read/)]);

    const damaged = Buffer.from(whole);
    damaged.fill(0xff, whole.length >> 1, (whole.length >> 1) + 64);
    const broken = await read(file('damaged.log.gz', damaged));
    expect(broken.cut).toBe(true);
    expect(broken.counts.decoded).toBeGreaterThan(0);
  });

  it('gzip that is damaged from the start', async () => {
    const bytes = gzipSync(LINE);
    bytes.fill(0xff, 10);
    expect(await failure(file('bad.gz', bytes))).toMatch(/^\/bad\.gz: gzip data is damaged/);
  });

  it('zstd, in one frame or several', async () => {
    expect((await read(file('one.zst', ZSTD))).events).toHaveLength(1);
    expect((await read(file('two.zst', Buffer.concat([ZSTD, ZSTD])))).events).toHaveLength(2);
    expect(await failure(file('cut.zst', ZSTD.subarray(0, 12)))).toMatch(/zstd data is damaged/);
  });
});

describe('input that cannot be read', () => {
  it.each([
    ['a missing file', () => join(folder, 'nowhere'), '/nowhere: no such file'],
    ['a directory', () => folder, ': is a directory; name the files in it'],
    ['an empty file', () => file('empty', ''), '/empty: is empty'],
    ['an empty gzip file', () => file('empty.gz', gzipSync('')), '/empty.gz: is empty'],
  ])('%s', async (_name, path, message) => {
    expect(await failure(path())).toBe(message);
  });

  it.skipIf(process.getuid?.() === 0)('a file without permission', async () => {
    const path = file('secret', LINE);
    chmodSync(path, 0);
    expect(await failure(path)).toBe('/secret: permission denied');
  });

  it('binary data and text of no known format', async () => {
    const formats = READERS.map(({ format }) => format).join(', ');
    const tail = `tried ${formats}; if it is one of them, say so with --format`;
    expect(await failure(file('a.bin', Buffer.alloc(5000, 7).fill(0, 0, 100)))).toBe(
      `/a.bin: binary data of unknown format; ${tail}`,
    );
    expect(await failure(file('poem', 'roses are red\n'))).toBe(`/poem: unknown format; ${tail}`);
  });

  it('a format that does not exist', async () => {
    expect(await failure({ file: file('y.log', LINE), format: 'pcap' })).toMatch(
      /^unknown format "pcap"; formats are qemu-log, /,
    );
  });

  it('a log of protocol v1, plain or compressed', async () => {
    const old = `${LINE}7@1795225654.036963:vfio_migration_probe  (d) Region 9\n`;
    expect(await failure(file('old.log', old))).toMatch(/^\/old\.log:2: QEMU 7\.2 and older/);
    expect(await failure(file('late.log.gz', gzipSync(big(60_000) + old)))).toMatch(
      /^\/late\.log\.gz:60002: QEMU 7\.2/,
    );
  });
});

describe.skipIf(process.platform === 'win32')('pipes', () => {
  const fifo = join(folder, 'pipe.log');
  beforeAll(() => {
    mkdirSync(folder, { recursive: true });
    execFileSync('mkfifo', [fifo]);
  });

  it('reads a FIFO that gives little at a time', async () => {
    const script =
      'printf 1; sleep 0.05; printf 75@1795225654.0; sleep 0.05; printf "36963:migration_cancel \\n"';
    spawn('sh', ['-c', `(${script}) > "$0"`, fifo]);
    const { events, host } = await read(fifo);
    expect(events).toHaveLength(1);
    expect(host).toBe('pipe');
  });

  it('reads a compressed FIFO', async () => {
    const packed = file('packed.gz', gzipSync(big(30_000)));
    spawn('sh', ['-c', 'cat "$1" > "$0"', fifo, packed]);
    expect((await read(fifo)).events).toHaveLength(30_000);
  });

  const built = new URL('../../dist/trace/open.js', import.meta.url);

  it.skipIf(!existsSync(built))('reads standard input, also compressed', () => {
    const script = `
      const { readTrace } = await import(${JSON.stringify(built.href)});
      const { file, host, counts } = await readTrace({ file: '-' }, { emit() {} });
      console.log(file, host, counts.decoded);`;
    for (const input of [LINE, gzipSync(LINE)]) {
      const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { input });
      expect(out.toString()).toBe('stdin stdin 1\n');
    }
  });
});
