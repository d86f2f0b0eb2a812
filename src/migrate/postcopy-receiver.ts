import type { DiscardRange } from '../stream/index.js';
import { PageBitmap } from './dirty/index.js';
import { MigrationError } from './error.js';
import { PAGE_SIZE } from './ram/index.js';
import { RAM_BLOCK } from './ram-sender.js';
import type { ReturnMessage } from './return-path.js';
import type { VirtualMachine } from './virtual-machine.js';

/** Post-copy on the destination: which pages are still to come, and asking for those that the guest waits for. */
export class PostcopyReceiver {
  /** The VM runs, and pages are still to come. */
  active = false;
  readonly #vm: VirtualMachine;
  readonly #answer: (message: ReturnMessage) => Promise<void>;
  #advised = false;
  #requested = -1;

  constructor(vm: VirtualMachine, answer: (message: ReturnMessage) => Promise<void>) {
    this.#vm = vm;
    this.#answer = answer;
  }

  /** POSTCOPY_ADVISE. @throws MigrationError when there is a device that cannot do it */
  advise(): void {
    if (this.#vm.devices.length > 0)
      throw new MigrationError('VFIO devices do not support post-copy, and the source wants it');
    this.#advised = true;
    this.#vm.ram.absent = new PageBitmap(this.#vm.ram.pages);
  }

  /** POSTCOPY_RAM_DISCARD: these pages are still to come, whatever came before. */
  discard(ranges: readonly DiscardRange[]): void {
    const { ram } = this.#vm;
    if (!this.#advised || ram.absent === null)
      throw new MigrationError('POSTCOPY_RAM_DISCARD without POSTCOPY_ADVISE');
    for (const { start, length } of ranges) {
      if (start + length > BigInt(ram.size))
        throw new MigrationError('POSTCOPY_RAM_DISCARD of pages outside RAM');
      ram.absent.setRange(Number(start) / PAGE_SIZE, Number(length) / PAGE_SIZE);
    }
  }

  /** POSTCOPY_RUN. */
  run(): void {
    if (!this.#advised) throw new MigrationError('POSTCOPY_RUN without POSTCOPY_ADVISE');
    this.active = true;
    this.#vm.absent = (page) => !this.#vm.ram.isPresent(page);
    this.#vm.onFault = (page) => this.#fault(page);
  }

  #fault(page: number): void {
    if (page === this.#requested) return;
    this.#requested = page;
    void this.#answer({ type: 'REQ_PAGES', start: page * PAGE_SIZE, length: PAGE_SIZE, block: RAM_BLOCK });
  }

  /** A page has come. */
  arrived(page: number): void {
    if (page === this.#requested) this.#requested = -1;
  }

  /** All pages have come. @throws MigrationError when some have not */
  finish(): void {
    const missing = this.#vm.ram.absent?.count() ?? 0;
    if (missing > 0) throw new MigrationError(`post-copy ends, and ${missing} pages have not come`);
    this.#vm.ram.absent = null;
    this.#vm.absent = null;
    this.active = false;
  }
}
