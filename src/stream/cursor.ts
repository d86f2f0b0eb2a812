import { Checksum } from './checksum.js';
import { StreamError } from './error.js';

/** A parser that stops wherever the bytes run out, and goes on when more have come. */
export type Steps<T = void> = Generator<void, T, void>;

/** Reads one body from its first byte to behind its last: the cursor is left where the body ends. */
export type BodyParser = (cursor: Cursor) => Steps;

const EMPTY: Uint8Array = new Uint8Array(0);
const FIRST_CARRY = 512;
/** Bytes that `more` brings to hand at once where it has to copy them. */
const MORE = 4096;

/**
 * The bytes of a stream at the place that has been reached. Blocks are read in place; only what a
 * parser needs in one piece, and a block boundary cuts, is copied.
 */
export class Cursor {
  /** Bytes at hand: from `pos` up to `end`. */
  bytes: Uint8Array = EMPTY;
  pos = 0;
  end = 0;
  /** No byte from this offset on belongs to what is read. */
  limit = Number.POSITIVE_INFINITY;
  /** What ends at the limit, for messages. */
  limitedBy = 'the package';
  /** No more blocks will come. */
  ended = false;
  /** Where we are, for messages. */
  where = '';
  /** Bytes ahead that nobody wants to see: the caller may leave them out by `jump`. */
  skippable = 0;
  #jumped = 0;
  /** Stream offset of `bytes[0]`. */
  #base: number;
  #block = EMPTY;
  #taken = 0;
  #carry = new Uint8Array(FIRST_CARRY);
  /** Of what was read up to `#summed` in `bytes`; undefined: nobody asked for it. */
  readonly #sum: Checksum | undefined;
  #summed = 0;

  /**
   * @param origin offset of the first byte
   * @param options `checksum`: keep a checksum of what was read
   */
  constructor(origin = 0, options: { checksum?: boolean } = {}) {
    this.#base = origin;
    if (options.checksum === true) this.#sum = new Checksum();
  }

  /** Offset of the next byte. */
  get offset(): number {
    return this.#base + this.pos;
  }

  /** Bytes of memory that are held between blocks. */
  get held(): number {
    return this.#carry.length;
  }

  /** Bytes at hand within the limit. */
  get available(): number {
    return Math.min(this.end - this.pos, this.limit - this.offset);
  }

