import { type BitmapKernel, type BitmapWords, bitmapKernel } from './bitmap-kernel.js';
import { BLOCK_WORDS } from './plain-bitmap-kernel.js';

/** Pages of a word. */
const WORD = 32;
/** Words that foreign bytes are taken in by: small enough for the processor's first caches. */
const PIECE = BLOCK_WORDS * 512;
/** Most pages of a bitmap: their numbers must be exact in 32-bit arithmetic. */
const MOST_PAGES = 0x8000_0000;

/** What keeps the words of a bitmap in place while only its bytes are referred to. */
const kept = new WeakMap<Uint8Array, BitmapWords>();

/** Where foreign bitmaps pass through on their way, by kernel. */
const scratches = new WeakMap<BitmapKernel, BitmapWords>();

/**
 * A bit for each page of guest RAM. Bit k is bit k mod 8 of byte k div 8, as the kernel's interfaces have
 * it; bits behind the last page are zero. What goes over the whole bitmap is done by a `BitmapKernel`.
 */
export class PageBitmap {
  /** Number of pages. */
  readonly pages: number;
  /** The bitmap as it is in memory, whole 64-byte blocks. Parts of it are valid as long as this array is. */
  readonly bytes: Uint8Array;
  readonly #words: BitmapWords;
  readonly #kernel: BitmapKernel;

