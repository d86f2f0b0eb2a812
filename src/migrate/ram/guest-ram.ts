import { createHash } from 'node:crypto';
import { PageBitmap } from '../dirty/page-bitmap.js';
import { PageDigests } from './page-digests.js';

/** Bytes of a page of guest RAM: what x86 has, and what dirty trackers go by. */
export const PAGE_SIZE = 4096;

/** Bytes that are allocated together. The system gives memory to such a chunk only where it is touched. */
const CHUNK = 1 << 28;
/** Pages of zeros that are compared together. */
const ZERO_PAGES = 16;
/** Pages that are digested together at most. */
const RUN_PAGES = 1024;
const ZEROS = Buffer.alloc(ZERO_PAGES * PAGE_SIZE);
const ZERO_PAGE = new Uint8Array(PAGE_SIZE);

/** A chunk, as the three views that are needed. */
interface Chunk {
  readonly bytes: Uint8Array;
  /** For comparing natively. */
  readonly node: Buffer;
  /** For a look at the first bytes of a page. */
  readonly words: Int32Array;
}

/**
 * Guest RAM from address 0, sparse: what was never written takes no memory, and is known to be zero without
 * a look. Addresses are guest physical, exact as numbers. Nothing here is marked in a dirty tracker.
 */
export class GuestRam {
  /** Bytes. */
  readonly size: number;
  /** Pages of `PAGE_SIZE` bytes. */
  readonly pages: number;
  /** On the destination of a post-copy: the pages that have not come yet; null when all are there. */
  absent: PageBitmap | null = null;
  readonly #chunkSize: number;
  readonly #chunkPages: number;
  readonly #chunks: (Chunk | undefined)[];
  /** Pages that may be other than zero. */
  readonly #touched: PageBitmap;
  /** Others write here too, unseen: a page may be other than zero at any time. */
  readonly #shared: boolean;

