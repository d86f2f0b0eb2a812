import {
  MAPPED_RAM_ALIGNMENT,
  MAPPED_RAM_VERSION,
  MappedRamHeader,
  mappedRamBitmapBytes,
  RAM_FLAGS,
  XBZRLE_ENCODING,
} from '../uapi/qemu-stream.js';
import type { BlockItem, MappedBlock, PageEncoding } from './item.js';
import type { Output } from './output.js';

/** Bytes of a block's name, length and mapped-ram header before the bitmap. */
const blockHead = (name: string) => 1 + name.length + 8 + 4 + MappedRamHeader.size;

/**
 * Where QEMU puts bitmap and pages of a mapped-ram block whose entry begins at `offset`. The next entry
 * begins at `pagesOffset + usedLength`.
 */
export function mappedBlock(
  offset: number,
  { name, usedLength, pageSize }: { name: string; usedLength: number; pageSize: number },
  alignment = MAPPED_RAM_ALIGNMENT,
): MappedBlock {
  const bitmapOffset = offset + blockHead(name);
  const end = bitmapOffset + mappedRamBitmapBytes(usedLength, pageSize);
  return { pageSize, bitmapOffset, pagesOffset: Math.ceil(end / alignment) * alignment };
}

/** The RAM part of `StreamWriter`: blocks, and pages with as few block names as possible. */
export class RamWriter {
  pageSize: number;
  readonly #out: Output;
  #last: string | undefined;
  /** The mapped-ram block that is being written, and bytes of bitmap that are missing. */
  #mapped: { block: BlockItem; mapped: MappedBlock; bitmap: number } | undefined;

  constructor(out: Output, pageSize: number) {
    this.#out = out;
    this.pageSize = pageSize;
  }

  /** Whether the data that come next are those of a mapped-ram block's bitmap. */
  get wantsBitmap(): boolean {
    return this.#mapped !== undefined && this.#mapped.bitmap > 0;
  }

  /** Where the mapped-ram block ends that is being written; 0 when there is none. */
  get blockEnd(): number {
    if (this.#mapped === undefined) return 0;
    return this.#mapped.mapped.pagesOffset + this.#mapped.block.usedLength;
  }

  /** A record's u64: flags stand in the bits below the page size. */
  record(address: number, flags: number): number {
    if (address % this.pageSize !== 0) {
      throw new RangeError(`expected a multiple of the page size ${this.pageSize}, got ${address}`);
    }
    return address + flags;
  }

  block(item: BlockItem): void {
    this.endBlock();
    const out = this.#out;
    out.counted(item.name);
    out.u64(item.usedLength);
    if (item.pageSize !== undefined) out.u64(item.pageSize);
    if (item.guestAddress !== undefined) out.u64(item.guestAddress);
    const { mapped } = item;
    if (mapped === undefined) return;
    out.u32(MAPPED_RAM_VERSION);
    out.u64(mapped.pageSize);
    out.u64(mapped.bitmapOffset);
    out.u64(mapped.pagesOffset);
    if (mapped.pagesOffset === 0) return;
    this.#to(mapped.bitmapOffset, 'bitmap');
    const bitmap = mappedRamBitmapBytes(item.usedLength, mapped.pageSize);
    this.#mapped = { block: item, mapped, bitmap };
  }

  bitmap(piece: Uint8Array): void {
    const now = this.#mapped!;
    if (piece.length > now.bitmap) {
      throw new RangeError(`${piece.length} bytes of bitmap where ${now.bitmap} are due`);
    }
    now.bitmap -= piece.length;
    this.#out.bytes(piece);
  }

  /** A mapped-ram block is complete: what its pages have left free is zero. */
  endBlock(): void {
    if (this.#mapped === undefined) return;
    const { block, mapped, bitmap } = this.#mapped;
    if (bitmap > 0) throw new RangeError(`${bitmap} bytes of the bitmap of ${block.name} are missing`);
    this.#mapped = undefined;
    this.#to(mapped.pagesOffset + block.usedLength, 'end of pages');
  }

  page(block: string, address: number, encoding: PageEncoding, data: Uint8Array): void {
    const out = this.#out;
    switch (encoding) {
      case 'mapped':
        this.#mappedPage(block, address, data);
        return;
      case 'normal':
        if (data.length !== this.pageSize) this.#refuse(encoding, data, `${this.pageSize} bytes`);
        this.#head(block, address, RAM_FLAGS.PAGE);
        break;
      case 'zero':
        if (data.length !== 1) this.#refuse(encoding, data, 'the fill byte');
        this.#head(block, address, RAM_FLAGS.ZERO);
        break;
      case 'xbzrle':
        if (data.length > this.pageSize) this.#refuse(encoding, data, `at most ${this.pageSize} bytes`);
        this.#head(block, address, RAM_FLAGS.XBZRLE);
        out.u8(XBZRLE_ENCODING);
        out.u16(data.length);
        break;
      case 'compressed':
        this.#head(block, address, RAM_FLAGS.COMPRESS_PAGE);
        out.u32(data.length);
        break;
    }
    out.bytes(data);
  }

  #head(block: string, address: number, flags: number): void {
    const same = block === this.#last;
    this.#last = block;
    this.#out.u64(this.record(address, same ? flags | RAM_FLAGS.CONTINUE : flags));
    if (!same) this.#out.counted(block);
  }

  #mappedPage(name: string, address: number, data: Uint8Array): void {
    const now = this.#mapped;
    if (now === undefined || now.block.name !== name) throw new RangeError(`${name} is not the mapped block`);
    this.#to(now.mapped.pagesOffset + address, `page ${address}`);
    this.#out.bytes(data);
  }

  #to(offset: number, what: string): void {
    const size = offset - this.#out.offset;
    if (size < 0) throw new RangeError(`${what} at ${offset}: the stream is at ${this.#out.offset} already`);
    this.#out.zeros(size);
  }

  #refuse(encoding: PageEncoding, data: Uint8Array, expected: string): never {
    throw new RangeError(`a ${encoding} page: expected ${expected}, got ${data.length}`);
  }
}
