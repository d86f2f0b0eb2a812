import { DeviceError } from '../../uapi/device.js';
import { KVM_DIRTY_LOG_PAGES } from '../../uapi/kvm.js';
import { PageBitmap } from './page-bitmap.js';
import { PmlBuffer } from './pml-buffer.js';
import { WriteTrap } from './write-trap.js';

/** How the dirty log of a slot works. */
export interface MemslotOptions {
  /** Pages of the slot; its first page is page 0 of guest RAM. */
  pages: number;
  /**
   * KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: GET only reads, CLEAR clears and protects. With `initially-set` all
   * pages are dirty at first and none is protected.
   */
  manualProtect?: 'enable' | 'initially-set' | undefined;
  /** Writes are seen by page-modification logging instead of write protection. */
  pml?: boolean | undefined;
  /** Number of vCPUs; 1 unless given. */
  vcpus?: number | undefined;
}

/**
 * A memory slot of KVM with its dirty log, at the boundary of the ioctls. While it logs, each page that is
 * not dirty is armed: a write that the log does not have yet cannot get by unseen.
 */
export class KvmMemslot {
  readonly pages: number;
  /** One a vCPU; empty without page-modification logging. */
  readonly pml: readonly PmlBuffer[];
  readonly #manualProtect: MemslotOptions['manualProtect'];
  readonly #trap: WriteTrap;
  /** The dirty bitmap; null while the slot does not log. */
  #dirty: PageBitmap | null = null;

  constructor({ pages, manualProtect, pml = false, vcpus = 1 }: MemslotOptions) {
    this.pages = pages;
    this.#manualProtect = manualProtect;
    const marked = (page: number) => this.#dirty?.set(page);
    this.pml = pml ? Array.from({ length: vcpus }, () => new PmlBuffer(marked)) : [];
    this.#trap = new WriteTrap(pages, pml ? (page, vcpu) => this.#buffer(vcpu).log(page) : marked);
  }

  /** Writes that cost the guest a fault, or an entry of its log. */
  get trapped(): number {
    return this.#trap.trapped;
  }

  /** Whether the next write to a page goes unseen. */
  isOpen(page: number): boolean {
    return this.#trap.isOpen(page);
  }

  /** KVM_SET_USER_MEMORY_REGION with or without KVM_MEM_LOG_DIRTY_PAGES; nothing happens when it stays. */
  setLogDirtyPages(on: boolean): void {
    if (on === (this.#dirty !== null)) return;
    for (const buffer of this.pml) buffer.reset();
    this.#trap.openAll();
    this.#dirty = on ? new PageBitmap(this.pages) : null;
    if (!on) return;
    if (this.#manualProtect === 'initially-set') this.#dirty?.setAll();
    else this.#trap.armAll();
  }

  /** A vCPU writes. @throws RangeError outside the slot */
  write(address: number, length: number, vcpu = 0): void {
    this.#trap.write(address, length, vcpu);
  }

  /** KVM itself writes to a page, such as for an emulated instruction: marked past all page tables. */
  kernelWrite(page: number): void {
    this.#dirty?.set(page);
  }

  /**
   * KVM_GET_DIRTY_LOG: overwrites `into` with the dirty pages. Without manual protection they are clean then
   * and armed.
   * @throws DeviceError ENOENT while the slot does not log
   */
  getDirtyLog(into: PageBitmap): void {
    const dirty = this.#logging();
    this.#kick();
    into.clearAll();
    if (this.#manualProtect !== undefined) {
      into.orFrom(dirty);
      return;
    }
    this.#trap.armMany(dirty);
    into.mergeFrom(dirty);
  }

  /**
   * KVM_CLEAR_DIRTY_LOG: of the pages from `first` on, those are clean then and armed that are dirty and
   * have a bit in `pages`, a bitmap of the whole slot.
   * @throws DeviceError ENOENT while the slot does not log; EINVAL when `first`, or `count` before the end of
   * the slot, is no multiple of 64, or the range goes beyond the slot
   */
  clearDirtyLog(first: number, count: number, pages: PageBitmap): void {
    const dirty = this.#logging();
    const end = first + count;
    const whole = count % KVM_DIRTY_LOG_PAGES === 0 || end === this.pages;
    if (first % KVM_DIRTY_LOG_PAGES !== 0 || !whole || first < 0 || count < 0 || end > this.pages)
      throw new DeviceError(
        'EINVAL',
        `${count} pages from page ${first}: expected multiples of ${KVM_DIRTY_LOG_PAGES} within ${this.pages} pages`,
      );
    this.#kick();
    // A page that is open is dirty, so the bits of the clean ones change nothing.
    this.#trap.armMany(pages, first, count);
    dirty.remove(pages, first, count);
  }

  #logging(): PageBitmap {
    if (this.#dirty === null) throw new DeviceError('ENOENT', 'the memory slot does not log dirty pages');
    return this.#dirty;
  }

  /** Every vCPU leaves the guest for a moment, and so gives up its buffer. */
  #kick(): void {
    for (const buffer of this.pml) buffer.flush();
  }

  #buffer(vcpu: number): PmlBuffer {
    const buffer = this.pml[vcpu];
    if (buffer === undefined) throw new RangeError(`expected a vCPU below ${this.pml.length}, got ${vcpu}`);
    return buffer;
  }
}
