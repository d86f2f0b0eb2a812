import { DeviceError } from '../../uapi/device.js';
import { IOMMU_HWPT_DIRTY_TRACKING, IOMMU_HWPT_GET_DIRTY_BITMAP } from '../../uapi/iommufd.js';
import { PageBitmap } from './page-bitmap.js';
import { lastPage, PAGE } from './tracker.js';

/** A GET of dirty bits: addresses and sizes in bytes. */
export interface DirtyQuery {
  flags: number;
  iova: number;
  length: number;
  /** Bytes that a bit of the answer stands for. */
  pageSize: number;
}

/**
 * A hardware page table of iommufd that tracks dirt: the IOMMU sets the dirty bit of an entry when a device
 * writes through it. An entry maps a page, or with huge pages many, which then get dirty together. IOVA
 * equals guest physical address.
 */
export class IommuTable {
  readonly pages: number;
  /** Pages that an entry maps. */
  readonly entryPages: number;
  readonly #dirty: PageBitmap;
  readonly #mapped: PageBitmap;
  #tracking = false;

  /**
   * All pages are mapped.
   * @param entryBytes bytes that an entry maps: a power of two, from the page size on
   * @throws RangeError when an entry cannot map so many
   */
  constructor(pages: number, entryBytes = PAGE) {
    this.pages = pages;
    this.entryPages = entryBytes / PAGE;
    if (this.entryPages < 1 || !Number.isInteger(Math.log2(this.entryPages)))
      throw new RangeError(`IOMMU page table: expected entries of 2^n pages, got ${entryBytes} bytes`);
    const entries = Math.ceil(pages / this.entryPages);
    this.#dirty = new PageBitmap(entries);
    this.#mapped = new PageBitmap(entries);
    this.#mapped.setAll();
  }

  /**
   * IOMMU_HWPT_SET_DIRTY_TRACKING. Enabling clears all dirty bits, also when tracking is on.
   * @throws DeviceError EOPNOTSUPP for an unknown flag
   */
  setDirtyTracking(flags: number): void {
    if ((flags & ~IOMMU_HWPT_DIRTY_TRACKING.ENABLE) !== 0)
      throw new DeviceError('EOPNOTSUPP', `flags 0x${flags.toString(16)}`);
    this.#tracking = flags === IOMMU_HWPT_DIRTY_TRACKING.ENABLE;
    if (this.#tracking) this.#dirty.clearAll();
  }

  /** A device writes; nothing happens where nothing is mapped. @throws RangeError outside RAM */
  write(address: number, length: number): void {
    if (length <= 0) return;
    const last = this.#entry(lastPage(address, length, this.pages));
    if (!this.#tracking) return;
    for (let entry = this.#entry(Math.floor(address / PAGE)); entry <= last; entry++)
      if (this.#mapped.test(entry)) this.#dirty.set(entry);
  }

  /** IOMMU_IOAS_UNMAP of the entries of some pages: their dirty bits are gone with them. */
  unmap(first: number, count: number): void {
    this.#check(first, count);
    const [entry, entries] = this.#entries(first, count);
    this.#mapped.clearRange(entry, entries);
    this.#dirty.clearRange(entry, entries);
  }

  /** IOMMU_IOAS_MAP of the entries of some pages. */
  map(first: number, count: number): void {
    this.#check(first, count);
    this.#mapped.setRange(...this.#entries(first, count));
  }

  /**
   * IOMMU_HWPT_GET_DIRTY_BITMAP: sets in `into`, whose bit 0 stands for `iova`, the units that share a byte
   * with a dirty entry, and clears the dirty bits of the entries, unless NO_CLEAR is asked for. Holes and
   * switched-off tracking are no error: they just give no bit.
   * @throws DeviceError EOPNOTSUPP for an unknown flag; EINVAL when the page size is no power of two of
   * whole pages, or the range none of whole units of RAM; EOVERFLOW when it runs over the end of numbers
   */
  getDirtyBitmap({ flags, iova, length, pageSize }: DirtyQuery, into: PageBitmap): void {
    if ((flags & ~IOMMU_HWPT_GET_DIRTY_BITMAP.NO_CLEAR) !== 0)
      throw new DeviceError('EOPNOTSUPP', `flags 0x${flags.toString(16)}`);
    const end = iova + length;
    if (!Number.isSafeInteger(end)) throw new DeviceError('EOVERFLOW', `${length} bytes at ${iova}`);
    if (pageSize < PAGE || !Number.isInteger(Math.log2(pageSize)))
      throw new DeviceError('EINVAL', `page size ${pageSize}`);
    if (iova < 0 || length <= 0 || iova % pageSize !== 0 || length % pageSize !== 0)
      throw new DeviceError('EINVAL', `${length} bytes at ${iova} are no whole units of ${pageSize} bytes`);
    const entryBytes = this.entryPages * PAGE;
    const [entry, entries] = this.#entries(iova / PAGE, length / PAGE);
    const stop = Math.min(entry + entries, this.#dirty.pages);
    for (let at = this.#dirty.nextSet(entry); at >= 0 && at < stop; at = this.#dirty.nextSet(at + 1)) {
      const from = Math.floor(Math.max(at * entryBytes - iova, 0) / pageSize);
      const to = Math.ceil(Math.min((at + 1) * entryBytes - iova, length) / pageSize);
      const units = Math.min(to, into.pages);
      if (from < units) into.setRange(from, units - from);
    }
    if (flags === 0 && stop > entry) this.#dirty.clearRange(entry, stop - entry);
  }

  #entry(page: number): number {
    return Math.floor(page / this.entryPages);
  }

  /** The first entry of some pages, and how many entries they have. */
  #entries(first: number, count: number): [number, number] {
    const entry = this.#entry(first);
    return [entry, this.#entry(first + count - 1) - entry + 1];
  }

  #check(first: number, count: number): void {
    if (first < 0 || count < 1 || first + count > this.pages)
      throw new RangeError(
        `IOMMU page table: expected pages below ${this.pages}, got ${count} pages from page ${first}`,
      );
  }
}
