import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { PageBitmap } from './dirty/index.js';
import { type GuestRam, PageDigests } from './ram/index.js';
import type { VirtualMachine } from './virtual-machine.js';

/** Pages that are looked at before others get their turn. */
const BATCH = 2048;

/**
 * A digest of guest RAM as it is at one moment, taken while the VM runs: before a page is written for the first
 * time it is digested, all others follow at leisure. So the comparison of two sides costs no downtime.
 */
export class RamSnapshot {
  readonly #vm: VirtualMachine;
  readonly #ram: GuestRam;
  /** Pages that are still as they were, and not digested. */
  readonly #open: PageBitmap;
  readonly #checksums: Uint32Array;
  readonly #zero: PageBitmap;

  /** The moment is now. */
  constructor(vm: VirtualMachine) {
    this.#vm = vm;
    this.#ram = vm.ram;
    this.#open = new PageBitmap(vm.ram.pages);
    this.#open.setAll();
    this.#zero = new PageBitmap(vm.ram.pages);
    this.#checksums = new Uint32Array(vm.ram.pages);
    vm.beforeWrite = (page) => this.#take(page);
  }

  #take(page: number): void {
    if (!this.#open.test(page)) return;
    this.#open.clear(page);
    if (this.#ram.isZeroPage(page)) this.#zero.set(page);
    else this.#checksums[page] = crc32(this.#ram.page(page));
  }

  /** Digests what is left. @returns the digest, as `ramDigest` gives it for RAM that nobody writes */
  async finish(): Promise<string> {
    for (let page = this.#open.nextSet(0); page >= 0; page = this.#open.nextSet(page)) {
      this.#takeRange(page, Math.min(this.#open.nextClear(page), page + BATCH));
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#vm.beforeWrite = null;
    return digestOf(this.#entries());
  }

  #takeRange(first: number, end: number): void {
    for (let page = first; page < end; page++) {
      const zeros = this.#ram.zeroRun(page, end - page);
      if (zeros > 0) {
        this.#open.clearRange(page, zeros);
        this.#zero.setRange(page, zeros);
        page += zeros;
      }
      if (page < end) this.#take(page);
    }
  }

  #entries(): PageDigests {
    const digests = new PageDigests(this.#ram.pages);
    for (let page = this.#zero.nextClear(0); page < this.#ram.pages; page = this.#zero.nextClear(page + 1))
      digests.addChecksum(page, this.#checksums[page]!);
    return digests;
  }
}

/** A digest of RAM that nobody writes meanwhile: equal for equal content. */
export function ramDigest(ram: GuestRam): string {
  return digestOf(ram.pageDigests());
}

function digestOf(digests: PageDigests): string {
  return createHash('sha256').update(digests.toBytes()).digest('hex');
}
