import { DeviceError } from '../../uapi/device.js';
import { PML_ENTRIES } from '../../uapi/kvm.js';
import { DirtyRing } from './dirty-ring.js';
import { PageBitmap } from './page-bitmap.js';
import { PmlBuffer } from './pml-buffer.js';
import { WriteTrap } from './write-trap.js';

/** How the rings are set up. */
export interface RingOptions {
  /** Pages of the one slot; its first page is page 0 of guest RAM. */
  pages: number;
  /** Number of vCPUs; 1 unless given. */
  vcpus?: number | undefined;
  /** Bytes of each ring; 65536 unless given, which is 4096 entries. */
  ringBytes?: number | undefined;
  /** Writes are seen by page-modification logging instead of write protection. */
  pml?: boolean | undefined;
  /** KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP: writes without a vCPU go to a bitmap. */
  withBitmap?: boolean | undefined;
}

const RING_BYTES = 65536;

/** The number of the one slot. */
const SLOT = 0;

/** A VM whose KVM logs dirty pages in rings, one a vCPU, at the boundary of the ioctls. */
export class KvmRings {
  readonly pages: number;
  readonly rings: readonly DirtyRing[];
  readonly pml: readonly PmlBuffer[];
  /** KVM_EXIT_DIRTY_RING_FULL so far. */
  fullExits = 0;
  readonly #withBitmap: boolean;
  readonly #onFull: (vcpu: number) => void;
  readonly #trap: WriteTrap;
  #backup: PageBitmap | null = null;
  #logging = false;

  /**
   * @param onFull the VMM's answer to KVM_EXIT_DIRTY_RING_FULL of a vCPU: it has to harvest and reset
   * @throws DeviceError when a ring of this size cannot be
   */
  constructor(options: RingOptions, onFull: (vcpu: number) => void) {
    const { pages, vcpus = 1, ringBytes = RING_BYTES, pml = false, withBitmap = false } = options;
    this.pages = pages;
    this.#withBitmap = withBitmap;
    this.#onFull = onFull;
    const each = <T>(make: (vcpu: number) => T) => Array.from({ length: vcpus }, (_, vcpu) => make(vcpu));
    this.rings = each(() => new DirtyRing(ringBytes, pml ? PML_ENTRIES : 0));
    this.pml = pml ? each((vcpu) => new PmlBuffer((page) => this.#ring(vcpu).push(SLOT, page))) : [];
    this.#trap = new WriteTrap(pages, (page, vcpu) => {
      if (pml) this.pml[vcpu]!.log(page);
      else this.#ring(vcpu).push(SLOT, page);
      this.#enter(vcpu);
    });
  }

  /** Writes that cost the guest a fault, or an entry of its log. */
  get trapped(): number {
    return this.#trap.trapped;
  }

  /** Whether the next write to a page goes unseen. */
  isOpen(page: number): boolean {
    return this.#trap.isOpen(page);
  }

  /** KVM_SET_USER_MEMORY_REGION with or without KVM_MEM_LOG_DIRTY_PAGES. Entries in the rings stay there. */
  setLogDirtyPages(on: boolean): void {
    if (on === this.#logging) return;
    this.#logging = on;
    for (const buffer of this.pml) buffer.reset();
    this.#backup = on && this.#withBitmap ? new PageBitmap(this.pages) : null;
    if (on) this.#trap.armAll();
    else this.#trap.openAll();
  }

  /** A vCPU writes. @throws RangeError outside the slot, or when there is no such vCPU */
  write(address: number, length: number, vcpu = 0): void {
    this.#ring(vcpu);
    this.#trap.write(address, length, vcpu);
  }

  /** KVM writes to a page for nobody's vCPU, such as the state of a virtual interrupt controller. */
  kernelWrite(page: number): void {
    this.#backup?.set(page);
  }

  /** Every vCPU leaves the guest for a moment: what its page-modification log holds comes into its ring. */
  kick(): void {
    for (const [vcpu, buffer] of this.pml.entries()) {
      buffer.flush();
      this.#enter(vcpu);
    }
  }

  /** KVM_RESET_DIRTY_RINGS: harvested entries are empty again, and their pages armed; returns how many. */
  resetRings(): number {
    let sum = 0;
    for (const ring of this.rings)
      sum += ring.reset((_slot, page) => {
        if (this.#logging && page < this.pages) this.#trap.arm(page);
      });
    return sum;
  }

  /**
   * KVM_GET_DIRTY_LOG: what was written without a vCPU; it is clean then.
   * @throws DeviceError ENXIO when there are rings only; ENOENT while the slot does not log
   */
  getDirtyLog(into: PageBitmap): void {
    if (!this.#withBitmap) throw new DeviceError('ENXIO', 'dirty pages are in rings, not in a bitmap');
    if (this.#backup === null) throw new DeviceError('ENOENT', 'the memory slot does not log dirty pages');
    into.clearAll();
    into.mergeFrom(this.#backup);
  }

  /** A vCPU goes on only below the soft limit of its ring. */
  #enter(vcpu: number): void {
    const ring = this.#ring(vcpu);
    if (!ring.softFull) return;
    this.fullExits++;
    this.#onFull(vcpu);
    if (ring.softFull)
      throw new Error(`vCPU ${vcpu} cannot go on: its dirty ring is full, and was not harvested and reset`);
  }

  #ring(vcpu: number): DirtyRing {
    const ring = this.rings[vcpu];
    if (ring === undefined) throw new RangeError(`expected a vCPU below ${this.rings.length}, got ${vcpu}`);
    return ring;
  }
}
