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
    let at = 0;
    for (const piece of this.#pieces(address, into.length)) {
      into.set(piece, at);
      at += piece.length;
    }
  }

  write(address: number, bytes: Uint8Array): void {
    const pieces = this.#pieces(address, bytes.length);
    this.#writes(address, bytes.length);
    let at = 0;
    for (const piece of pieces) {
      piece.set(bytes.subarray(at, at + piece.length));
      at += piece.length;
    }
    this.#wrote(address, bytes.length);
  }

  /** Regions may stand one behind the other. */
  #pieces(address: number, length: number): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    for (let at = address, left = length; left > 0; ) {
      const region = this.#regions().find(({ gpa, size }) => at >= gpa && at < gpa + size);
      if (region === undefined) throw new DeviceError('EFAULT', `no guest memory is at 0x${at.toString(16)}`);
      const inside = at - region.gpa;
      const size = Math.min(left, region.size - inside);
      const start = region.offset + inside;
      pieces.push(region.memory.bytes.subarray(start, start + size));
      at += size;
      left -= size;
    }
    return pieces;
  }
}

/** Memory of the VMM's own, by offset. */
export function flatMemory({ bytes }: SharedMemory): QueueMemory {
  return {
    read: (address, into) => into.set(bytes.subarray(address, address + into.length)),
    write: (address, from) => bytes.set(from, address),
  };
}
