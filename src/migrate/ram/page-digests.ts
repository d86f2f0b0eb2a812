import { crc32 } from 'node:zlib';

/** Bytes before the entries: number of pages of RAM, number of entries. */
const HEAD = 8;
/** Bytes of an entry: page number, CRC-32. */
const ENTRY = 8;

/**
 * CRC-32 of each page that is not zero, by which two processes find out where their RAM differs. A page
 * that was changed by chance is missed once in 2^32 times.
 */
export class PageDigests {
  /** Pages of the RAM, zero ones too. */
  readonly pages: number;
  /** Page numbers, ascending, and their checksums in turn. */
  #entries = new Uint32Array(1024);
  #length = 0;

  constructor(pages: number) {
    this.pages = pages;
  }

  /**
   * From what `toBytes` has given.
   * @throws RangeError when the bytes are no such list
   */
  static fromBytes(bytes: Uint8Array): PageDigests {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEAD)
      throw new RangeError(`page digests: expected ${HEAD} bytes or more, got ${bytes.length}`);
    const out = new PageDigests(view.getUint32(0, true));
    const count = view.getUint32(4, true);
    if (bytes.length !== HEAD + count * ENTRY)
      throw new RangeError(`page digests: expected ${HEAD + count * ENTRY} bytes, got ${bytes.length}`);
    for (let at = HEAD; at < bytes.length; at += ENTRY)
      out.addChecksum(view.getUint32(at, true), view.getUint32(at + 4, true));
    return out;
  }

  /** Number of pages that are not zero. */
  get count(): number {
    return this.#length / 2;
  }

  /**
   * Adds a page that is not zero, in ascending order.
   * @throws RangeError when a page comes out of order, or is outside RAM
   */
  add(page: number, content: Uint8Array): void {
    this.addChecksum(page, crc32(content));
  }

  /** As `add`, for a page whose CRC-32 is known. */
  addChecksum(page: number, checksum: number): void {
    const last = this.#length === 0 ? -1 : this.#entries[this.#length - 2]!;
    if (page <= last || page >= this.pages)
      throw new RangeError(
        `page digests: expected a page after ${last} and below ${this.pages}, got ${page}`,
      );
    if (this.#length === this.#entries.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#entries);
      this.#entries = larger;
    }
    this.#entries[this.#length++] = page;
    this.#entries[this.#length++] = checksum;
  }

  /** Little endian: u32 pages of RAM, u32 number of entries; an entry is u32 page, u32 CRC-32. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(HEAD + this.#length * 4);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.pages, true);
    view.setUint32(4, this.count, true);
    for (let index = 0; index < this.#length; index++)
      view.setUint32(HEAD + index * 4, this.#entries[index]!, true);
    return bytes;
  }

  /** Pages whose content differs, ascending. @throws RangeError when the other is of RAM of another size */
  differing(other: PageDigests): number[] {
    if (other.pages !== this.pages)
      throw new RangeError(`page digests: expected RAM of ${this.pages} pages, got ${other.pages}`);
    const out: number[] = [];
    let mine = 0;
    let its = 0;
    while (mine < this.#length || its < other.#length) {
      const page = mine < this.#length ? this.#entries[mine]! : Infinity;
      const otherPage = its < other.#length ? other.#entries[its]! : Infinity;
      const same = page === otherPage && this.#entries[mine + 1] === other.#entries[its + 1];
      if (!same) out.push(Math.min(page, otherPage));
      if (page <= otherPage) mine += 2;
      if (otherPage <= page) its += 2;
    }
    return out;
  }
}
