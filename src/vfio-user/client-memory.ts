import { DeviceError, type IoAddressSpace } from '../uapi/device.js';

const PAGE = 4096;

/**
 * Memory that a client lends to a device: whole from the device's view, and there only where somebody has
 * written, so that a large range costs nothing.
 */
export class SparseMemory implements IoAddressSpace {
  readonly start: number;
  readonly size: number;
  readonly #pages = new Map<number, Uint8Array>();
  /** Hears of each write; bytes. */
  onWrite: (iova: number, length: number) => void = () => {};

  /** @param start first address, and bytes from there on */
  constructor(start: number, size: number) {
    this.start = start;
    this.size = size;
  }

  read(iova: number, into: Uint8Array): void {
    this.#check(iova, into.length);
    this.#each(iova, into, (page, at, part) => {
      const bytes = this.#pages.get(page);
      if (bytes === undefined) part.fill(0);
      else part.set(bytes.subarray(at, at + part.length));
    });
  }

  write(iova: number, bytes: Uint8Array): void {
    this.#check(iova, bytes.length);
    this.#each(iova, bytes, (page, at, part) => {
      let memory = this.#pages.get(page);
      if (memory === undefined) {
        memory = new Uint8Array(PAGE);
        this.#pages.set(page, memory);
      }
      memory.set(part, at);
    });
    this.onWrite(iova, bytes.length);
  }

  #each(iova: number, bytes: Uint8Array, take: (page: number, at: number, part: Uint8Array) => void): void {
    for (let done = 0; done < bytes.length; ) {
      const at = (iova + done) % PAGE;
      const part = bytes.subarray(done, done + PAGE - at);
      take(Math.floor((iova + done) / PAGE), at, part);
      done += part.length;
    }
  }

  #check(iova: number, length: number): void {
    if (iova >= this.start && iova + length <= this.start + this.size) return;
    throw new DeviceError('EFAULT', `no memory is mapped for ${length} bytes at 0x${iova.toString(16)}`);
  }
}
