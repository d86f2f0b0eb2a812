import * as zlib from 'node:zlib';
import { Decompress } from 'fzstd';

/** Takes compressed blocks and passes on what they hold, in pieces of bounded size. */
export interface Decoder {
  /** What the bytes are, for messages. */
  readonly name: string;
  /** Takes a block; when the promise is done, the caller may reuse it. Rejects when the data is damaged. */
  write(block: Uint8Array): Promise<void>;
  /** The input has ended. Rejects when the data is incomplete. */
  end(): Promise<void>;
}

/** Bytes of the start of an input that `decoderFor` wants to see. */
export const MAGIC_LENGTH = 4;

type ZlibStream = zlib.Gunzip;

/** `node:zlib` has zstd from Node 22.15 on. */
const createZstd = (zlib as { createZstdDecompress?: (options: zlib.ZlibOptions) => ZlibStream })
  .createZstdDecompress;

/** The decoder for data that starts with these bytes, or `undefined` when they are not compressed. */
export function decoderFor(head: Uint8Array, out: (block: Uint8Array) => void): Decoder | undefined {
  const options = { chunkSize: 1 << 18 };
  if (head[0] === 0x1f && head[1] === 0x8b) return new ZlibDecoder('gzip', zlib.createGunzip(options), out);
  if (!isZstd(head)) return undefined;
  return createZstd ? new ZlibDecoder('zstd', createZstd(options), out) : new FzstdDecoder(out);
}

/** A zstd frame, or a skippable frame, which may come before one. */
function isZstd(head: Uint8Array): boolean {
  const frame = head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd;
  const skippable = (head[0]! & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18;
  return frame || skippable;
}

class ZlibDecoder implements Decoder {
  readonly name: string;
  readonly #stream: ZlibStream;
  #failure: unknown;
  #ended = false;
  #fail: (error: unknown) => void = () => {};

  constructor(name: string, stream: ZlibStream, out: (block: Uint8Array) => void) {
    this.name = name;
    this.#stream = stream;
    stream.on('error', (error) => this.#failed(error));
    stream.on('end', () => {
      this.#ended = true;
    });
    stream.on('data', (block: Buffer) => {
      // An error of the receiver must reach the caller of `write`, not the event loop.
      try {
        if (this.#failure === undefined) out(block);
      } catch (error) {
        this.#failed(error);
      }
    });
  }

  /** Waits for the block to be used up, so that at the end of damaged data all before it was passed on. */
  async write(block: Uint8Array): Promise<void> {
    if (!this.#ended) await this.#until((done) => this.#stream.write(block, done));
  }

  /** The stream may have ended before, when padding follows the data. */
  async end(): Promise<void> {
    if (this.#ended) return;
    await this.#until((done) => {
      this.#stream.once('end', done);
      this.#stream.end();
    });
  }

  #until(start: (done: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      if (this.#failure !== undefined) reject(this.#failure);
      else start(() => (this.#failure === undefined ? resolve() : reject(this.#failure)));
    });
  }

  #failed(error: unknown): void {
    this.#failure ??= error;
    this.#stream.destroy();
    this.#fail(this.#failure);
  }
}

/** Bytes given to fzstd at a time: it copies them, and works on them in one go. */
const FZSTD_BLOCK = 1 << 16;

class FzstdDecoder implements Decoder {
  readonly name = 'zstd';
  readonly #stream: Decompress;

  constructor(out: (block: Uint8Array) => void) {
    this.#stream = new Decompress((block) => {
      if (block.length > 0) out(block);
    });
  }

  async write(block: Uint8Array): Promise<void> {
    for (let at = 0; at < block.length; at += FZSTD_BLOCK) {
      this.#stream.push(block.slice(at, at + FZSTD_BLOCK));
    }
  }

  async end(): Promise<void> {
    this.#stream.push(new Uint8Array(0), true);
  }
}
