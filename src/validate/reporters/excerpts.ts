import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import type { Report } from '../report.js';
import { isStdin } from './place.js';
import type { Excerpts } from './reporter.js';

/** Lines before and after the line of a finding that are quoted. */
const AROUND = 2;
/** Findings of one file whose lines are fetched; more would not be read by anybody. */
const MOST_PLACES = 200;
/** How far into a file lines are fetched: a report must not cost a second reading of a huge log. */
const MOST_BYTES = 256 << 20;
const MOST_GZIP_BYTES = 64 << 20;
/** Longest line that is kept. */
const MOST_COLUMNS = 400;

/**
 * Reads the lines around the findings from inputs that are plain text or gzip. Standard input, other
 * compressions and binary files give nothing, and neither does a file that is gone: the report stands
 * without them.
 */
export async function readExcerpts(report: Report): Promise<Excerpts> {
  const excerpts = new Map<string, ReadonlyMap<number, string>>();
  for (const [file, numbers] of wantedLines(report)) {
    const lines = await readLines(file, numbers).catch(() => new Map<number, string>());
    if (lines.size > 0) excerpts.set(file, lines);
  }
  return excerpts;
}

function wantedLines(report: Report): Map<string, Set<number>> {
  const wanted = new Map<string, Set<number>>();
  for (const { file, line } of report.violations) {
    if (file === null || isStdin(file) || line === null) continue;
    const lines = wanted.get(file) ?? new Set();
    wanted.set(file, lines);
    if (lines.size > MOST_PLACES * (2 * AROUND + 1)) continue;
    for (let near = Math.max(1, line - AROUND); near <= line + AROUND; near++) lines.add(near);
  }
  return wanted;
}

async function readLines(file: string, wanted: ReadonlySet<number>): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const kind = await kindOf(file);
  if (kind === 'other') return found;
  const source = createReadStream(file, { highWaterMark: 1 << 20 });
  const blocks: AsyncIterable<Buffer> = kind === 'gzip' ? source.pipe(createGunzip()) : source;
  if (kind === 'gzip') source.on('error', () => source.destroy());
  const limit = kind === 'gzip' ? MOST_GZIP_BYTES : MOST_BYTES;
  try {
    await collect(blocks, wanted, limit, found);
  } catch {
    // A damaged gzip file: what came before the damage is still good.
  } finally {
    source.destroy();
  }
  return found;
}

/** Walks newlines through the blocks; only bytes of wanted lines are copied. */
async function collect(
  blocks: AsyncIterable<Buffer>,
  wanted: ReadonlySet<number>,
  limit: number,
  found: Map<number, string>,
): Promise<void> {
  const last = Math.max(...wanted);
  let number = 1;
  let done = 0;
  let head = Buffer.alloc(0);
  for await (const block of blocks) {
    for (let start = 0; start < block.length; ) {
      const newline = block.indexOf(10, start);
      const end = newline < 0 ? block.length : newline;
      if (wanted.has(number)) {
        head = Buffer.concat([head, block.subarray(start, Math.min(end, start + 4 * MOST_COLUMNS))]);
        found.set(number, head.toString('utf8').slice(0, MOST_COLUMNS).trimEnd());
      }
      if (newline < 0) break;
      number++;
      head = Buffer.alloc(0);
      start = newline + 1;
      if (number > last) return;
    }
    done += block.length;
    if (done > limit) return;
  }
}

async function kindOf(file: string): Promise<'text' | 'gzip' | 'other'> {
  const handle = await open(file);
  try {
    if (!(await handle.stat()).isFile()) return 'other';
    const head = Buffer.alloc(4096);
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
    const zstd = bytesRead >= 4 && head.readUInt32LE(0) === 0xfd2fb528;
    return zstd || head.subarray(0, bytesRead).includes(0) ? 'other' : 'text';
  } finally {
    await handle.close();
  }
}
