import type { TraceEvent } from '../trace/event.js';
import type { Device } from '../uapi/device.js';
import type { OptionalCall } from '../uapi/optional-call.js';

/** The target cannot be used: what is missing, where, and what to do. The message is one line for people. */
export class TargetError extends Error {
  override readonly name = 'TargetError';
}

/** How a target's device is opened. */
export interface OpenOptions {
  /** Hears of each DMA write of the device, where the interface shows them; bytes. */
  dmaWrite?(iova: number, length: number): void;
}

/** A live device under test, reached over some interface. */
export interface Target {
  /** As the user wrote it, such as `vfio-user:/run/vf.sock`. */
  readonly uri: string;
  /** The profile (`machines/profiles.ts`) whose deviations this kind of target is known for; undefined: none. */
  readonly profile: string | undefined;
  /** What the interface has no form for. Known once the device was opened. */
  readonly lacks: ReadonlySet<OptionalCall>;
  /** Whole migrations with a guest that uses the device; null where nobody can be the guest. */
  readonly guest: GuestRig | null;
  /**
   * Opens the device, as an open of its file or a connection does. It is in RUNNING, unless the
   * implementation keeps its state over a close. After `close` it may be opened again.
   * @throws TargetError when it is not there, not permitted, or cannot migrate
   */
  open(options?: OpenOptions): Promise<Device>;
  /** Closes the device, and all that `open` made; nothing happens when it is not open. */
  close(): Promise<void>;
}

/** Plays migrations of a VM whose guest uses a device like the target's. */
export interface GuestRig {
  /** Names of the scenarios, such as `there-and-back`. */
  readonly scenarios: readonly string[];
  /**
   * Plays one, on devices of its own, and tells all that happens.
   * @returns why it ended before its end, or null
   */
  play(scenario: string, emit: (event: TraceEvent) => void): Promise<string | null>;
}
