import { DMA_LOGGING_MIN_PAGE_SIZE, type IoAddressSpace } from 'stopcopy/uapi';

/** Bytes of a page. */
export const PAGE = DMA_LOGGING_MIN_PAGE_SIZE;

/** Memory of any size, in pages that come into being when they are written. */
export class PagedMemory implements IoAddressSpace {
  readonly pages = new Map<number, Uint8Array>();
  /** Pages that a vCPU stored to, and pages that a device wrote, since somebody looked. */
  readonly stored = new Set<number>();
  readonly written = new Set<number>();
  /** Hears of each write of a device before it is made. */
  onWrite: (iova: number, length: number) => void = () => {};

  read(iova: number, into: Uint8Array): void {
    for (const { page, offset, at, length } of parts(iova, into.length)) {
      const bytes = this.pages.get(page);
      if (bytes) into.set(bytes.subarray(offset, offset + length), at);
      else into.fill(0, at, at + length);
    }
  }

  write(iova: number, bytes: Uint8Array): void {
    this.onWrite(iova, bytes.length);
    this.#put(iova, bytes, this.written);
  }

  /** A store of a vCPU. */
  store(address: number, bytes: Uint8Array): void {
    this.#put(address, bytes, this.stored);
  }

  #put(address: number, bytes: Uint8Array, dirty: Set<number>): void {
    for (const { page, offset, at, length } of parts(address, bytes.length)) {
      this.page(page).set(bytes.subarray(at, at + length), offset);
      dirty.add(page);
    }
  }

  page(number: number): Uint8Array {
    const page = this.pages.get(number) ?? new Uint8Array(PAGE);
    this.pages.set(number, page);
    return page;
  }
}

/** The pages of a range: where the part of each begins in the page and in the range. */
function* parts(address: number, size: number) {
  for (let at = 0; at < size; ) {
    const offset = (address + at) % PAGE;
    const length = Math.min(PAGE - offset, size - at);
    yield { page: Math.floor((address + at) / PAGE), offset, at, length };
    at += length;
  }
}

/** Numbers of the pages that are not the same in both. */
export function differingPages(a: PagedMemory, b: PagedMemory): number[] {
  const zeros = new Uint8Array(PAGE);
  return [...new Set([...a.pages.keys(), ...b.pages.keys()])].filter(
    (number) => Buffer.compare(a.pages.get(number) ?? zeros, b.pages.get(number) ?? zeros) !== 0,
  );
}
