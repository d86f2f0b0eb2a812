import type { EventOf } from '../trace/event.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import type { VhostInterface } from '../uapi/vhost-backend.js';
import { VHOST_LOG_PAGE, type VhostWrite } from '../uapi/vhost-log.js';
import { hasFeature, USED, VIRTIO_FEATURES } from '../uapi/virtio.js';

export type Address = number | string;

/** The page of an address, counted from guest physical address 0. Exact also where text stands for large numbers. */
export function pageOf(address: Address, offset = 0): number {
  if (typeof address === 'number') return Math.floor((address + offset) / VHOST_LOG_PAGE);
  return Number((BigInt(address) + BigInt(offset)) / BigInt(VHOST_LOG_PAGE));
}

/** What is known of a ring. */
interface Ring {
  num: number | undefined;
  logGuestAddr: Address | undefined;
  /** VHOST_VRING_F_LOG; undefined: not known. */
  flag: boolean | undefined;
  /** Where the run of used elements under way has ended, from the used part. */
  usedEnd: number | undefined;
}

/** Most rings and regions of a device that are remembered. */
const MAX_RINGS = 1024;
const MAX_REGIONS = 512;

/** What a trace has told about a back end's dirty log: its switches, where it is, and which rings run. */
export class LoggedDevice {
  via: VhostInterface | undefined;
  /** The trace shows the device from its beginning. */
  opened = false;
  /** VHOST_F_LOG_ALL is acknowledged; undefined: not known. */
  logAll: boolean | undefined;
  /** VIRTIO_F_ACCESS_PLATFORM: addresses are those of an IOTLB. */
  iotlb = false;
  log: 'none' | 'given' | undefined;
  /** Bytes of the log, where they were told. */
  logBytes: number | undefined;
  readonly rings = new Map<number, Ring>();
  /** Rings that run, and those of which it was seen that they did. */
  readonly running = new Set<number>();
  readonly ran = new Set<number>();
  #regions: { start: number; end: number }[] | undefined = [];

  open(): void {
    this.opened = true;
    this.logAll = false;
    this.iotlb = false;
    this.#reset();
    this.ran.clear();
  }

  /** RESET_OWNER: everything is as after the open. */
  resetOwner(): void {
    this.logAll = this.logAll === undefined ? undefined : false;
    this.#reset();
  }

  #reset(): void {
    this.log = 'none';
    this.logBytes = undefined;
    this.rings.clear();
    this.running.clear();
    this.#regions = [];
  }

  ring(index: number): Ring {
    const known = this.rings.get(index);
    if (known) return known;
    const flag = this.opened ? false : undefined;
    const made: Ring = { num: undefined, logGuestAddr: undefined, flag, usedEnd: undefined };
    if (this.rings.size < MAX_RINGS) this.rings.set(index, made);
    return made;
  }

  setFeatures({ features }: EventOf<'vhost_set_features'>): void {
    const word = features === undefined ? undefined : BigInt(features);
    this.logAll = word === undefined ? undefined : hasFeature(word, VHOST_FEATURES.LOG_ALL);
    if (word !== undefined) this.iotlb = hasFeature(word, VIRTIO_FEATURES.ACCESS_PLATFORM);
  }

  setAddr({ index, log, logGuestAddr }: EventOf<'vring_addr'>): void {
    const ring = this.ring(index);
    ring.flag = log;
    ring.logGuestAddr = logGuestAddr;
  }

  setMemory({ change = 'table', regions }: EventOf<'vhost_mem_table'>): void {
    const pages = regions?.map(({ gpa, size }) => ({
      start: pageOf(gpa),
      end: pageOf(gpa) + pageOf(size, VHOST_LOG_PAGE - 1),
    }));
    if (change === 'table') this.#regions = pages;
    else if (pages === undefined || this.#regions === undefined) this.#regions = undefined;
    else if (change === 'add') this.#regions = [...this.#regions, ...pages].slice(0, MAX_REGIONS);
    else {
      const gone = new Set(pages.map(({ start, end }) => `${start} ${end}`));
      this.#regions = this.#regions.filter(({ start, end }) => !gone.has(`${start} ${end}`));
    }
  }

  runs(index: number): void {
    if (this.ran.size >= MAX_RINGS && !this.ran.has(index)) return;
    this.ran.add(index);
    this.running.add(index);
  }

  /** Some ring was seen to run, and now none does. */
  get isStopped(): boolean {
    return this.ran.size > 0 && this.running.size === 0;
  }

  /** Some switch of the log is on. */
  get anyGate(): boolean {
    if (this.logAll) return true;
    for (const { flag } of this.rings.values()) if (flag) return true;
    return false;
  }

  /** Every switch of the log is on, of all rings that are known. */
  get allGates(): boolean {
    if (!this.logAll || this.rings.size === 0) return false;
    for (const { flag } of this.rings.values()) if (!flag) return false;
    return true;
  }

  /** Whether the switches that a write depends on are on; undefined: not known, or not certain for such a write. */
  gateOf(what: VhostWrite, index: number | undefined): boolean | undefined {
    if (what === 'buffer') return this.logAll;
    const flag = this.flagOf(index);
    // No text says which switch a packed ring has: the page is missing only when both are on.
    if (what === 'desc' || what === 'device_event') return (this.logAll && flag) || undefined;
    if (what === 'unknown' || index === undefined) return this.allGates || undefined;
    return flag;
  }

  /** The number of pages, from 0, that the log has to have for memory and used rings; undefined: not known. */
  get pagesNeeded(): number | undefined {
    if (this.#regions === undefined) return undefined;
    let end = 0;
    for (const region of this.#regions) end = Math.max(end, region.end);
    // With an IOTLB, log_guest_addr is not looked at.
    if (this.iotlb) return end;
    for (const { flag, num, logGuestAddr } of this.rings.values())
      if (flag && num !== undefined && logGuestAddr !== undefined)
        end = Math.max(end, pageOf(logGuestAddr, USED.event(num) - 1) + 1);
    return end;
  }

  /** Whether a page is guest memory; undefined: not known. */
  isMemory(page: number): boolean | undefined {
    return this.#regions?.some(({ start, end }) => page >= start && page < end);
  }

  /** The log flag of a ring; undefined: not known. */
  flagOf(index: number | undefined): boolean | undefined {
    return index === undefined ? undefined : this.rings.get(index)?.flag;
  }

  /** The switches that are on, in words. */
  get gatesOn(): string[] {
    const flags = [...this.rings]
      .filter(([, { flag }]) => flag)
      .map(([index]) => `the log flag of ring ${index}`);
    return [...(this.logAll ? ['LOG_ALL'] : []), ...flags.slice(0, 8)];
  }
}

/** Both switches, in words. */
export function gateWords(
  logAll: boolean | undefined,
  index: number | undefined,
  flag: boolean | undefined,
): string {
  const ofRing = index === undefined ? '' : `, log flag of ring ${index} ${onOff(flag)}`;
  return `LOG_ALL ${onOff(logAll)}${ofRing}`;
}

const onOff = (on: boolean | undefined): string => (on === undefined ? 'not known' : on ? 'on' : 'off');
