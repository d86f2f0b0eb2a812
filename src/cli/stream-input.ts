import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type Decoder, decoderFor, MAGIC_LENGTH } from '../trace/decompress.js';
import { InputError } from '../trace/reader.js';
import { openSource, type Source } from '../trace/source.js';

/** Bytes of one block of a plain file. */
const BLOCK = 1 << 20;

/** Who takes the bytes of an input. */
export interface ByteTaker {
  write(block: Uint8Array): void;
  /** Bytes ahead that it does not look at; a plain file is not read there. */
  readonly skippable?: number;
  skip?(size: number): void;
}

export type TellProgress = (done: number, total: number | undefined) => void;

/** An input of bytes: a plain file, which can be read from any place, or whatever flows. */
export type StreamInput = FileInput | FlowInput;

/**
 * Opens a file, or `-` for standard input; gzip and zstd are decompressed.
 * @throws InputError when it cannot be opened, or is empty
 */
export async function openStreamInput(file: string): Promise<StreamInput> {
  const source = await openSource(file);
  try {
    const head = await firstBytes(source);
    if (head.length === 0) throw new InputError(`${file === '-' ? 'stdin' : file}: is empty`);
    if (source.size !== undefined && decoderFor(head, () => {}) === undefined) {
      await source.close();
      return new FileInput(file);
    }
    return new FlowInput(source, head);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function firstBytes(source: Source): Promise<Uint8Array> {
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < MAGIC_LENGTH) {
    const block = await source.next();
    if (block.length === 0) break;
    head = head.length === 0 ? Uint8Array.from(block) : Buffer.concat([head, block]);
  }
  return head;
}

/** A plain file. */
export class FileInput {
  readonly kind = 'file';
  readonly size: number;
  readonly #fd: number;

  constructor(file: string) {
    this.#fd = openSync(file, 'r');
    this.size = fstatSync(this.#fd).size;
  }

  /** The bytes from `from` up to `to`. */
  bytes(from: number, to: number): Uint8Array {
    const bytes = Buffer.alloc(Math.max(0, Math.min(to, this.size) - from));
    let length = 0;
    while (length < bytes.length) {
      const got = readSync(this.#fd, bytes, length, bytes.length - length, from + length);
      if (got === 0) break;
      length += got;
    }
    return bytes.subarray(0, length);
  }

  /** Brings everything from `offset` on to the taker. What the taker throws ends it. */
  async pump(taker: ByteTaker, offset: number, tell: TellProgress): Promise<undefined> {
    const block = Buffer.allocUnsafe(BLOCK);
    for (let at = offset; ; ) {
      const length = readSync(this.#fd, block, 0, BLOCK, at);
      if (length === 0) return;
      taker.write(block.subarray(0, length));
      at += length;
      const hole = Math.min(taker.skippable ?? 0, Math.max(0, this.size - at));
      if (hole > BLOCK) {
        taker.skip?.(hole);
        at += hole;
      }
      tell(at, this.size);
    }
  }

  async close(): Promise<void> {
    closeSync(this.#fd);
  }
}

/** A pipe, standard input, or compressed data: it is read once, from its start to its end. */
export class FlowInput {
  readonly kind = 'flow';
  readonly #source: Source;
  readonly #head: Uint8Array;

  constructor(source: Source, head: Uint8Array) {
    this.#source = source;
    this.#head = head;
  }

  /**
   * Brings everything from `offset` on to the taker. What the taker throws ends it. Returns what is wrong
   * with compressed data, which ends there.
   */
  async pump(taker: ByteTaker, offset: number, tell: TellProgress): Promise<string | undefined> {
    let before = offset;
    let failure: { error: unknown } | undefined;
    const take = (block: Uint8Array) => {
      const skipped = Math.min(before, block.length);
      before -= skipped;
      if (failure !== undefined || skipped === block.length) return;
      try {
        taker.write(block.subarray(skipped));
      } catch (error) {
        failure = { error };
      }
    };
    const decoder = decoderFor(this.#head, take);
    let done = 0;
    let broken: string | undefined;
    for (let block = this.#head; block.length > 0; block = await this.#source.next()) {
      if (decoder === undefined) take(block);
      else broken = await attempt(decoder, () => decoder.write(block));
      if (failure !== undefined) throw failure.error;
      if (broken !== undefined) return broken;
      done += block.length;
      tell(done, this.#source.size);
    }
    if (decoder !== undefined) broken = await attempt(decoder, () => decoder.end());
    if (failure !== undefined) throw failure.error;
    return broken;
  }

  async close(): Promise<void> {
    await this.#source.close();
  }
}

async function attempt(decoder: Decoder, work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return `${decoder.name} data is damaged or incomplete (${(error as Error).message})`;
  }
}
