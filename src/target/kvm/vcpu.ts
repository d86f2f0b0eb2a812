import type { Linux, Mapping } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import { KVM_DIRTY_GFN, KVM_DIRTY_GFN_FLAGS, KVM_PAGE } from '../../uapi/kvm.js';
import {
  KVM_DIRTY_RING_PAGE,
  KVM_EXIT,
  KVM_IOCTLS,
  KVM_RUN,
  KVM_SREGS,
  KvmRegs,
  KvmSegment,
} from '../../uapi/kvm-vm.js';
import { GUEST_CODE, type GuestStart } from './guest-code.js';

/** Why KVM_RUN has returned. */
export interface KvmExit {
  /** A value of `KVM_EXIT`; undefined when KVM_RUN failed. */
  readonly reason?: number;
  /** The errno of KVM_RUN, when it failed: EINTR after a signal, or with `immediate_exit`. */
  readonly errno?: number;
  /** Suberror of an internal error, or hardware's reason of a failed entry. */
  readonly detail?: bigint;
}

/** An entry of a dirty ring. */
export interface DirtyGfn {
  /** as_id << 16 | slot. */
  readonly slot: number;
  /** Page of the slot. */
  readonly page: number;
  readonly flags: number;
}

/** A vCPU in real mode. */
export class Vcpu {
  readonly index: number;
  readonly #linux: Linux;
  readonly #fd: number;
  readonly #run: Mapping;
  readonly #ring: Mapping | null;
  /** Entries that were harvested since the ring was made. */
  #harvested = 0;

  /** @param ringBytes size of its dirty ring, or 0 */
  constructor(
    linux: Linux,
    fd: number,
    { index, runBytes, ringBytes }: { index: number; runBytes: number; ringBytes: number },
  ) {
    this.#linux = linux;
    this.#fd = fd;
    this.index = index;
    this.#run = linux.mmap(fd, { length: runBytes });
    this.#ring =
      ringBytes === 0 ? null : linux.mmap(fd, { length: ringBytes, offset: KVM_DIRTY_RING_PAGE * KVM_PAGE });
    this.#enterRealMode();
  }

  #enterRealMode(): void {
    const sregs = new Uint8Array(KVM_SREGS.size);
    this.#linux.ioctl(this.#fd, KVM_IOCTLS.KVM_GET_SREGS, sregs, 'KVM_GET_SREGS');
    for (const at of Object.values(KVM_SREGS.segment)) {
      const segment = KvmSegment.decode(sregs, { offset: at });
      const selector = GUEST_CODE.gpa >> 4;
      sregs.set(
        KvmSegment.encode({ ...segment, base: BigInt(GUEST_CODE.gpa), selector }).subarray(0, 14),
        at,
      );
    }
    this.#linux.ioctl(this.#fd, KVM_IOCTLS.KVM_SET_SREGS, sregs, 'KVM_SET_SREGS');
  }

  /** Sets the registers for a new start of the guest. */
  start(registers: GuestStart): void {
    const none = { rax: 0n, rbx: 0n, rsp: 0n, rbp: 0n, r8_to_r15: new Uint8Array(64), rflags: 2n };
    const regs = KvmRegs.encode({ ...none, ...registers });
    this.#linux.ioctl(this.#fd, KVM_IOCTLS.KVM_SET_REGS, regs, 'KVM_SET_REGS');
  }

  /** KVM_RUN. @param immediately returns before the guest runs, with what was pending done: `immediate_exit` */
  run(immediately = false): KvmExit {
    const { bytes } = this.#run;
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    bytes[KVM_RUN.immediate_exit] = immediately ? 1 : 0;
    try {
      this.#linux.ioctl(this.#fd, KVM_IOCTLS.KVM_RUN, 0, 'KVM_RUN');
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      return { errno: error.errno };
    }
    const reason = words.getUint32(KVM_RUN.exit_reason, true);
    if (reason === KVM_EXIT.INTERNAL_ERROR)
      return { reason, detail: BigInt(words.getUint32(KVM_RUN.exit, true)) };
    if (reason === KVM_EXIT.FAIL_ENTRY) return { reason, detail: words.getBigUint64(KVM_RUN.exit, true) };
    return { reason };
  }

  /** Entries of its ring that are in use, dirty or harvested, and how many it has. */
  ring(): { used: number; entries: number } {
    if (this.#ring === null) return { used: 0, entries: 0 };
    const { bytes } = this.#ring;
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const entries = bytes.length / KVM_DIRTY_GFN.size;
    let used = 0;
    for (let entry = 0; entry < entries; entry++)
      if (
        words.getUint32(entry * KVM_DIRTY_GFN.size + KVM_DIRTY_GFN.flags, true) !== KVM_DIRTY_GFN_FLAGS.EMPTY
      )
        used++;
    return { used, entries };
  }

  /** Entries of its ring that nobody has harvested yet. */
  pending(): DirtyGfn[] {
    const found: DirtyGfn[] = [];
    for (let entry = this.#dirtyEntry(0); entry !== null; entry = this.#dirtyEntry(found.length))
      found.push(entry.gfn);
    return found;
  }

  /** Marks at most `most` entries of its ring as harvested, in their order. */
  harvest(most: number): DirtyGfn[] {
    const found: DirtyGfn[] = [];
    while (found.length < most) {
      const entry = this.#dirtyEntry(0);
      if (entry === null) break;
      found.push(entry.gfn);
      entry.words.setUint32(entry.at + KVM_DIRTY_GFN.flags, KVM_DIRTY_GFN_FLAGS.RESET, true);
      this.#harvested++;
    }
    return found;
  }

  /** An entry so many behind the last one that was harvested; null: it is not dirty. */
  #dirtyEntry(ahead: number): { gfn: DirtyGfn; words: DataView; at: number } | null {
    if (this.#ring === null) return null;
    const { bytes } = this.#ring;
    const entries = bytes.length / KVM_DIRTY_GFN.size;
    if (ahead >= entries) return null;
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = ((this.#harvested + ahead) % entries) * KVM_DIRTY_GFN.size;
    const flags = words.getUint32(at + KVM_DIRTY_GFN.flags, true);
    if (flags !== KVM_DIRTY_GFN_FLAGS.DIRTY) return null;
    const slot = words.getUint32(at + KVM_DIRTY_GFN.slot, true);
    const page = Number(words.getBigUint64(at + KVM_DIRTY_GFN.offset, true));
    return { gfn: { slot, page, flags }, words, at };
  }

  close(): void {
    this.#ring?.unmap();
    this.#run.unmap();
    this.#linux.close(this.#fd);
  }
}
