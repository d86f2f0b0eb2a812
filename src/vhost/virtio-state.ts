import { USED } from '../uapi/virtio.js';
import type { QueueMemory, QueueParts } from '../virtio/index.js';

/** A virtqueue as the guest has set it up; addresses are guest physical. */
export interface VhostRing {
  readonly index: number;
  readonly size: number;
  readonly parts: QueueParts;
  /** Where it goes on, as VRING_BASE carries it. */
  base: number;
}

/** What the guest has made of its virtio device: the VMM's part of the device state, which crosses in a migration. */
export interface VirtioState {
  /** Negotiated with the guest. */
  readonly features: bigint;
  readonly rings: readonly VhostRing[];
  /** Number of the control queue, or null without one. */
  readonly controlQueue: number | null;
}

/**
 * Where a split ring stands by its used index, when the device cannot be asked: what was in flight is done again.
 * @throws DeviceError EFAULT when it is not in guest memory
 */
export function usedIndexOf({ parts }: VhostRing, guest: QueueMemory): number {
  const word = new Uint8Array(2);
  guest.read(parts.used + USED.idx, word);
  return word[0]! | (word[1]! << 8);
}
