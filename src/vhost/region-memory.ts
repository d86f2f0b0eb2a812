import { DeviceError } from '../uapi/device.js';
import type { SharedMemory, VhostRegion } from '../uapi/vhost-backend.js';
import type { QueueMemory } from '../virtio/index.js';

/** Guest memory by guest physical address, as the VMM itself reaches it. */
export class RegionMemory implements QueueMemory {
  readonly #regions: () => readonly VhostRegion[];
  readonly #wrote: (address: number, length: number) => void;
  readonly #writes: (address: number, length: number) => void;

  /**
   * @param wrote told of each write
   * @param writes told before each write
   */
  constructor(
    regions: () => readonly VhostRegion[],
    wrote: (address: number, length: number) => void = () => {},
    writes: (address: number, length: number) => void = () => {},
  ) {
    this.#regions = regions;
    this.#wrote = wrote;
    this.#writes = writes;
  }

  read(address: number, into: Uint8Array): void {
    into.set(this.#bytes(address, into.length));
  }

  write(address: number, bytes: Uint8Array): void {
    const place = this.#bytes(address, bytes.length);
    this.#writes(address, bytes.length);
    place.set(bytes);
    this.#wrote(address, bytes.length);
  }

  #bytes(address: number, length: number): Uint8Array {
    for (const { gpa, size, offset, memory } of this.#regions()) {
      if (address < gpa || address + length > gpa + size) continue;
      const at = offset + address - gpa;
      return memory.bytes.subarray(at, at + length);
    }
    throw new DeviceError('EFAULT', `no guest memory holds ${length} bytes at 0x${address.toString(16)}`);
  }
}

/** Memory of the VMM's own, by offset. */
export function flatMemory({ bytes }: SharedMemory): QueueMemory {
  return {
    read: (address, into) => into.set(bytes.subarray(address, address + into.length)),
    write: (address, from) => bytes.set(from, address),
  };
}