  /**
   * Checksum (`checksum.ts`) of all bytes before this place. They are hashed when a block is let go, and here.
   * @throws TypeError when it is not kept
   */
  get checksum(): number {
    this.#absorb();
    if (this.#sum === undefined) throw new TypeError('this stream is read without the option checksum');
    return this.#sum.value;
  }

  fail(expected: string, got: string, offset = this.offset): never {
    throw new StreamError(offset, expected, got, this.where);
  }

  /** The next block, once all steps have used up the last one. */
  feed(block: Uint8Array): void {
    this.#block = block;
    this.#taken = 0;
  }

  /** Lets go of the block: what is left of it is copied. */
  release(): void {
    if (this.bytes !== this.#carry) {
      const rest = this.end - this.pos;
      const offset = this.offset;
      this.#absorb();
      this.#room(rest, rest);
      this.#carry.set(this.bytes.subarray(this.pos, this.end));
      this.#use(this.#carry, 0, rest, offset);
    }
    this.#block = EMPTY;
    this.#taken = 0;
  }

  /** Leaves out bytes that were not fed; at most `skippable`. */
  jump(size: number): void {
    if (size > this.skippable) throw new RangeError(`${size} bytes are not skippable`);
    this.#base += size;
    this.#jumped += size;
    this.skippable -= size;
  }

  /** Waits until `size` bytes are at hand in one piece. Sizes are small, or checked before. */
  *need(size: number, what: string): Steps {
    this.#within(size, what);
    while (this.end - this.pos < size) {
      if (this.#refill(size)) continue;
      if (this.ended) this.#cut(size - (this.end - this.pos), what);
      yield;
    }
  }

  /** Waits until `size` bytes are at hand in one piece. False: there are fewer within the limit. */
  *has(size: number): Steps<boolean> {
    while (this.available < size) {
      if (!(yield* this.more())) return false;
    }
    return true;
  }

  /** Waits until at least one more byte is at hand. False: there is none within the limit. */
  *more(): Steps<boolean> {
    const have = this.end - this.pos;
    while (this.offset + have < this.limit) {
      if (this.#refill(have + MORE)) return true;
      if (this.ended) return false;
      yield;
    }
    return false;
  }

  /** Goes over `size` bytes and hands them out as they come. */
  *take(size: number, what: string, out?: (piece: Uint8Array) => unknown): Steps {
    this.#within(size, what);
    let left = size;
    while (left > 0) {
      if (this.pos === this.end && !this.#refill(1)) {
        if (this.ended) this.#cut(left, what);
        // What is left out has no checksum.
        if (out === undefined && this.#sum === undefined) this.skippable = left;
        yield;
        left -= this.#jumped;
        this.#jumped = 0;
        this.skippable = 0;
        continue;
      }
      const length = Math.min(left, this.end - this.pos);
      out?.(this.bytes.subarray(this.pos, this.pos + length));
      this.pos += length;
      left -= length;
    }
  }

  /** A copy of the next `size` bytes; memory grows only as they come. */
  *copy(size: number, what: string, grown?: (held: number) => void): Steps<Uint8Array> {
    if (size <= this.available) {
      this.pos += size;
      // Not `slice`: that of a Buffer copies nothing.
      return new Uint8Array(this.bytes.subarray(this.pos - size, this.pos));
    }
    let out = new Uint8Array(Math.min(size, FIRST_CARRY));
    let length = 0;
    yield* this.take(size, what, (piece) => {
      if (length + piece.length > out.length) {
        const larger = new Uint8Array(Math.min(size, Math.max(2 * out.length, length + piece.length)));
        larger.set(out.subarray(0, length));
        out = larger;
        grown?.(out.length);
      }
      out.set(piece, length);
      length += piece.length;
    });
    return out;
  }

  *u8(what: string): Steps<number> {
    if (this.available < 1) yield* this.need(1, what);
    return this.bytes[this.pos++]!;
  }

  *u16(what: string): Steps<number> {
    if (this.available < 2) yield* this.need(2, what);
    this.pos += 2;
    return (this.bytes[this.pos - 2]! << 8) | this.bytes[this.pos - 1]!;
  }

  *u32(what: string): Steps<number> {
    if (this.available < 4) yield* this.need(4, what);
    this.pos += 4;
    return u32At(this.bytes, this.pos - 4);
  }

  /** A length or an offset: a u64 that JavaScript can count with. */
  *size(what: string): Steps<number> {
    const at = this.offset;
    const high = yield* this.u32(what);
    const low = yield* this.u32(what);
    const value = high * 0x1_0000_0000 + low;
    if (value > Number.MAX_SAFE_INTEGER) this.fail(`${what} below 2^53`, `about ${value}`, at);
    return value;
  }

  *u64(what: string): Steps<bigint> {
    const high = yield* this.u32(what);
    const low = yield* this.u32(what);
    return (BigInt(high) << 32n) | BigInt(low);
  }

  /** A text with its length, one byte, before it. */
  *counted(what: string): Steps<string> {
    const at = this.offset;
    const length = yield* this.u8(`the length of ${what}`);
    if (length === 0) this.fail(`${what} of 1 to 255 bytes`, 'length 0', at);
    return yield* this.text(length, what);
  }

  *text(length: number, what: string): Steps<string> {
    yield* this.need(length, what);
    this.pos += length;
    return latin1(this.bytes, this.pos - length, this.pos);
  }

  #within(size: number, what: string): void {
    const left = this.limit - this.offset;
    if (size > left) this.fail(`${size} bytes of ${what}`, `the end of ${this.limitedBy} after ${left}`);
  }

  #cut(missing: number, what: string): never {
    const more = `${missing} more ${missing === 1 ? 'byte' : 'bytes'} of ${what}`;
    throw new StreamError(this.#base + this.end, more, undefined, this.where);
  }

  /** Brings bytes of the block to hand, so that at most `size` are there in one piece. False: the block is used up. */
  #refill(size: number): boolean {
    const left = this.#block.length - this.#taken;
    if (left === 0) return false;
    const have = this.end - this.pos;
    const offset = this.offset;
    this.#absorb();
    if (have === 0) {
      this.#use(this.#block, this.#taken, this.#block.length, offset);
      this.#taken = this.#block.length;
      return true;
    }
    // With bytes at hand and a block not begun, those bytes are the ones that were carried over.
    const more = Math.min(size - have, left);
    if (this.pos + have + more > this.#carry.length) this.#room(have + more, size);
    this.#carry.copyWithin(0, this.pos, this.end);
    this.#carry.set(this.#block.subarray(this.#taken, this.#taken + more), have);
    this.#taken += more;
    this.#use(this.#carry, 0, have + more, offset);
    return true;
  }

  /** Makes the carried bytes at least `size` long; it doubles, up to what is wished for. */
  #room(size: number, wish: number): void {
    if (size <= this.#carry.length) return;
    const larger = new Uint8Array(Math.max(size, Math.min(wish, 2 * this.#carry.length)));
    larger.set(this.#carry);
    if (this.bytes === this.#carry) this.bytes = larger;
    this.#carry = larger;
  }

  #use(bytes: Uint8Array, from: number, to: number, offset: number): void {
    this.bytes = bytes;
    this.pos = from;
    this.end = to;
    this.#base = offset - from;
    this.#summed = from;
  }

  /** Hashes what was read of the bytes at hand. */
  #absorb(): void {
    if (this.#sum === undefined || this.#summed === this.pos) return;
    this.#sum.update(this.bytes.subarray(this.#summed, this.pos));
    this.#summed = this.pos;
  }
}

export function u32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Bytes as text, a character each. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}
