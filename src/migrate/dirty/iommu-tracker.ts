import { IOMMU_HWPT_DIRTY_TRACKING, IOMMU_HWPT_GET_DIRTY_BITMAP } from '../../uapi/iommufd.js';
import { IommuTable } from './iommu-table.js';
import { PageBitmap } from './page-bitmap.js';
import { type DirtyTracker, PAGE } from './tracker.js';

/** The dirty bits of the IOMMU's page table, for devices that do not log by themselves. */
export class IommuTracker implements DirtyTracker {
  readonly name: string;
  readonly table: IommuTable;
  readonly #answer: PageBitmap;
  /** What `beforeUnmap` has saved from page tables that are gone. */
  readonly #saved: PageBitmap;

  /** @param entryBytes bytes that an entry of the page table maps; 4096 unless given */
  constructor(name: string, { pages, entryBytes }: { pages: number; entryBytes?: number | undefined }) {
    this.name = name;
    this.table = new IommuTable(pages, entryBytes);
    this.#answer = new PageBitmap(pages);
    this.#saved = new PageBitmap(pages);
  }

  start(): void {
    this.#saved.clearAll();
    this.table.setDirtyTracking(IOMMU_HWPT_DIRTY_TRACKING.ENABLE);
  }

  stop(): void {
    this.#saved.clearAll();
    this.table.setDirtyTracking(0);
  }

  mark(address: number, length: number): void {
    this.table.write(address, length);
  }

  sync(into: PageBitmap): number {
    this.#query(0, this.table.pages, 0);
    this.#answer.mergeFrom(this.#saved);
    return into.mergeFrom(this.#answer);
  }

  /**
   * Unmaps pages: their dirty bits are read before, as they are gone with the page table, and not cleared,
   * which would only cost a flush of the IOTLB.
   */
  unmap(first: number, count: number): void {
    this.#query(first, count, IOMMU_HWPT_GET_DIRTY_BITMAP.NO_CLEAR);
    this.#saved.mergeFrom(this.#answer);
    this.table.unmap(first, count);
  }

  /** Sets in the answer what the page table says of some pages. */
  #query(first: number, count: number, flags: number): void {
    const query = { flags, iova: first * PAGE, length: count * PAGE, pageSize: PAGE };
    if (first === 0) {
      this.table.getDirtyBitmap(query, this.#answer);
      return;
    }
    const part = new PageBitmap(count);
    this.table.getDirtyBitmap(query, part);
    part.forEachSet((page) => {
      this.#answer.set(first + page);
    });
  }
}
