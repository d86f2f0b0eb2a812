import { closeSync, openSync, writeSync } from 'node:fs';
import { UsageError } from './exit.js';

/** Somewhere to put text. Chunks are gathered, so a generator may yield small ones. */
export interface Output {
  write(chunks: Iterable<string>): Promise<void>;
  close(): void;
}

const BLOCK = 1 << 16;

let stdoutClosed = false;
let watching = false;

/** Whether whoever read standard output has gone, as `head` does. */
export function isStdoutClosed(): boolean {
  return stdoutClosed;
}

/** Standard output. A reader that goes away early is no error: the rest is dropped. */
export function stdoutOutput(): Output {
  watchStdout();
  return {
    async write(chunks) {
      for (const block of blocks(chunks)) {
        if (stdoutClosed) return;
        await new Promise<void>((resolve) => process.stdout.write(block, () => resolve()));
      }
    },
    close() {},
  };
}

function watchStdout(): void {
  if (watching) return;
  watching = true;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    stdoutClosed = true;
  });
}

/**
 * A file, created or emptied at once, so that a wrong path is told before the work is done.
 * @throws UsageError when it cannot be opened
 */
export function fileOutput(path: string): Output {
  const fd = attempt(path, () => openSync(path, 'w'));
  return {
    async write(chunks) {
      for (const block of blocks(chunks)) attempt(path, () => writeAll(fd, Buffer.from(block)));
    },
    close: () => closeSync(fd),
  };
}

function writeAll(fd: number, block: Buffer): void {
  for (let start = 0; start < block.length; ) start += writeSync(fd, block, start);
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

function* blocks(chunks: Iterable<string>): Generator<string> {
  let block = '';
  for (const chunk of chunks) {
    block += chunk;
    if (block.length < BLOCK) continue;
    yield block;
    block = '';
  }
  if (block !== '') yield block;
}

/** Prints text on standard output. */
export async function print(text: Iterable<string> | string): Promise<void> {
  await stdoutOutput().write(typeof text === 'string' ? [text] : text);
}

/** Lines, each with its newline. */
export function* withNewlines(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${line}\n`;
}

/** Prints one line on standard error: `stopcopy: ...`. */
export function complain(message: string): void {
  process.stderr.write(`stopcopy: ${oneLine(message)}\n`);
}

/** Names from files and logs come along in messages; they must not act on the terminal. */
function oneLine(message: string): string {
  return message.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
}
