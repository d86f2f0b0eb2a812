import type { IoAddressSpace } from 'stopcopy/uapi';
import type { DmaLog } from '../dma-log.js';

/** Guest memory whose writes are told to the device's own DMA log as well. */
export class LoggedMemory implements IoAddressSpace {
  readonly #memory: IoAddressSpace;
  readonly #log: DmaLog;

  constructor(memory: IoAddressSpace, log: DmaLog) {
    this.#memory = memory;
    this.#log = log;
  }

  read(iova: number, into: Uint8Array): void {
    this.#memory.read(iova, into);
  }

  /** A write that fails may have written a part, so all of it counts. */
  write(iova: number, bytes: Uint8Array): void {
    this.#log.mark(BigInt(iova), BigInt(bytes.length));
    this.#memory.write(iova, bytes);
  }
}
