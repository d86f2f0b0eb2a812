import { DeviceError } from '../../uapi/device.js';
import { KVM_DIRTY_GFN, KVM_DIRTY_GFN_FLAGS, KVM_DIRTY_RING_ENTRIES } from '../../uapi/kvm.js';

const { EMPTY, DIRTY, RESET } = KVM_DIRTY_GFN_FLAGS;
/** 32-bit words of an entry. */
const ENTRY = KVM_DIRTY_GFN.size / 4;
/** Least bytes of a ring: a page of the host. */
const LEAST_BYTES = 4096;

/**
 * The dirty ring of a vCPU, as KVM and user space share it. KVM makes an empty entry dirty (push), user
 * space harvests dirty ones in order, KVM makes harvested ones empty again (reset).
 */
export class DirtyRing {
  /** Entries. */
  readonly size: number;
  /** Entries in use from which on the vCPU does not enter the guest. */
  readonly softLimit: number;
  readonly #words: Uint32Array;
  /** Running counters; the entry is the counter modulo size. */
  #pushed = 0;
  #harvested = 0;
  #reset = 0;

  /**
   * KVM_CAP_DIRTY_LOG_RING, for one vCPU.
   * @param bytes size of the ring
   * @param reserved entries that stay free at the soft limit beside KVM's own: those of a page-modification log
   * @throws DeviceError EINVAL when the size is no power of two, or too small; E2BIG for too many entries
   */
  constructor(bytes: number, reserved = 0) {
    const kept = KVM_DIRTY_RING_ENTRIES.reserved + reserved;
    const least = Math.max(LEAST_BYTES, kept * KVM_DIRTY_GFN.size);
    if (!Number.isInteger(bytes) || bytes < least || !Number.isInteger(Math.log2(bytes)))
      throw new DeviceError(
        'EINVAL',
        `a dirty ring of ${bytes} bytes: expected a power of two from ${least} on`,
      );
    this.size = bytes / KVM_DIRTY_GFN.size;
    if (this.size > KVM_DIRTY_RING_ENTRIES.most)
      throw new DeviceError('E2BIG', `${this.size} entries; at most ${KVM_DIRTY_RING_ENTRIES.most} are had`);
    this.softLimit = this.size - kept;
    this.#words = new Uint32Array(bytes / 4);
  }

  /** Entries between KVM's two ends: dirty ones, and harvested ones that were not reset. */
  get used(): number {
    return this.#pushed - this.#reset;
  }

  /** Whether the vCPU has to exit with KVM_EXIT_DIRTY_RING_FULL. */
  get softFull(): boolean {
    return this.used >= this.softLimit;
  }

  /** Flags, slot and offset of the entry at a place of the ring. */
  entry(index: number): { flags: number; slot: number; offset: number } {
    const at = (index % this.size) * ENTRY;
    const words = this.#words;
    return {
      flags: words[at]!,
      slot: words[at + 1]!,
      offset: words[at + 2]! + words[at + 3]! * 0x1_0000_0000,
    };
  }

  /** KVM: a page of a slot was written. The soft limit has left room for it. */
  push(slot: number, offset: number): void {
    const at = (this.#pushed % this.size) * ENTRY;
    const words = this.#words;
    if (this.used >= this.size || words[at] !== EMPTY) throw new RangeError('dirty ring: no entry is empty');
    words[at + 1] = slot;
    words[at + 2] = offset >>> 0;
    words[at + 3] = Math.floor(offset / 0x1_0000_0000);
    // The flags come last: who sees them sees the rest.
    words[at] = DIRTY;
    this.#pushed++;
  }

  /** User space: takes all dirty entries, in order; returns how many. */
  harvest(each: (slot: number, offset: number) => void): number {
    const before = this.#harvested;
    const words = this.#words;
    for (let at = this.#userAt; words[at] === DIRTY; at = this.#userAt) {
      each(words[at + 1]!, words[at + 2]! + words[at + 3]! * 0x1_0000_0000);
      words[at] = RESET;
      this.#harvested++;
    }
    return this.#harvested - before;
  }

  /** KVM_RESET_DIRTY_RINGS, for this ring: up to the first entry that was not harvested; returns how many. */
  reset(each: (slot: number, offset: number) => void): number {
    const before = this.#reset;
    const words = this.#words;
    while (this.#reset < this.#pushed) {
      const at = (this.#reset % this.size) * ENTRY;
      if ((words[at]! & RESET) === 0) break;
      words[at] = EMPTY;
      this.#reset++;
      each(words[at + 1]!, words[at + 2]! + words[at + 3]! * 0x1_0000_0000);
    }
    return this.#reset - before;
  }

  get #userAt(): number {
    return (this.#harvested % this.size) * ENTRY;
  }
}
