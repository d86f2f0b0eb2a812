import { type Linux, type Mapping, OPEN } from '../../linux/index.js';
import type { KvmMemslotCall } from '../../machines/kvm-dirty-calls.js';
import { DeviceError } from '../../uapi/device.js';
import { ERRNO } from '../../uapi/errno.js';
import { KVM_PAGE } from '../../uapi/kvm.js';
import {
  KVM_API_VERSION,
  KVM_CAPS,
  KVM_EXIT,
  KVM_IOCTLS,
  KVM_LIMIT_CAPS,
  KVM_MEM,
  KvmClearDirtyLog,
  type KvmDirtyCap,
  KvmDirtyLog,
  KvmEnableCap,
  KvmMemoryRegion,
} from '../../uapi/kvm-vm.js';
import { TargetError } from '../target.js';
import { Alarm } from './alarm.js';
import { GUEST_CODE, type GuestAccess, putGuestCode, putGuestList } from './guest-code.js';
import { type DirtyGfn, type KvmExit, Vcpu } from './vcpu.js';

export const KVM_FILE = '/dev/kvm';
const PAGE = KVM_PAGE;
/** The slot of the guest's own memory, which does not log: nobody else uses its number. */
const CODE_SLOT = 500;
/** Where the three pages are that older Intel processors need for real mode: out of the way. */
const TSS_ADDRESS = 0xfffbd000;
/** How long the guest may take for some thousand instructions, in milliseconds: emulated, on a busy host. */
const RUN_MS = 5000;
/** An address that no process has memory at. */
const NOWHERE = 0x1000n;
/** What stands in a buffer before KVM writes a bitmap into it. */
const FILLER = 0xa5;

/** KVM_SET_USER_MEMORY_REGION; addresses and sizes in bytes. */
export interface SlotRequest {
  /** as_id << 16 | slot. */
  readonly slot: number;
  readonly gpa: number;
  /** 0 takes the slot away. */
  readonly size: number;
  readonly log: boolean;
  readonly readonly?: boolean;
  /** Where its memory is in this process; the default is that of the guest address (`userAddress`). */
  readonly uaddr?: number;
}

/** What a run of the guest came to. */
export interface GuestRun {
  /** Pages (guest physical address over 4096) that now hold what was to be written, in the order of the list. */
  readonly written: readonly number[];
  /** Each return of KVM_RUN; the last one is a halt, a full ring, or a failure. */
  readonly exits: readonly KvmExit[];
}

/** A VM of this host's KVM with up to 960 KiB of memory, whose guest touches the pages that it is told to. */
export class KvmVm {
  readonly #linux: Linux;
  readonly #vm: number;
  readonly #runBytes: number;
  readonly #alarm: Alarm;
  /** All of guest memory, from address 0. */
  readonly #memory: Mapping;
  /** Where bitmaps go to and come from: room for more than all pages. */
  readonly #bitmap: Mapping;
  readonly #vcpus: Vcpu[] = [];
  readonly #slots = new Map<number, { gpa: number; size: number; uaddr: number }>();
  #ringBytes = 0;

  private constructor(linux: Linux, vm: number, runBytes: number) {
    this.#linux = linux;
    this.#vm = vm;
    this.#runBytes = runBytes;
    this.#alarm = new Alarm(linux, RUN_MS);
    this.#memory = linux.mmap(-1, { length: GUEST_CODE.gpa + GUEST_CODE.size });
    this.#bitmap = linux.mmap(-1, { length: PAGE });
  }

  /**
   * Makes a VM.
   * @throws TargetError when this host's KVM cannot be used
   */
  static open(linux: Linux): KvmVm {
    if (process.arch !== 'x64')
      throw new TargetError(`${KVM_FILE}: the guest's code is for x86-64, and this is ${process.arch}`);
    const kvm = openKvm(linux);
    try {
      const version = linux.ioctl(kvm, KVM_IOCTLS.KVM_GET_API_VERSION);
      if (version !== KVM_API_VERSION)
        throw new TargetError(
          `${KVM_FILE}: version ${version} of its interface; known is ${KVM_API_VERSION}`,
        );
      const runBytes = linux.ioctl(kvm, KVM_IOCTLS.KVM_GET_VCPU_MMAP_SIZE);
      const fd = linux.ioctl(kvm, KVM_IOCTLS.KVM_CREATE_VM, 0, 'KVM_CREATE_VM');
      const vm = new KvmVm(linux, fd, runBytes);
      vm.#prepare();
      return vm;
    } catch (error) {
      if (error instanceof DeviceError) throw new TargetError(`${KVM_FILE}: ${error.message}`);
      throw error;
    } finally {
      linux.close(kvm);
    }
  }

