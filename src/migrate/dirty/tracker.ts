import type { Awaitable } from '../../uapi/device.js';
import type { PageBitmap } from './page-bitmap.js';

/** Bytes of a page in every tracker. */
export const PAGE = 4096;

/** Who writes what a tracker sees: vCPUs, or devices by DMA. A VM needs a tracker for each. */
export type Writers = 'vCPUs' | 'devices' | 'all';

/**
 * Finds out which pages of guest RAM are written. A round of a migration is: `sync` into the migration's
 * bitmap, then for pages of it `beforeRead`, clear the bit, read. What is written after the read is in a
 * later sync.
 *
 * Trackers behave as the real ones, also in what they report too much. A request that the real one would
 * refuse is refused with its error number, by a `DeviceError`.
 */
export interface DirtyTracker {
  readonly name: string;
  /**
   * When a sync is of use: at any time, or only with its writers stopped, because it reports all pages
   * and no round before would come closer to the end. `always` unless given.
   */
  readonly syncs?: 'always' | 'when-stopped';
  /** Switches tracking on; earlier writes do not count. */
  start(): Awaitable<void>;
  /** Switches tracking off; what was not harvested is gone. */
  stop(): Awaitable<void>;
  /**
   * A write of one of its writers: `length` bytes from a guest physical address on. Called for every one,
   * also while tracking is off. Whoever writes by a tracker's own means (a device that logs by itself) is
   * not marked here.
   * @throws RangeError outside RAM
   */
  mark(address: number, length: number): void;
  /**
   * Adds the pages written since the last sync, and returns how many are new in `into`.
   * @throws DeviceError when tracking is off and the real one cannot be asked then; when a device fails
   */
  sync(into: PageBitmap): Awaitable<number>;
  /**
   * Has to be called, where it is there, before pages of the last sync are read: sync has reported them
   * without looking out for their next write, and would report them again and again.
   */
  beforeRead?(first: number, count: number): void;
}

/** The last page that a write touches. @throws RangeError outside RAM */
export function lastPage(address: number, length: number, pages: number): number {
  const last = Math.floor((address + length - 1) / PAGE);
  if (address >= 0 && last < pages) return last;
  throw new RangeError(
    `dirty tracker: expected addresses below 0x${(pages * PAGE).toString(16)}, got ${length} bytes at ${
      address < 0 ? address : `0x${address.toString(16)}`
    }`,
  );
}