  /**
   * @param size bytes, whole pages
   * @param options.chunkSize bytes that are allocated together, whole pages
   * @param options.shared memory of this size that others write too, such as a vhost back end; all of it counts
   * as touched
   * @throws RangeError when a size is not a positive number of whole pages, or too large
   */
  constructor(size: number, { chunkSize = CHUNK, shared }: { chunkSize?: number; shared?: Uint8Array } = {}) {
    for (const bytes of [size, chunkSize])
      if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes % PAGE_SIZE !== 0)
        throw new RangeError(`guest RAM: expected whole pages of ${PAGE_SIZE} bytes, got ${bytes} bytes`);
    this.size = size;
    this.pages = size / PAGE_SIZE;
    this.#chunkSize = chunkSize;
    this.#chunkPages = chunkSize / PAGE_SIZE;
    this.#touched = new PageBitmap(this.pages);
    this.#chunks = new Array<Chunk | undefined>(Math.ceil(size / chunkSize));
    this.#shared = shared !== undefined;
    if (shared !== undefined) this.#share(shared);
  }

  #share(memory: Uint8Array): void {
    if (memory.length !== this.size)
      throw new RangeError(`guest RAM: expected ${this.size} bytes of shared memory, got ${memory.length}`);
    this.#touched.setAll();
    for (let index = 0; index < this.#chunks.length; index++) {
      const at = memory.byteOffset + index * this.#chunkSize;
      const length = Math.min(this.#chunkSize, this.size - index * this.#chunkSize);
      this.#chunks[index] = chunkOf(memory.buffer, at, length);
    }
  }

  /** Takes all memory from the system at once, as a VMM's `prealloc` does: later writes do not wait for it. */
  preallocate(): void {
    for (let index = 0; index < this.#chunks.length; index++) {
      const { bytes } = this.#chunk(index);
      for (let at = 0; at < bytes.length; at += PAGE_SIZE) bytes[at] = bytes[at]!;
    }
  }

  /** Fills all of `into` from an address on. @throws RangeError outside RAM */
  read(address: number, into: Uint8Array): void {
    this.#check(address, into.length);
    for (let done = 0; done < into.length; ) {
      const at = (address + done) % this.#chunkSize;
      const length = Math.min(into.length - done, this.#chunkSize - at);
      const chunk = this.#chunks[Math.floor((address + done) / this.#chunkSize)];
      if (chunk === undefined) into.fill(0, done, done + length);
      else into.set(chunk.bytes.subarray(at, at + length), done);
      done += length;
    }
  }

  /** Writes all bytes from an address on. @throws RangeError outside RAM */
  write(address: number, bytes: Uint8Array): void {
    const { length } = bytes;
    this.#check(address, length);
    if (length === 0) return;
    const first = Math.floor(address / PAGE_SIZE);
    const last = Math.floor((address + length - 1) / PAGE_SIZE);
    if (first === last) this.#touched.set(first);
    else this.#touched.setRange(first, last - first + 1);
    for (let done = 0; done < length; ) {
      const at = (address + done) % this.#chunkSize;
      const size = Math.min(length - done, this.#chunkSize - at);
      const chunk = this.#chunk(Math.floor((address + done) / this.#chunkSize));
      chunk.bytes.set(size === length ? bytes : bytes.subarray(done, done + size), at);
      done += size;
    }
  }

  /** A page to read from, uncopied; what is written to it is not seen as such. @throws RangeError outside RAM */
  page(index: number): Uint8Array {
    if (!this.#touched.test(index)) return ZERO_PAGE;
    return this.#view(index);
  }

  /** A page to write to, uncopied; it counts as written. @throws RangeError outside RAM */
  writablePage(index: number): Uint8Array {
    this.#touched.set(index);
    return this.#view(index);
  }

  /** Copies a page to a place in a buffer. @throws RangeError outside RAM, or when there is no room */
  copyPage(index: number, into: Uint8Array, at: number): void {
    if (this.#touched.test(index)) into.set(this.#view(index), at);
    else into.set(ZERO_PAGE, at);
  }

  /** Whether all bytes of a page are zero. @throws RangeError outside RAM */
  isZeroPage(index: number): boolean {
    return !this.#touched.test(index) || this.#zeros(index, 1) === 1;
  }

  /**
   * How many pages from `from` on are zero, counted up to `limit`.
   * @throws RangeError outside RAM
   */
  zeroRun(from: number, limit: number): number {
    this.#touched.test(from);
    const end = Math.min(from + limit, this.pages);
    let page = from;
    while (page < end) {
      // Up to the next page that was written nothing has to be looked at.
      const touched = this.#touched.nextSet(page);
      if (touched < 0 || touched >= end) return end - from;
      page = touched;
      const together = Math.min(ZERO_PAGES, end - page, this.#chunkPages - (page % this.#chunkPages));
      const zero = this.#zeros(page, together);
      page += zero;
      if (zero < together) break;
    }
    return page - from;
  }

  /** Makes a page zero; it is present then. @throws RangeError outside RAM */
  fillZero(index: number): void {
    if (this.#touched.test(index)) {
      this.#view(index).fill(0);
      if (!this.#shared) this.#touched.clear(index);
    }
    this.absent?.clear(index);
  }

  /**
   * Puts a page's content; it is present then.
   * @throws RangeError outside RAM, or when the bytes are no page
   */
  setPage(index: number, bytes: Uint8Array): void {
    if (bytes.length !== PAGE_SIZE)
      throw new RangeError(`guest RAM: expected a page of ${PAGE_SIZE} bytes, got ${bytes.length}`);
    this.writablePage(index).set(bytes);
    this.absent?.clear(index);
  }

  /** Whether a page is there: false only before a post-copy has brought it. @throws RangeError outside RAM */
  isPresent(index: number): boolean {
    this.#touched.test(index);
    return this.absent === null || !this.absent.test(index);
  }

  /** The first page of a stretch of bytes that is not there yet; -1 when all are. @throws RangeError outside RAM */
  firstAbsent(address: number, length: number): number {
    this.#check(address, length);
    if (this.absent === null || length === 0) return -1;
    const page = this.absent.nextSet(Math.floor(address / PAGE_SIZE));
    return page * PAGE_SIZE < address + length ? page : -1;
  }

  /** A digest of all content (SHA-256, hexadecimal): equal for equal RAM, however either came about. */
  hash(): string {
    const digest = createHash('sha256').update(String(this.size));
    this.#eachRun((first, count) => {
      digest.update(`:${first}+${count}:`);
      for (let page = first; page < first + count; ) {
        const pages = Math.min(first + count - page, this.#chunkPages - (page % this.#chunkPages));
        digest.update(this.#view(page, pages));
        page += pages;
      }
    });
    return digest.digest('hex');
  }

  /** A checksum of each page that is not zero, to compare with RAM elsewhere. */
  pageDigests(): PageDigests {
    const digests = new PageDigests(this.pages);
    this.#eachRun((first, count) => {
      for (let page = first; page < first + count; page++) digests.add(page, this.#view(page));
    });
    return digests;
  }

  /** Pages whose content differs from that of other RAM of this size. @throws RangeError for another size */
  differingPages(other: GuestRam | PageDigests): number[] {
    return this.pageDigests().differing(other instanceof GuestRam ? other.pageDigests() : other);
  }

  /** Goes over the pages that are not zero, in runs that end at multiples of `RUN_PAGES` too. */
  #eachRun(visit: (first: number, count: number) => void): void {
    let first = 0;
    let end = 0;
    this.#touched.forEachSet((page) => {
      if (this.#zeros(page, 1) === 1) return;
      if (page !== end || page % RUN_PAGES === 0) {
        if (end > first) visit(first, end - first);
        first = page;
      }
      end = page + 1;
    });
    if (end > first) visit(first, end - first);
  }

  /** How many pages from `page` on are zero, of `count` pages in a chunk that is allocated. */
  #zeros(page: number, count: number): number {
    const { node, words } = this.#chunks[Math.floor(page / this.#chunkPages)]!;
    const at = (page % this.#chunkPages) * PAGE_SIZE;
    // Most pages that are not zero show it at once.
    if (words[at >>> 2] !== 0) return 0;
    const size = count * PAGE_SIZE;
    if (ZEROS.compare(node, at, at + size, 0, size) === 0) return count;
    for (let zero = 0; zero < count - 1; zero++) {
      const from = at + zero * PAGE_SIZE;
      if (ZEROS.compare(node, from, from + PAGE_SIZE, 0, PAGE_SIZE) !== 0) return zero;
    }
    return count - 1;
  }

  /** Pages in a chunk, uncopied. */
  #view(page: number, count = 1): Uint8Array {
    const { bytes } = this.#chunk(Math.floor(page / this.#chunkPages));
    const at = (page % this.#chunkPages) * PAGE_SIZE;
    return bytes.subarray(at, at + count * PAGE_SIZE);
  }

  #chunk(index: number): Chunk {
    const chunk = this.#chunks[index];
    if (chunk !== undefined) return chunk;
    const length = Math.min(this.#chunkSize, this.size - index * this.#chunkSize);
    const made = chunkOf(new ArrayBuffer(length), 0, length);
    this.#chunks[index] = made;
    return made;
  }

  #check(address: number, length: number): void {
    if (Number.isSafeInteger(address) && address >= 0 && address + length <= this.size) return;
    throw new RangeError(
      `guest RAM: expected addresses below ${hex(this.size)}, got ${length} bytes at ${hex(address)}`,
    );
  }
}

function chunkOf(buffer: ArrayBufferLike, at: number, length: number): Chunk {
  return {
    bytes: new Uint8Array(buffer, at, length),
    node: Buffer.from(buffer, at, length),
    words: new Int32Array(buffer, at, length / 4),
  };
}

function hex(address: number): string {
  return address < 0 ? `-0x${(-address).toString(16)}` : `0x${address.toString(16)}`;
}
