import { PageBitmap } from './page-bitmap.js';
import { lastPage, PAGE } from './tracker.js';

/**
 * The page tables that vCPUs write through: a page is armed or open. A write to an armed page is trapped
 * and opens it; all further ones run free, at the cost of one look. In the hardware an armed page is
 * write-protected, or has its D bit clear.
 */
export class WriteTrap {
  /** Writes that were trapped. */
  trapped = 0;
  /** Pages whose next write is not trapped. */
  readonly #open: PageBitmap;
  readonly #trap: (page: number, vcpu: number) => void;

  /** All pages are open. @param trap is called for a write to an armed page, which is open then */
  constructor(pages: number, trap: (page: number, vcpu: number) => void) {
    this.#open = new PageBitmap(pages);
    this.#open.setAll();
    this.#trap = trap;
  }

  get pages(): number {
    return this.#open.pages;
  }

  isOpen(page: number): boolean {
    return this.#open.test(page);
  }

  /** A write of a vCPU. @throws RangeError outside RAM */
  write(address: number, length: number, vcpu: number): void {
    if (length <= 0) return;
    const last = lastPage(address, length, this.#open.pages);
    for (let page = Math.floor(address / PAGE); page <= last; page++) {
      if (this.#open.test(page)) continue;
      this.#open.set(page);
      this.trapped++;
      this.#trap(page, vcpu);
    }
  }

  armAll(): void {
    this.#open.clearAll();
  }

  openAll(): void {
    this.#open.setAll();
  }

  arm(page: number): void {
    this.#open.clear(page);
  }

  /** Arms the pages that a bitmap has, of all or of a range as `PageBitmap.remove` takes it. */
  armMany(pages: PageBitmap, first = 0, count = this.pages - first): void {
    this.#open.remove(pages, first, count);
  }
}
