import { DeviceError } from '../uapi/device.js';
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
import { RingGuard } from './ring-guard.js';
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
  /** Guest memory by I/O address, in pieces. @throws DeviceError EFAULT when there is none */
  piecesOf(segment: Segment): readonly Segment[];
  /** The device has written guest memory. */
  markDirty(gpa: number, length: number): void;
  /** Notifies the device, and the guest. */
  kick(): void;
  call(): void;
  /** Told when guest or device have broken the ring; absent: the error goes on to who kicked or called. */
  readonly broken?: ((error: Error) => void) | undefined;
}

/**
 * A virtqueue of the VMM between that of the guest and the device: it takes the guest's buffers, shows them to the
 * device in a ring of its own, and gives back what the device has used. So the VMM sees every page that the device
 * writes. Split rings, and devices that use the buffers of a queue in order: an index is all that is left of them.
 * A ring that guest or device has broken stands still until it is set up again.
 */
export class ShadowVirtqueue {
  readonly ring: VhostRing;
  /** Descriptors and parts of the shadow ring, the latter by I/O address. */
  readonly size: number;
  readonly parts: QueueParts;
  readonly #options: ShadowOptions;
  readonly #guest: DeviceQueue;
  readonly #device: DriverQueue;
  readonly #pending = new Map<number, Chain>();
  readonly #guard: RingGuard;
  #token = 0;

  constructor(options: ShadowOptions) {
    const { ring, features, guest, memory, iova } = options;
    const { size } = ring;
    this.ring = ring;
    this.size = size;
    this.parts = shadowParts(size, iova);
    this.#options = options;
    this.#guard = new RingGuard(options.broken);
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
    this.#guard.run(() => this.#forward());
  }

  #forward(): void {
    this.#guest.setNotification(false);
    for (let isFull = false; !isFull; ) {
      isFull = this.#showAll();
      this.#guest.setNotification(true);
      // Asked for the next kick, the guest may have made some available before it.
      if (this.#guest.pop() === null) break;
      this.#guest.unpop(1);
    }
    if (this.#device.needsKick()) this.#options.kick();
  }

  /** @returns whether the device has no room for a buffer that waits: its next used one makes some */
  #showAll(): boolean {
    for (let chain = this.#guest.pop(); chain !== null; chain = this.#guest.pop()) {
      let isShown = false;
      try {
        isShown = this.#show(chain);
      } finally {
        if (!isShown) this.#guest.unpop(1);
      }
      if (!isShown) return true;
    }
    return false;
  }

  #show(chain: Chain): boolean {
    const readable = this.#translated(chain.readable);
    const writable = this.#translated(chain.writable);
    const count = readable.length + writable.length;
    if (count > this.ring.size)
      throw new DeviceError('EINVAL', `a buffer of ${count} pieces in a ring of ${this.ring.size}`);
    if (!this.#device.add(readable, writable, this.#token)) return false;
    this.#pending.set(this.#token++, chain);
    return true;
  }

  #translated(segments: readonly Segment[]): Segment[] {
    return segments.flatMap((segment) => this.#options.piecesOf(segment));
  }

  /** The device has used buffers: gives them back to the guest, and takes new ones in their place. */
  complete(): void {
    this.#guard.run(() => {
      if (this.#giveBack() > 0) this.#forward();
    });
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
   * The device has stopped: gives back what it has used, and takes back what it has not, of which it may have
   * written a part.
   * @returns where the guest's ring goes on
   */
  end(): number {
    this.#guard.run(() => this.#giveBack());
    for (const chain of this.#pending.values()) this.#mark(chain, Number.POSITIVE_INFINITY);
    this.#guest.unpop(this.#pending.size);
    this.#pending.clear();
    this.#guard.end();
    return this.#guest.base;
  }
}