  /** @throws RangeError when there cannot be so many pages, or no memory for them */
  constructor(pages: number, kernel = bitmapKernel()) {
    if (!Number.isInteger(pages) || pages < 1 || pages > MOST_PAGES)
      throw new RangeError(`page bitmap: expected 1 to ${MOST_PAGES} pages, got ${pages}`);
    this.pages = pages;
    this.#kernel = kernel;
    this.#words = kernel.allocate(Math.ceil(pages / WORD));
    this.bytes = new Uint8Array(this.#words.buffer, this.#words.byteOffset, this.#words.byteLength);
    kept.set(this.bytes, this.#words);
  }

  /** Whether a page's bit is set. @throws RangeError when there is no such page */
  test(page: number): boolean {
    if (page >>> 0 !== page || page >= this.pages) this.#refuse(page);
    return (this.#words[page >>> 5]! & (1 << (page & 31))) !== 0;
  }

  /** Sets the bit of a page. @throws RangeError when there is no such page */
  set(page: number): void {
    if (page >>> 0 !== page || page >= this.pages) this.#refuse(page);
    this.#words[page >>> 5]! |= 1 << (page & 31);
  }

  /** Clears the bit of a page. @throws RangeError when there is no such page */
  clear(page: number): void {
    if (page >>> 0 !== page || page >= this.pages) this.#refuse(page);
    this.#words[page >>> 5]! &= ~(1 << (page & 31));
  }

  /** Sets the bits of `count` pages from `first` on. @throws RangeError when one of them is no page */
  setRange(first: number, count: number): void {
    this.#fill(first, count, true);
  }

  /** Clears the bits of `count` pages from `first` on. @throws RangeError when one of them is no page */
  clearRange(first: number, count: number): void {
    this.#fill(first, count, false);
  }

  setAll(): void {
    this.#fill(0, this.pages, true);
  }

  clearAll(): void {
    this.#words.fill(0);
  }

  /** Number of bits that are set. */
  count(): number {
    return this.#kernel.count(this.#words);
  }

  /** The first page from `from` on whose bit is set; -1 when there is none. */
  nextSet(from: number): number {
    if (from >= this.pages) return -1;
    let at = from >>> 5;
    let word = this.#words[at]! & (-1 << (from & 31));
    if (word === 0) {
      at = this.#kernel.skip(this.#words, at + 1, 0);
      if (at >= this.#words.length) return -1;
      word = this.#words[at]!;
    }
    return at * WORD + lowest(word);
  }

  /** The first page from `from` on whose bit is clear; the number of pages when there is none. */
  nextClear(from: number): number {
    if (from >= this.pages) return this.pages;
    let at = from >>> 5;
    let word = ~this.#words[at]! & (-1 << (from & 31));
    if (word === 0) {
      at = this.#kernel.skip(this.#words, at + 1, -1);
      if (at >= this.#words.length) return this.pages;
      word = ~this.#words[at]!;
    }
    return Math.min(this.pages, at * WORD + lowest(word));
  }

  /** Calls back for each page whose bit is set, ascending. The callback may change bits of pages before. */
  forEachSet(callback: (page: number) => void): void {
    const words = this.#words;
    for (let at = this.#kernel.skip(words, 0, 0); at < words.length; ) {
      for (let word = words[at]!; word !== 0; word &= word - 1) callback(at * WORD + lowest(word));
      at++;
      if (words[at] === 0) at = this.#kernel.skip(words, at, 0);
    }
  }

  /**
   * Harvests: ors a bitmap into this one and clears it. Returns how many pages are new here, which is what
   * QEMU counts as its dirty pages.
   *
   * Of foreign bytes bit 0 stands for the page `first`, a multiple of 8; their bits behind the last page
   * are cleared, and do not count.
   * @throws RangeError when the other bitmap is not of as many pages
   */
  mergeFrom(source: PageBitmap | Uint8Array, first = 0): number {
    if (source instanceof PageBitmap) {
      if (this.#meets(source)) return this.#kernel.move(this.#words, source.#words);
      return this.mergeFrom(source.bytes);
    }
    const sum = this.#join(source, first);
    source.fill(0);
    return sum;
  }

  /** As `mergeFrom`, and leaves the other bitmap as it is. */
  orFrom(source: PageBitmap | Uint8Array, first = 0): number {
    if (!(source instanceof PageBitmap)) return this.#join(source, first);
    return this.#meets(source) ? this.#kernel.join(this.#words, source.#words) : this.#join(source.bytes, 0);
  }

  /**
   * Clears the bits that `mask` has, of all pages or of `count` from `first` on, which is a multiple of 64;
   * pages up to the next multiple of 64 count in. Returns how many bits were set.
   * @throws RangeError when the other bitmap is not of as many pages, or `first` no such multiple
   */
  remove(mask: PageBitmap, first = 0, count = this.pages - first): number {
    if (!this.#meets(mask)) throw new RangeError('page bitmap: expected a mask of the same kernel');
    if (first % 64 !== 0) throw new RangeError(`page bitmap: expected a multiple of 64, got page ${first}`);
    this.#checkRange(first, count);
    const from = first >>> 5;
    const end = Math.ceil((first + count) / 64) * 2;
    return this.#kernel.remove(this.#words.subarray(from, end), mask.#words.subarray(from, end));
  }

  #meets(other: PageBitmap): boolean {
    if (other.pages !== this.pages)
      throw new RangeError(`page bitmap: expected one of ${this.pages} pages, got one of ${other.pages}`);
    return other.#kernel === this.#kernel;
  }

  /** Foreign bytes go through memory of the kernel, block by block of this bitmap. */
  #join(source: Uint8Array, first: number): number {
    if (first % 8 !== 0) throw new RangeError(`page bitmap: expected a multiple of 8, got page ${first}`);
    const begin = first / 8;
    const end = Math.min(begin + source.length, Math.ceil(this.pages / 8));
    const tail = this.pages & 7;
    const scratch = this.#scratch();
    const bytes = new Uint8Array(scratch.buffer, scratch.byteOffset, scratch.byteLength);
    let sum = 0;
    for (let word = Math.floor(begin / 4 / PIECE) * PIECE; word * 4 < end; word += PIECE) {
      const words = Math.min(PIECE, this.#words.length - word);
      const from = Math.max(begin, word * 4);
      const to = Math.min(end, (word + words) * 4);
      bytes.fill(0, 0, from - word * 4);
      bytes.set(source.subarray(from - begin, to - begin), from - word * 4);
      bytes.fill(0, to - word * 4, words * 4);
      if (tail !== 0 && to * 8 > this.pages) bytes[to - 1 - word * 4]! &= (1 << tail) - 1;
      sum += this.#kernel.join(this.#words.subarray(word, word + words), scratch.subarray(0, words));
    }
    return sum;
  }

  #scratch(): BitmapWords {
    let scratch = scratches.get(this.#kernel);
    if (scratch === undefined) {
      scratch = this.#kernel.allocate(PIECE);
      scratches.set(this.#kernel, scratch);
    }
    return scratch;
  }

  #fill(first: number, count: number, value: boolean): void {
    this.#checkRange(first, count);
    if (count === 0) return;
    const words = this.#words;
    const last = first + count - 1;
    const from = first >>> 5;
    const to = last >>> 5;
    const head = -1 << (first & 31);
    const tail = -1 >>> (31 - (last & 31));
    if (from === to) {
      this.#apply(from, head & tail, value);
      return;
    }
    this.#apply(from, head, value);
    words.fill(value ? -1 : 0, from + 1, to);
    this.#apply(to, tail, value);
  }

  #apply(word: number, mask: number, value: boolean): void {
    if (value) this.#words[word]! |= mask;
    else this.#words[word]! &= ~mask;
  }

  #checkRange(first: number, count: number): void {
    if (count >>> 0 !== count || first >>> 0 !== first || first + count > this.pages)
      throw new RangeError(
        `page bitmap: expected pages below ${this.pages}, got ${count} pages from page ${first}`,
      );
  }

  #refuse(page: number): never {
    throw new RangeError(`page bitmap: expected a page from 0 to ${this.pages - 1}, got ${page}`);
  }
}

/** Index of the lowest one bit of a word that is not zero. */
function lowest(word: number): number {
  return 31 - Math.clz32(word & -word);
}
