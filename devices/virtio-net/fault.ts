import type { VhostInterface } from 'stopcopy/uapi';
import type { Conduct } from './conduct.js';

/** What the rig itself finds wrong, beside the rules that judge its events. */
export type RigProblemKind =
  /** A page that only the back end changed is in no reading of the log, or differs on the destination. */
  | 'memory'
  /** A frame was lost, doubled or changed on its way. */
  | 'frames'
  /** Something that waits is not worked on. */
  | 'stalled'
  /** What the guest had set, or the device had learned, is not there any more. */
  | 'settings'
  /** A request was refused that is legal, or taken that is not. */
  | 'request'
  /** The driver found its ring in disorder. */
  | 'ring';

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
  /** How a run of the rig sees it where no rule can: what the guest misses is in no event. */
  readonly seenAs?: RigProblemKind;
  /** What the device decides in another way. */
  readonly conduct: Partial<Conduct>;
  /** What a run must have for it to show. */
  readonly needs?: {
    /** Marks are held back. */
    readonly logCache?: number;
    readonly iotlb?: boolean;
    readonly packed?: boolean;
    /** Buffers begin just before a page whose bit begins a word of the log. */
    readonly wordEdge?: boolean;
    readonly inFlight?: number;
    /** A ring goes round its end once, just before the migration is over. */
    readonly wrap?: boolean;
    /** The VMM asks what it must not. */
    readonly probes?: boolean;
  };
}
