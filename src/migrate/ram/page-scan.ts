import type { PageBitmap } from '../dirty/page-bitmap.js';
import type { GuestRam } from './guest-ram.js';

/** How many pages one step may take, depending on what they turn out to be. */
export interface ScanRoom {
  zero: number;
  normal: number;
}

/** What a scan may be told. */
export interface ScanOptions {
  /** The page to begin with; 0 unless given. */
  from?: number;
  /**
   * Called for dirty pages before they are looked at: for trackers that must then be told to look out for
   * the next write (`DirtyTracker.beforeRead`). It may be called for a page more than once.
   */
  beforeRead?: ((first: number, count: number) => void) | undefined;
}

/**
 * Goes once up through guest RAM and takes its dirty pages in runs that are all zero or all not. Of a run
 * the bits are cleared when it is taken; whoever takes it reads the pages before the guest runs again.
 * Between two steps bits may be set and cleared by others, such as a sync or a page that was asked for.
 */
export class PageScan {
  /** The run that `take` found: first page, number of pages, and whether they are zero. */
  first = 0;
  count = 0;
  zero = false;
  /** The page that the next step looks at first. */
  position: number;
  readonly ram: GuestRam;
  readonly #dirty: PageBitmap;
  readonly #beforeRead: ScanOptions['beforeRead'];

  constructor(dirty: PageBitmap, ram: GuestRam, { from = 0, beforeRead }: ScanOptions = {}) {
    if (dirty.pages !== ram.pages)
      throw new RangeError(
        `page scan: expected a bitmap of ${ram.pages} pages, got one of ${dirty.pages} pages`,
      );
    this.position = from;
    this.ram = ram;
    this.#dirty = dirty;
    this.#beforeRead = beforeRead;
  }

  /** Whether no dirty page is left from the position on. */
  get done(): boolean {
    return this.#dirty.nextSet(this.position) < 0;
  }

  /**
   * Takes the next run, no longer than there is room for. False when no dirty page is left, or no room for
   * the next one.
   */
  take(room: ScanRoom): boolean {
    const first = this.#dirty.nextSet(this.position);
    if (first < 0) return false;
    const most = Math.max(room.zero, room.normal);
    const dirty = Math.min(this.#dirty.nextClear(first) - first, most);
    if (dirty === 0) return false;
    this.#beforeRead?.(first, dirty);
    const zeros = this.ram.zeroRun(first, dirty);
    this.zero = zeros > 0;
    this.first = first;
    this.count = this.zero ? Math.min(zeros, room.zero) : this.#normal(first, Math.min(dirty, room.normal));
    this.position = first + this.count;
    this.#dirty.clearRange(first, this.count);
    return this.count > 0;
  }

  /** How many of the next pages are not zero, up to the first that is; the first one is known not to be. */
  #normal(first: number, most: number): number {
    let count = Math.min(1, most);
    while (count < most && !this.ram.isZeroPage(first + count)) count++;
    return count;
  }
}
