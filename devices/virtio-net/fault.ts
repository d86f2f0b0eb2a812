import type { VhostInterface } from 'stopcopy/uapi';
import type { Conduct } from './conduct.js';

/** A mistake that back ends were seen to make, or whose code path is there to make it. */
export interface NetFault {
  /** For the command line. */
  readonly name: string;
  /** What the device does wrong, in a sentence. */
  readonly title: string;
  /** Where it was seen, or which way of writing a back end leads to it. */
  readonly origin: string;
  /** A bit of the dirty log is missing, an order is broken, or what the guest had set is lost. */
  readonly kind: 'log' | 'order' | 'outcome';
  readonly faces: readonly VhostInterface[];
  /** Ids of rules that can find it. */
  readonly caughtBy: readonly string[];
  /** What the device decides in another way. */
  readonly conduct: Partial<Conduct>;
  /** What a run must have for it to show. */
  readonly needs?: {
    /** Marks are held back. */
    readonly logCache?: number;
    readonly iotlb?: boolean;
    readonly inFlight?: number;
    /** The VMM asks what it must not. */
    readonly probes?: boolean;
  };
}
