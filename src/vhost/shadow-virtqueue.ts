import type { SharedMemory } from '../uapi/vhost-backend.js';
import { splitBytes } from '../uapi/virtio.js';
import {
  type Chain,
  type DeviceQueue,
  type DriverQueue,
  deviceQueue,
  driverQueue,
  type QueueFeatures,
  type QueueMemory,
  type QueueParts,
  type Segment,
} from '../virtio/index.js';
import { flatMemory } from './region-memory.js';
import type { VhostRing } from './virtio-state.js';

const PAGE = 4096;

/** Bytes of memory that a shadow ring of so many descriptors takes: whole pages. */
export function shadowBytes(size: number): number {
  return usedAt(size) + Math.ceil(splitBytes.used(size) / PAGE) * PAGE;
}

function usedAt(size: number): number {
  return Math.ceil((splitBytes.desc(size) + splitBytes.avail(size)) / PAGE) * PAGE;
}

/** The parts of a shadow ring in memory that begins at `at`. */
export function shadowParts(size: number, at: number): QueueParts {
  return { desc: at, avail: at + splitBytes.desc(size), used: at + usedAt(size) };
}

export interface ShadowOptions {
  readonly ring: VhostRing;
  readonly features: QueueFeatures;
  /** Guest memory by guest physical address; its writes are marked dirty by whoever made it. */
  readonly guest: QueueMemory;
  /** Zeroed memory of the shadow ring, `shadowBytes` long, and the I/O address that the device finds it at. */
  readonly memory: SharedMemory;
  readonly iova: number;
  /** The I/O address of guest memory. */
  iovaOf(gpa: number, length: number): number;
  /** The device has written guest memory. */
  markDirty(gpa: number, length: number): void;
  /** Notifies the device, and the guest. */
  kick(): void;
  call(): void;
}

/**
 * A virtqueue of the VMM between that of the guest and the device: it takes the guest's buffers, shows them to the
 * device in a ring of its own, and gives back what the device has used. So the VMM sees every page that the device
 * writes. Split rings; buffers come back in the order of the guest.
 */
export class ShadowVirtqueue {
  readonly ring: VhostRing;
  /** Parts of the shadow ring by I/O address. */
  readonly parts: QueueParts;
  readonly #options: ShadowOptions;
  readonly #guest: DeviceQueue;
  readonly #device: DriverQueue;
  readonly #pending = new Map<number, Chain>();
  #token = 0;

  constructor(options: ShadowOptions) {
    const { ring, features, guest, memory, iova } = options;
    const { size } = ring;
    this.ring = ring;
    this.parts = shadowParts(size, iova);
    this.#options = options;
    this.#guest = deviceQueue(false, { memory: guest, parts: ring.parts, size, features, base: ring.base });
    this.#device = driverQueue(false, {
      memory: flatMemory(memory),
      parts: shadowParts(size, 0),
      size,
      features,
    });
    this.#guest.setNotification(true);
  }

  /** Buffers that the device has. */
  get inFlight(): number {
    return this.#pending.size;
  }

  /** The guest has made buffers available: shows them to the device, as many as find room. */
  forward(): void {
    this.#guest.setNotification(false);
    for (;;) {
      this.#show();
      this.#guest.setNotification(true);
      const late = this.#guest.pop();
      if (late === null) break;
      this.#guest.unpop(1);
      // The device has no room: its next used buffer makes some.
      if (late.readable.length + late.writable.length > this.#device.free) break;
    }
    if (this.#device.needsKick()) this.#options.kick();
  }

  #show(): void {
    for (let chain = this.#guest.pop(); chain !== null; chain = this.#guest.pop()) {
      if (
        !this.#device.add(this.#translated(chain.readable), this.#translated(chain.writable), this.#token)
      ) {
        this.#guest.unpop(1);
        return;
      }
      this.#pending.set(this.#token++, chain);
    }
  }

  #translated(segments: readonly Segment[]): Segment[] {
    return segments.map(({ address, length }) => ({
      address: this.#options.iovaOf(address, length),
      length,
    }));
  }

  /** The device has used buffers: gives them back to the guest, and takes new ones in their place. */
  complete(): void {
    if (this.#giveBack() > 0) this.forward();
  }

  /** Gives back what the device has used; pages that it wrote are marked dirty. @returns how many buffers */
  #giveBack(): number {
    const used: { chain: Chain; written: number }[] = [];
    for (let next = this.#device.collect(); next !== null; next = this.#device.collect()) {
      const chain = this.#pending.get(next.token)!;
      this.#pending.delete(next.token);
      this.#mark(chain, next.length);
      used.push({ chain, written: next.length });
    }
    this.#guest.push(used);
    if (used.length > 0 && this.#guest.needsCall()) this.#options.call();
    return used.length;
  }

  #mark({ writable }: Chain, written: number): void {
    let left = written;
    for (const { address, length } of writable) {
      const here = Math.min(left, length);
      if (here > 0) this.#options.markDirty(address, here);
      left -= here;
    }
  }

  /**
   * The device has stopped: gives back what it has used, and takes back what it has not.
   * @returns where the guest's ring goes on
   */
  end(): number {
    this.#giveBack();
    this.#guest.unpop(this.#pending.size);
    this.#pending.clear();
    return this.#guest.base;
  }
}
