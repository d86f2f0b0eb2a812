import { Checksum } from './checksum.js';

/** Takes the bytes of a stream. They are valid until it returns, or its promise is done. */
export type ByteSink = (bytes: Uint8Array) => void | Promise<void>;

/** Bytes that are gathered before the sink gets them. */
const BLOCK = 1 << 18;
/** Data of this length go to the sink as they are, uncopied. */
const DIRECT = 1 << 16;
/** Blocks that are kept for later. */
const SPARE = 2;

/**
 * Gathers small writes into blocks. Each method puts bytes in order; `pressure` tells whether the sink
 * still works on earlier ones. Whoever waits for it before the next record bounds the memory.
 */
export class Output {
  /** Bytes put so far. */
  offset = 0;
  readonly #sink: ByteSink;
  #block = new Uint8Array(BLOCK);
  #view = new DataView(this.#block.buffer);
  #length = 0;
  #spare: Uint8Array<ArrayBuffer>[] = [];
  #pending: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;
  /** Of what was put, up to `#summed` in the block; undefined: nobody asked for it. */
  readonly #sum: Checksum | undefined;
  #summed = 0;

  constructor(sink: ByteSink, checksum = false) {
    this.#sink = sink;
    if (checksum) this.#sum = new Checksum();
  }

  /**
   * Checksum (`checksum.ts`) of all bytes put so far.
   * @throws TypeError when it is not kept
   */
  checksumSoFar(): number {
    this.#absorb();
    if (this.#sum === undefined) throw new TypeError('this stream is written without the option checksum');
    return this.#sum.value;
  }

  // A step comes first: it may change the block.

  u8(value: number): void {
    const at = this.#step(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#step(2);
    this.#view.setUint16(at, value);
  }

  u32(value: number): void {
    const at = this.#step(4);
    this.#view.setUint32(at, value);
  }

  /** A u64 below 2^53, or of two halves. */
  u64(value: number | bigint): void {
    if (typeof value === 'bigint') {
      const at = this.#step(8);
      this.#view.setBigUint64(at, value);
      return;
    }
    this.u32(Math.floor(value / 0x1_0000_0000));
    this.u32(value >>> 0);
  }

  /** A text of Latin-1 without its length. */
  text(text: string): void {
    for (let index = 0; index < text.length; index++) this.u8(text.charCodeAt(index));
  }

  /** A text with its length, one byte, before it. */
  counted(text: string): void {
    if (text.length === 0 || text.length > 255) {
      throw new RangeError(`expected a name of 1 to 255 bytes, got ${text.length}`);
    }
    this.u8(text.length);
    this.text(text);
  }

  /** Bytes; long ones stay the caller's until `pressure` is done. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length >= DIRECT) {
      this.#send();
      this.offset += bytes.length;
      this.#sum?.update(bytes);
      this.#give(bytes);
      return;
    }
    const at = this.#step(bytes.length);
    this.#block.set(bytes, at);
  }

  zeros(size: number): void {
    for (let left = size; left > 0; ) {
      const length = Math.min(left, DIRECT);
      const at = this.#step(length);
      this.#block.fill(0, at, at + length);
      left -= length;
    }
  }

  /** Gives all that is gathered to the sink. */
  flush(): void | Promise<void> {
    this.#send();
    return this.pressure();
  }

  /**
   * What the sink has not finished yet; nothing when it keeps up.
   * @throws whatever the sink has thrown before
   */
  pressure(): void | Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#pending;
  }

  #step(size: number): number {
    if (this.#length + size > BLOCK) this.#send();
    this.#length += size;
    this.offset += size;
    return this.#length - size;
  }

  #send(): void {
    if (this.#length === 0) return;
    const block = this.#block;
    const bytes = block.subarray(0, this.#length);
    this.#absorb();
    this.#length = 0;
    this.#summed = 0;
    if (!this.#give(bytes, block)) return;
    this.#block = this.#spare.pop() ?? new Uint8Array(BLOCK);
    this.#view = new DataView(this.#block.buffer);
  }

  /** Hashes what the block has gathered. */
  #absorb(): void {
    if (this.#sum === undefined || this.#summed === this.#length) return;
    this.#sum.update(this.#block.subarray(this.#summed, this.#length));
    this.#summed = this.#length;
  }

  /** True when the sink holds on to the bytes. */
  #give(bytes: Uint8Array, block?: Uint8Array<ArrayBuffer>): boolean {
    if (this.#failure !== undefined) throw this.#failure.error;
    const before = this.#pending;
    const now = before === undefined ? this.#sink(bytes) : before.then(() => this.#sink(bytes));
    if (now === undefined) return false;
    const pending = now.then(
      () => {
        if (block !== undefined && this.#spare.length < SPARE) this.#spare.push(block);
        if (this.#pending === pending) this.#pending = undefined;
      },
      (error: unknown) => {
        this.#failure ??= { error };
        throw error;
      },
    );
    // Who does not wait learns of the failure from the next call.
    pending.catch(() => {});
    this.#pending = pending;
    return true;
  }
}
