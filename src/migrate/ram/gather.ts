import { RAM_FLAGS } from '../../uapi/qemu-stream.js';
import { PAGE_SIZE } from './guest-ram.js';
import type { PageScan } from './page-scan.js';

/** Bytes of a record before the page: address and flags. */
const HEAD = 8;
/** Bytes of the record of a page, and of one that is zero: its fill byte stands for it. */
export const PAGE_RECORD = HEAD + PAGE_SIZE;
export const ZERO_RECORD = HEAD + 1;

const PAGE = RAM_FLAGS.PAGE | RAM_FLAGS.CONTINUE;
const ZERO = RAM_FLAGS.ZERO | RAM_FLAGS.CONTINUE;

/** What came into a buffer. */
export interface Gathered {
  /** Bytes filled, from the beginning. */
  bytes: number;
  /** Pages with their content. */
  normal: number;
  /** Pages that are zero. */
  zero: number;
}

/**
 * Fills a buffer with records of the RAM section, for the next dirty pages of a scan: as many as there is
 * room for, or as `limit` allows. All are of the block that the channel named last (CONTINUE); `block` names
 * it anew, in the first record.
 *
 * The order of bits, read, and write of the guest: a page's bit is cleared, then the page is copied; a
 * write of the guest after that is in a later sync.
 * @param buffer at least `PAGE_RECORD` bytes, and 256 more where a block is named
 */
export function gatherPages(
  buffer: Uint8Array,
  scan: PageScan,
  { block, limit = Number.MAX_SAFE_INTEGER }: { block?: string | undefined; limit?: number } = {},
): Gathered {
  const name = block === undefined ? undefined : counted(block);
  const least = PAGE_RECORD + (name?.length ?? 0);
  if (buffer.length < least)
    throw new RangeError(
      `gathering pages: expected a buffer of ${least} bytes or more, got ${buffer.length}`,
    );
  const out = new RecordBuffer(buffer);
  const room = { zero: 0, normal: 0 };
  const gathered = { bytes: 0, normal: 0, zero: 0 };
  while (true) {
    const pages = gathered.normal + gathered.zero;
    const naming = pages === 0 && name !== undefined;
    const bytes = buffer.length - out.length - (naming ? name.length : 0);
    const most = naming ? Math.min(1, limit) : limit - pages;
    room.zero = Math.min(Math.floor(bytes / ZERO_RECORD), most);
    room.normal = Math.min(Math.floor(bytes / PAGE_RECORD), most);
    if (!scan.take(room)) break;
    if (naming) out.first(scan, name);
    else if (scan.zero) out.zeros(scan.first, scan.count);
    else out.pages(scan);
    if (scan.zero) gathered.zero += scan.count;
    else gathered.normal += scan.count;
  }
  gathered.bytes = out.length;
  return gathered;
}

/** A block's name with its length before it. */
function counted(block: string): Uint8Array {
  const bytes = Buffer.from(block, 'latin1');
  if (bytes.length === 0 || bytes.length > 255)
    throw new RangeError(`gathering pages: expected a block name of 1 to 255 bytes, got ${bytes.length}`);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** Puts records into a buffer, one behind the other. */
class RecordBuffer {
  length = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The record of the one page that a scan has taken, with the block's name. */
  first(scan: PageScan, name: Uint8Array): void {
    this.#head(scan.first * PAGE_SIZE, scan.zero ? RAM_FLAGS.ZERO : RAM_FLAGS.PAGE);
    this.#bytes.set(name, this.length);
    this.length += name.length;
    if (scan.zero) this.#bytes[this.length++] = 0;
    else this.#page(scan, scan.first);
  }

  zeros(first: number, count: number): void {
    for (let page = first; page < first + count; page++) {
      this.#head(page * PAGE_SIZE, ZERO);
      this.#bytes[this.length++] = 0;
    }
  }

  pages(scan: PageScan): void {
    for (let page = scan.first; page < scan.first + scan.count; page++) {
      this.#head(page * PAGE_SIZE, PAGE);
      this.#page(scan, page);
    }
  }

  #page(scan: PageScan, page: number): void {
    scan.ram.copyPage(page, this.#bytes, this.length);
    this.length += PAGE_SIZE;
  }

  /** Big endian; the flags stand in the bits below the page size. */
  #head(address: number, flags: number): void {
    this.#view.setUint32(this.length, Math.floor(address / 0x1_0000_0000));
    this.#view.setUint32(this.length + 4, (address | flags) >>> 0);
    this.length += HEAD;
  }
}
