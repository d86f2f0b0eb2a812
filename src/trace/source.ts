import { read, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Fill, InputError } from './reader.js';

const readAsync = promisify(read);

/** Bytes of one block. */
const BLOCK = 1 << 20;
/** Bytes of a plain file after which other work gets a turn. */
const TURN = 1 << 26;
const STDIN = 0;

/** An open input: its raw bytes, from its start to its end. */
export interface Source {
  /** Size in bytes; undefined for pipes and devices. */
  readonly size: number | undefined;
  /** The next bytes in a buffer that is used again for the next call; empty at the end. */
  next(): Promise<Uint8Array>;
  /** For plain files: puts the next bytes where the caller wants them. Other work is to get a `turn` now and then. */
  readonly fill: Fill | undefined;
  /** Lets other work have a turn, when it is time for that. */
  turn(): Promise<void> | undefined;
  close(): Promise<void>;
}

/**
 * Opens a file, a FIFO or, for `-`, standard input.
 * @throws InputError when it does not exist, must not be read, or is a directory
 */
export async function openSource(file: string): Promise<Source> {
  if (file === '-') return new FdSource(file, STDIN, undefined);
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    throw ioError(file, error);
  }
  const stat = await handle.stat();
  if (stat.isDirectory()) {
    await handle.close();
    throw new InputError(`${file}: is a directory; name the files in it`);
  }
  return new FdSource(file, handle.fd, stat.isFile() ? stat.size : undefined, handle);
}

class FdSource implements Source {
  readonly size: number | undefined;
  readonly #file: string;
  readonly #fd: number;
  readonly #handle: FileHandle | undefined;
  readonly #block = Buffer.allocUnsafe(BLOCK);
  #sinceTurn = 0;

  constructor(file: string, fd: number, size: number | undefined, handle?: FileHandle) {
    this.#file = file;
    this.#fd = fd;
    this.size = size;
    this.#handle = handle;
  }

  /** Plain files are read in place, since that is fastest; a pipe may have to be waited for. */
  next(): Promise<Uint8Array> {
    return this.size === undefined ? this.#wait() : this.#read();
  }

  get fill(): Fill | undefined {
    return this.size === undefined ? undefined : this.#readInto;
  }

  turn(): Promise<void> | undefined {
    if (this.#sinceTurn < TURN) return undefined;
    this.#sinceTurn = 0;
    return nextTurn();
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }

  async #read(): Promise<Uint8Array> {
    await this.turn();
    return this.#block.subarray(0, this.#readInto(this.#block, 0, BLOCK));
  }

  readonly #readInto = (into: Buffer, at: number, most: number): number => {
    try {
      const length = readSync(this.#fd, into, at, most, null);
      this.#sinceTurn += length;
      return length;
    } catch (error) {
      throw ioError(this.#file, error);
    }
  };

  async #wait(): Promise<Uint8Array> {
    for (;;) {
      try {
        const { bytesRead } = await readAsync(this.#fd, this.#block, 0, BLOCK, null);
        return this.#block.subarray(0, bytesRead);
      } catch (error) {
        // Standard input may have been made non-blocking by whoever else holds it.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw ioError(this.#file, error);
        await sleep(5);
      }
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'is a directory; name the files in it',
  ENOTDIR: 'no such file (a part of its path is not a directory)',
  EMFILE: 'too many open files',
  ELOOP: 'too many symbolic links',
};

function ioError(file: string, error: unknown): InputError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new InputError(`${file}: ${REASONS[code ?? ''] ?? `cannot be read: ${message}`}`);
}
