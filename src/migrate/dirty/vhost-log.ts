import { DeviceError } from '../../uapi/device.js';
import { VHOST_LOG_PAGE, vhostLogBytes } from '../../uapi/vhost-log.js';
import { PageBitmap } from './page-bitmap.js';
import type { DirtyTracker } from './tracker.js';

/**
 * The back end's side of the vhost dirty log: two gates, which are independent, and bits that it only ever
 * sets. Pages are those of guest physical addresses.
 */
export class VhostLog {
  /** VHOST_F_LOG_ALL: writes to buffers are logged. */
  logAll = false;
  /** VHOST_VRING_F_LOG: writes to the used ring are logged. */
  logRing = false;
  /** Writes whose bit would have been outside the log. The back end does not hear of them. */
  lost = 0;
  #log: Uint8Array | null = null;

  /** VHOST_SET_LOG_BASE: the memory of the log, which the VMM shares; null takes it away. */
  setLogBase(log: Uint8Array | null): void {
    this.#log = log;
  }

  /**
   * VHOST_SET_FEATURES, of a ring that runs.
   * @throws DeviceError EFAULT when there is no log to write to
   */
  setLogAll(on: boolean): void {
    if (on) this.#needLog();
    this.logAll = on;
  }

  /**
   * VHOST_SET_VRING_ADDR, of a ring that runs.
   * @throws DeviceError EFAULT when there is no log to write to
   */
  setLogRing(on: boolean): void {
    if (on) this.#needLog();
    this.logRing = on;
  }

  /** A buffer was written. */
  writeBuffer(address: number, length: number): void {
    if (this.logAll) this.#write(address, length);
  }

  /** The used ring was written: elements, index, flags, or the event index behind it. */
  writeUsed(address: number, length: number): void {
    if (this.logRing) this.#write(address, length);
  }

  #write(address: number, length: number): void {
    if (length <= 0) return;
    const log = this.#log;
    const last = Math.floor((address + length - 1) / VHOST_LOG_PAGE);
    for (let page = Math.floor(address / VHOST_LOG_PAGE); page <= last; page++) {
      const byte = Math.floor(page / 8);
      if (log === null || byte >= log.length) this.lost++;
      else log[byte]! |= 1 << (page & 7);
    }
  }

  #needLog(): void {
    if (this.#log === null) throw new DeviceError('EFAULT', 'there is no log base');
  }
}

/** The vhost log as a VMM uses it. */
export class VhostLogTracker implements DirtyTracker {
  readonly name: string;
  readonly vhost = new VhostLog();
  readonly #pages: number;
  #log: Uint8Array | null = null;
  /** What was in logs that were replaced. */
  readonly #old: PageBitmap;

  constructor(name: string, { pages }: { pages: number }) {
    this.name = name;
    this.#pages = pages;
    this.#old = new PageBitmap(pages);
  }

  /** The order of a VMM: first the log, then the gates that lead to it. */
  start(): void {
    if (this.#log !== null) return;
    this.#log = new Uint8Array(vhostLogBytes(this.#pages * VHOST_LOG_PAGE));
    this.vhost.setLogBase(this.#log);
    this.vhost.setLogAll(true);
    this.vhost.setLogRing(true);
  }

  stop(): void {
    this.vhost.setLogAll(false);
    this.vhost.setLogRing(false);
    this.vhost.setLogBase(null);
    this.#log = null;
    this.#old.clearAll();
  }

  mark(address: number, length: number): void {
    this.vhost.writeBuffer(address, length);
  }

  /** Nothing while there is no log. */
  sync(into: PageBitmap): number {
    if (this.#log !== null) this.#old.mergeFrom(this.#log);
    return into.mergeFrom(this.#old);
  }

  /**
   * Replaces the log, as when memory is plugged in or out, by one that covers addresses below `end`: the
   * new one is in place before the old one is harvested.
   */
  replaceLog(end: number): void {
    const old = this.#log;
    if (old === null) return;
    this.#log = new Uint8Array(vhostLogBytes(end));
    this.vhost.setLogBase(this.#log);
    this.#old.mergeFrom(old);
  }
}
