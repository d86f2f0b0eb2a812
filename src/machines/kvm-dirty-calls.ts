import { ERRNO } from '../uapi/errno.js';
import {
  KVM_DIRTY_GFN,
  KVM_DIRTY_LOG_MANUAL,
  KVM_DIRTY_LOG_PAGES,
  KVM_DIRTY_RING_ENTRIES,
  KVM_PAGE,
} from '../uapi/kvm.js';

/**
 * Calls of KVM's dirty logging, and what KVM says to their arguments alone, before it looks at the state of VM
 * and slot. Source: virt/kvm/kvm_main.c (Linux 7.2); held against a real kernel by the tests of the target.
 */
export type KvmCall =
  | { readonly call: 'manual_protect'; readonly flags: number }
  | { readonly call: 'dirty_ring'; readonly bytes: number }
  | { readonly call: 'dirty_ring_with_bitmap' }
  | { readonly call: 'create_vcpu' }
  | KvmMemslotCall
  /** `slot` is `as_id << 16 | slot` wherever it stands. */
  | { readonly call: 'get_dirty_log'; readonly slot: number }
  | KvmClearCall
  | { readonly call: 'reset_dirty_rings' };

/** KVM_SET_USER_MEMORY_REGION. Addresses and sizes in bytes; size 0 takes the slot away. */
export interface KvmMemslotCall {
  readonly call: 'memslot';
  readonly slot: number;
  readonly log: boolean;
  /** KVM_MEM_READONLY. */
  readonly readonly?: boolean;
  readonly gpa: number;
  readonly size: number;
  readonly uaddr: number;
}

/** KVM_CLEAR_DIRTY_LOG. */
export interface KvmClearCall {
  readonly call: 'clear_dirty_log';
  readonly slot: number;
  /** First page of the slot. */
  readonly first: number;
  readonly pages: number;
  /** Pages of the slot whose bit is set in the bitmap that is given. Those outside the range do not count. */
  readonly set: readonly number[];
}

/** What a host offers. */
export interface KvmHost {
  /** Address spaces (KVM_CAP_MULTI_ADDRESS_SPACE, at least 1). */
  readonly addressSpaces: number;
  /** KVM_CAP_NR_MEMSLOTS. */
  readonly slots: number;
  /** Entries of a ring that are kept free, those for a page-modification log included. */
  readonly reserved: number;
  /** KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP: arm64 has it, x86 has not. */
  readonly ringWithBitmap: boolean;
}

const { EINVAL = 22, E2BIG = 7 } = ERRNO;

/** The errno of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with these flags, or 0: no state matters. */
export function manualProtectErrno(flags: number): number {
  const { PROTECT_ENABLE, INITIALLY_SET } = KVM_DIRTY_LOG_MANUAL;
  const allowed = flags & PROTECT_ENABLE ? PROTECT_ENABLE | INITIALLY_SET : PROTECT_ENABLE;
  return flags > allowed || flags & ~allowed ? EINVAL : 0;
}

/** The errno of a ring of so many bytes, or 0. */
export function ringSizeErrno(bytes: number, reserved: number): number {
  if (bytes <= 0 || !Number.isInteger(Math.log2(bytes))) return EINVAL;
  if (bytes < reserved * KVM_DIRTY_GFN.size || bytes < KVM_PAGE) return EINVAL;
  return bytes > KVM_DIRTY_RING_ENTRIES.most * KVM_DIRTY_GFN.size ? E2BIG : 0;
}

/** The errno of a slot number that a host has not, or 0. */
export function slotNumberErrno(slot: number, host: Pick<KvmHost, 'addressSpaces' | 'slots'>): number {
  return slot >>> 16 >= host.addressSpaces || (slot & 0xffff) >= host.slots ? EINVAL : 0;
}

/** The errno of the addresses of KVM_SET_USER_MEMORY_REGION, or 0. */
export function memslotArgumentErrno({ gpa, size, uaddr }: KvmMemslotCall): number {
  return gpa % KVM_PAGE || size % KVM_PAGE || uaddr % KVM_PAGE ? EINVAL : 0;
}

/** Whether the first page of KVM_CLEAR_DIRTY_LOG is at a place that it goes by; looked at before the slot is. */
export function clearStartsRight(first: number): boolean {
  return first % KVM_DIRTY_LOG_PAGES === 0;
}

/** Whether the range of KVM_CLEAR_DIRTY_LOG lies in the slot, and ends with 64 pages or with the slot. */
export function clearFits(first: number, pages: number, slotPages: number): boolean {
  const left = slotPages - first;
  return left >= 0 && pages <= left && (pages === left || pages % KVM_DIRTY_LOG_PAGES === 0);
}