  #prepare(): void {
    putGuestCode(this.#own);
    try {
      this.#ioctl('KVM_SET_TSS_ADDR', TSS_ADDRESS);
    } catch {
      // Processors of other makers need none, and some KVMs then have no such call.
    }
    this.setSlot(this.codeSlot);
  }

  /** The slot that the VM has for itself. */
  get codeSlot(): KvmMemslotCall {
    const { gpa, size } = GUEST_CODE;
    return { call: 'memslot', slot: CODE_SLOT, log: false, gpa, size, uaddr: this.userAddress(gpa) };
  }

  get #own(): Uint8Array {
    return this.#memory.bytes.subarray(GUEST_CODE.gpa);
  }

  get vcpus(): number {
    return this.#vcpus.length;
  }

  /** KVM_CHECK_EXTENSION: 0 when it is not there; what else it says depends on the capability. */
  check(capability: KvmDirtyCap): number {
    return this.#ioctl('KVM_CHECK_EXTENSION', KVM_CAPS[capability]);
  }

  /** Memory slots and address spaces that a VM can have. */
  limits(): { slots: number; addressSpaces: number } {
    const { memory_slots, address_spaces } = KVM_LIMIT_CAPS;
    const ask = (capability: number) => this.#ioctl('KVM_CHECK_EXTENSION', capability);
    return { slots: ask(memory_slots), addressSpaces: Math.max(1, ask(address_spaces)) };
  }

  /** KVM_ENABLE_CAP on the VM. @throws DeviceError */
  enableCap(capability: KvmDirtyCap, argument: number, flags = 0): void {
    const rest = new Uint8Array(88);
    this.#ioctl(
      'KVM_ENABLE_CAP',
      KvmEnableCap.encode({ cap: KVM_CAPS[capability], flags, args: BigInt(argument), rest }),
    );
    if (capability === 'dirty_ring' || capability === 'dirty_ring_acq_rel') this.#ringBytes = argument;
  }

  /** @throws DeviceError */
  setSlot({ slot, gpa, size, log, readonly = false, uaddr = this.userAddress(gpa) }: SlotRequest): void {
    const flags = (log ? KVM_MEM.LOG_DIRTY_PAGES : 0) | (readonly ? KVM_MEM.READONLY : 0);
    this.#ioctl(
      'KVM_SET_USER_MEMORY_REGION',
      KvmMemoryRegion.encode({
        slot,
        flags,
        guest_phys_addr: BigInt(gpa),
        memory_size: BigInt(size),
        userspace_addr: BigInt(uaddr),
      }),
    );
    if (size === 0) this.#slots.delete(slot);
    else this.#slots.set(slot, { gpa, size, uaddr });
  }

  /** KVM_CREATE_VCPU, in real mode. Its number. @throws DeviceError */
  createVcpu(): number {
    const index = this.#vcpus.length;
    const fd = this.#ioctl('KVM_CREATE_VCPU', index);
    const options = { index, runBytes: this.#runBytes, ringBytes: this.#ringBytes };
    this.#vcpus.push(new Vcpu(this.#linux, fd, options));
    return index;
  }

  /**
   * KVM_GET_DIRTY_LOG.
   * @param pages pages of the slot
   * @param nowhere gives an address at which nothing is mapped
   * @returns pages of the slot, ascending
   * @throws DeviceError; RangeError when KVM wrote what does not belong to the slot's bitmap
   */
  getDirtyLog(slot: number, pages: number, nowhere = false): number[] {
    const { bytes, address } = this.#bitmap;
    bytes.fill(FILLER);
    const dirty_bitmap = nowhere ? NOWHERE : address;
    this.#ioctl('KVM_GET_DIRTY_LOG', KvmDirtyLog.encode({ slot, padding: 0, dirty_bitmap }));
    const size = Math.ceil(pages / 64) * 8;
    if (bytes.subarray(size).some((byte) => byte !== FILLER))
      throw new RangeError(`KVM_GET_DIRTY_LOG of ${pages} pages wrote more than ${size} bytes`);
    const found: number[] = [];
    for (let page = 0; page < size * 8; page++)
      if (((bytes[page >> 3]! >> (page & 7)) & 1) === 1) found.push(page);
    const last = found.at(-1) ?? 0;
    if (last >= pages)
      throw new RangeError(`KVM_GET_DIRTY_LOG of ${pages} pages has the bit of page ${last}`);
    return found;
  }

  /**
   * KVM_CLEAR_DIRTY_LOG.
   * @param set pages of the slot whose bits are given, within `first` and the next `count`
   * @throws DeviceError
   */
  clearDirtyLog(slot: number, first: number, count: number, set: readonly number[], nowhere = false): void {
    const { bytes, address } = this.#bitmap;
    bytes.fill(0);
    for (const page of set) {
      const bit = page - first;
      bytes[bit >> 3] = bytes[bit >> 3]! | (1 << (bit & 7));
    }
    this.#ioctl(
      'KVM_CLEAR_DIRTY_LOG',
      KvmClearDirtyLog.encode({
        slot,
        num_pages: count,
        first_page: BigInt(first),
        dirty_bitmap: nowhere ? NOWHERE : address,
      }),
    );
  }

  /** Entries of a vCPU's ring that are in use, and how many it has; nothing without rings. */
  ring(vcpu: number): { used: number; entries: number } {
    return this.#vcpu(vcpu).ring();
  }

  /** Entries of a vCPU's ring that nobody has harvested yet. */
  pending(vcpu: number): DirtyGfn[] {
    return this.#vcpu(vcpu).pending();
  }

  /** Where the memory of a guest address is in this process. */
  userAddress(gpa: number): number {
    return Number(this.#memory.address) + gpa;
  }

  /** Takes entries out of the ring of a vCPU. */
  harvest(vcpu: number, most = Number.POSITIVE_INFINITY): DirtyGfn[] {
    return this.#vcpu(vcpu).harvest(most);
  }

  /** KVM_RESET_DIRTY_RINGS. Entries that were reset. @throws DeviceError */
  resetRings(): number {
    return this.#ioctl('KVM_RESET_DIRTY_RINGS', 0);
  }

  /**
   * Lets the guest go through pages, and looks what it has written.
   * @param pages guest physical addresses over 4096, all of them in slots; at most `LONGEST_LIST`
   * @param offset where in each page
   * @throws RangeError when a page is in no slot, or in the guest's own memory
   */
  touch(vcpu: number, access: GuestAccess, pages: readonly number[], offset: number): GuestRun {
    const one = this.#vcpu(vcpu);
    const width = access === 'write_word' ? 2 : 1;
    const places = pages.flatMap((page) =>
      Array.from({ length: width }, (_, index) => {
        const gpa = page * PAGE + offset + index;
        return { page: Math.floor(gpa / PAGE), at: this.#place(gpa) };
      }),
    );
    for (const { at } of places) this.#memory.bytes[at] = 0;
    one.start(putGuestList(this.#own, access, pages, offset, 0xffff));
    const exits = this.#runToEnd(one);
    const written = places.filter(({ at }) => this.#memory.bytes[at] !== 0);
    return { written: [...new Set(written.map(({ page }) => page))], exits };
  }

  /** Where a byte of the guest stands in `#memory`. */
  #place(gpa: number): number {
    for (const [slot, { gpa: begin, size, uaddr }] of this.#slots)
      if (slot !== CODE_SLOT && gpa >= begin && gpa < begin + size)
        return uaddr - Number(this.#memory.address) + gpa - begin;
    throw new RangeError(`guest address 0x${gpa.toString(16)} is in no slot`);
  }

  /** KVM_RUN until the guest halts. I/O that is under way is ended before the registers are set anew. */
  #runToEnd(vcpu: Vcpu): KvmExit[] {
    const exits: KvmExit[] = [];
    for (;;) {
      const exit = this.#alarm.during(() => vcpu.run());
      exits.push(exit);
      if (exit.reason === KVM_EXIT.IO) vcpu.run(true);
      else return exits;
    }
  }

  /** KVM_RUN that returns before the guest runs. */
  runImmediately(vcpu: number): KvmExit {
    return this.#vcpu(vcpu).run(true);
  }

  #vcpu(index: number): Vcpu {
    const vcpu = this.#vcpus[index];
    if (vcpu === undefined) throw new DeviceError('EBADF', `there is no vCPU ${index}`);
    return vcpu;
  }

  #ioctl(name: keyof typeof KVM_IOCTLS, arg: Uint8Array | number): number {
    return this.#linux.ioctl(this.#vm, KVM_IOCTLS[name], arg, name);
  }

  close(): void {
    for (const vcpu of this.#vcpus) vcpu.close();
    this.#linux.close(this.#vm);
    this.#memory.unmap();
    this.#bitmap.unmap();
    this.#alarm.close();
  }
}

function openKvm(linux: Linux): number {
  try {
    return linux.open(KVM_FILE, OPEN.RDWR);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    throw new TargetError(`${KVM_FILE}: ${whyNot(error)}`);
  }
}

function whyNot({ errno, message }: DeviceError): string {
  switch (errno) {
    case ERRNO.ENOENT:
      return 'there is no such file: this host has no KVM (modprobe kvm_intel or kvm_amd; in a VM: nested virtualisation)';
    case ERRNO.EACCES:
    case ERRNO.EPERM:
      return 'no permission: run as root, or join the group kvm';
    case ERRNO.ENODEV:
    case ERRNO.ENXIO:
      return 'no KVM behind it: the processor offers no virtualisation, or the firmware has switched it off';
    default:
      return message;
  }
}
