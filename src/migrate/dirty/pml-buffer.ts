import { PML_ENTRIES } from '../../uapi/kvm.js';

/**
 * The page-modification log of a vCPU (Intel): the processor puts the address of a page there whose D bit
 * goes from 0 to 1, from the last entry down. When the index has gone below 0, the vCPU exits, and KVM
 * takes the entries out; user space sees nothing of it.
 */
export class PmlBuffer {
  /** Exits because the buffer was full. */
  fullExits = 0;
  readonly #entries = new Float64Array(PML_ENTRIES);
  #index = PML_ENTRIES - 1;
  readonly #flushed: (page: number) => void;

  /** @param flushed gets the page numbers when the buffer is emptied, in the order of the writes */
  constructor(flushed: (page: number) => void) {
    this.#flushed = flushed;
  }

  /** Entries that wait. */
  get length(): number {
    return PML_ENTRIES - 1 - this.#index;
  }

  /** The D bit of a page went from 0 to 1. */
  log(page: number): void {
    this.#entries[this.#index--] = page;
    if (this.#index >= 0) return;
    this.fullExits++;
    this.flush();
  }

  /** The vCPU has left the guest: KVM empties the buffer. */
  flush(): void {
    const end = this.#index;
    this.#index = PML_ENTRIES - 1;
    for (let at = PML_ENTRIES - 1; at > end; at--) this.#flushed(this.#entries[at]!);
  }

  /** Logging is switched off: what waits is dropped. */
  reset(): void {
    this.#index = PML_ENTRIES - 1;
  }
}
