import type { QueueParts } from '../virtio/index.js';

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
