import { DeviceError } from '../uapi/device.js';
import { VFIO_USER_DMA_FLAGS } from '../uapi/vfio-user-device.js';

/** A range that the client has mapped for DMA; bytes, and `VFIO_USER_DMA_FLAGS`. */
export interface DmaRange {
  readonly addr: bigint;
  readonly size: bigint;
  readonly flags: number;
}

const TOP = 1n << 64n;
const KNOWN = VFIO_USER_DMA_FLAGS.READ | VFIO_USER_DMA_FLAGS.WRITE;
/** Ranges that a client may map at a time. */
export const MOST_DMA_MAPS = 4096;

/** The ranges that a client has mapped, in order of address. */
export class DmaMaps {
  #ranges: DmaRange[] = [];

  get ranges(): readonly DmaRange[] {
    return this.#ranges;
  }

  /**
   * A range that is there already, the same in all, is no error.
   * @throws DeviceError EINVAL for an empty range or one beyond 2^64, EEXIST for one that overlaps another,
   * ENOSPC for too many
   */
  map({ addr, size, flags }: DmaRange): void {
    if (size === 0n || addr + size > TOP)
      throw new DeviceError('EINVAL', `${size} bytes at 0x${addr.toString(16)} are no range of addresses`);
    const range = { addr, size, flags: flags & KNOWN };
    const at = this.#indexFrom(addr);
    const next = this.#ranges[at];
    if (next?.addr === addr && next.size === size && next.flags === range.flags) return;
    if (next !== undefined && next.addr < addr + size)
      throw new DeviceError('EEXIST', `0x${addr.toString(16)}: a part of it is mapped already`);
    if (this.#ranges.length >= MOST_DMA_MAPS)
      throw new DeviceError('ENOSPC', `at most ${MOST_DMA_MAPS} ranges can be mapped`);
    this.#ranges.splice(at, 0, range);
  }

  /** @throws DeviceError ENOENT when no range is exactly this one */
  unmap(addr: bigint, size: bigint): void {
    const at = this.#exactly(addr, size);
    this.#ranges.splice(at, 1);
  }

  /** @throws DeviceError ENOENT when no range is exactly this one */
  need(addr: bigint, size: bigint): void {
    this.#exactly(addr, size);
  }

  clear(): void {
    this.#ranges = [];
  }

  /** Whether the device may reach all of these bytes. */
  allows(addr: bigint, length: bigint, flag: number): boolean {
    const end = addr + length;
    let at = addr;
    for (let index = this.#indexFrom(addr); at < end; index++) {
      const range = this.#ranges[index];
      if (range === undefined || range.addr > at || (range.flags & flag) === 0) return false;
      at = range.addr + range.size;
    }
    return true;
  }

  #exactly(addr: bigint, size: bigint): number {
    const at = this.#indexFrom(addr);
    const range = this.#ranges[at];
    if (range?.addr === addr && range.size === size) return at;
    throw new DeviceError('ENOENT', `no range of ${size} bytes is mapped at 0x${addr.toString(16)}`);
  }

  /** Index of the first range that ends behind the address. */
  #indexFrom(addr: bigint): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const { addr: start, size } = this.#ranges[middle]!;
      if (start + size > addr) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
