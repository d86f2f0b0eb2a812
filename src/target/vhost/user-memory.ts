import type { Linux, Mapping } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import type { SharedMemory, VhostRegion } from '../../uapi/vhost-backend.js';

/** A region, and where it stands in this process. */
export interface PlacedRegion extends VhostRegion {
  readonly address: bigint;
}

/** Memory that stands in this process at a user address. */
export interface OwnMemory {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/**
 * Memory of the VMM as the kernel is told of it: mapped in this process, for kernel vhost works on the addresses of
 * the process that owns it, and the VMM's own addresses may be those of a model.
 */
export class UserMemory {
  readonly #linux: Linux;
  readonly #known: () => Iterable<OwnMemory>;
  #mapped = new Map<SharedMemory, Mapping>();
  #regions: readonly PlacedRegion[] = [];

  /** @param known memory of this process that needs no table: its addresses are what they say */
  constructor(linux: Linux, known: () => Iterable<OwnMemory> = () => []) {
    this.#linux = linux;
    this.#known = known;
  }

  /**
   * Maps what a new table needs and has not yet.
   * @param accept tells the kernel; when it throws, the old table stays
   * @throws DeviceError EINVAL when memory has no descriptor to map it from, or a region reaches beyond its memory
   */
  replace(regions: readonly VhostRegion[], accept: (placed: readonly PlacedRegion[]) => void): void {
    const mapped = new Map<SharedMemory, Mapping>();
    try {
      const placed = regions.map((region) => this.#place(region, mapped));
      accept(placed);
      this.#regions = placed;
    } catch (error) {
      for (const [memory, mapping] of mapped) if (this.#mapped.get(memory) !== mapping) mapping.unmap();
      throw error;
    }
    for (const [memory, mapping] of this.#mapped) if (!mapped.has(memory)) mapping.unmap();
    this.#mapped = mapped;
  }

  #place(region: VhostRegion, mapped: Map<SharedMemory, Mapping>): PlacedRegion {
    const { memory, offset, size, gpa } = region;
    if (offset < 0 || offset + size > memory.bytes.length)
      throw new DeviceError('EINVAL', `the region at 0x${gpa.toString(16)} reaches beyond its memory`);
    const mapping = mapped.get(memory) ?? this.#mapped.get(memory) ?? mapShared(this.#linux, memory);
    mapped.set(memory, mapping);
    return { ...region, address: mapping.address + BigInt(offset) };
  }

  /**
   * Where a range of the VMM's addresses is in this process.
   * @throws DeviceError EFAULT when it lies in no region: the kernel must not be sent elsewhere
   */
  translate(uaddr: number, length: number, what: string): bigint {
    for (const region of this.#regions)
      if (uaddr >= region.uaddr && uaddr + length <= region.uaddr + region.size)
        return region.address + BigInt(uaddr - region.uaddr);
    for (const { address, bytes } of this.#known())
      if (uaddr >= address && uaddr + length <= address + bytes.length) return BigInt(uaddr);
    throw new DeviceError('EFAULT', `${what} at 0x${uaddr.toString(16)} is in no region of the memory table`);
  }

  close(): void {
    for (const mapping of this.#mapped.values()) mapping.unmap();
    this.#mapped.clear();
    this.#regions = [];
  }
}

/** @throws DeviceError EINVAL when there is no descriptor to map it from */
export function mapShared(linux: Linux, { fd, bytes }: SharedMemory): Mapping {
  if (fd === undefined)
    throw new DeviceError('EINVAL', 'memory without a descriptor cannot be shared with the kernel');
  return linux.mmap(fd, { length: bytes.length });
}
