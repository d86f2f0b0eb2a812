/**
 * KVM as a VMM drives it: the ioctls of `/dev/kvm`, of a VM and of a vCPU that a VM with a dirty log needs, and
 * the structs of x86 behind them (`linux/kvm.h`, `asm/kvm.h`; ioctl numbers as encoded on x86-64).
 */
import { KVM_EXIT_DIRTY_RING_FULL } from './kvm.js';
import { struct } from './struct.js';

/** Request numbers of KVM's ioctls (`_IO` and its kind of `include/uapi/linux/kvm.h`). */
export const KVM_IOCTLS = {
  KVM_GET_API_VERSION: 0x0000ae00,
  KVM_CREATE_VM: 0x0000ae01,
  KVM_CHECK_EXTENSION: 0x0000ae03,
  KVM_GET_VCPU_MMAP_SIZE: 0x0000ae04,
  KVM_CREATE_VCPU: 0x0000ae41,
  KVM_GET_DIRTY_LOG: 0x4010ae42,
  KVM_SET_USER_MEMORY_REGION: 0x4020ae46,
  KVM_SET_TSS_ADDR: 0x0000ae47,
  KVM_RUN: 0x0000ae80,
  KVM_SET_REGS: 0x4090ae82,
  KVM_GET_SREGS: 0x8138ae83,
  KVM_SET_SREGS: 0x4138ae84,
  KVM_ENABLE_CAP: 0x4068aea3,
  KVM_CLEAR_DIRTY_LOG: 0xc018aec0,
  KVM_RESET_DIRTY_RINGS: 0x0000aec7,
} as const;

/** The version that KVM_GET_API_VERSION gives, on every kernel since 2.6.22. */
export const KVM_API_VERSION = 12;

/** Numbers of the capabilities of dirty logging, by the names that traces have for them. */
export const KVM_CAPS = {
  manual_protect: 168,
  dirty_ring: 192,
  dirty_ring_acq_rel: 223,
  dirty_ring_with_bitmap: 225,
} as const;
export type KvmDirtyCap = keyof typeof KVM_CAPS;

/** Capabilities that say how many memory slots and address spaces a VM can have. */
export const KVM_LIMIT_CAPS = { memory_slots: 10, address_spaces: 118 } as const;

/** Flags of a memory slot. */
export const KVM_MEM = { LOG_DIRTY_PAGES: 1, READONLY: 2 } as const;

/** Why KVM_RUN has returned, as far as a VM without devices gets to see. */
export const KVM_EXIT = {
  UNKNOWN: 0,
  IO: 2,
  HLT: 5,
  MMIO: 6,
  SHUTDOWN: 8,
  FAIL_ENTRY: 9,
  INTR: 10,
  INTERNAL_ERROR: 17,
  DIRTY_RING_FULL: KVM_EXIT_DIRTY_RING_FULL,
} as const;

/** The page of a vCPU's mapping at which its dirty ring begins, on x86 (`KVM_DIRTY_LOG_PAGE_OFFSET`). */
export const KVM_DIRTY_RING_PAGE = 64;

/** `struct kvm_userspace_memory_region`. */
export const KvmMemoryRegion = struct('kvm_userspace_memory_region', {
  slot: 'u32',
  flags: 'u32',
  guest_phys_addr: 'u64',
  memory_size: 'u64',
  userspace_addr: 'u64',
});
/** `struct kvm_dirty_log`: as_id << 16 | slot, and where the bitmap goes. */
export const KvmDirtyLog = struct('kvm_dirty_log', { slot: 'u32', padding: 'u32', dirty_bitmap: 'u64' });
/** `struct kvm_clear_dirty_log`. */
export const KvmClearDirtyLog = struct('kvm_clear_dirty_log', {
  slot: 'u32',
  num_pages: 'u32',
  first_page: 'u64',
  dirty_bitmap: 'u64',
});
/** `struct kvm_enable_cap`, with the first of its four arguments. */
export const KvmEnableCap = struct('kvm_enable_cap', {
  cap: 'u32',
  flags: 'u32',
  args: 'u64',
  rest: { bytes: 88 },
});

const REGISTERS = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rsp', 'rbp'] as const;
/** `struct kvm_regs`. */
export const KvmRegs = struct('kvm_regs', {
  ...(Object.fromEntries(REGISTERS.map((name) => [name, 'u64'])) as Record<
    (typeof REGISTERS)[number],
    'u64'
  >),
  r8_to_r15: { bytes: 64 },
  rip: 'u64',
  rflags: 'u64',
});

/** `struct kvm_sregs`: its size, and where its segments begin. */
export const KVM_SREGS = { size: 312, segment: { cs: 0, ds: 24, es: 48 } } as const;
/** Head of `struct kvm_segment` (24 bytes). */
export const KvmSegment = struct('kvm_segment', { base: 'u64', limit: 'u32', selector: 'u16' });

/** Offsets in `struct kvm_run`, which is shared between KVM and the VMM. */
export const KVM_RUN = {
  immediate_exit: 1,
  exit_reason: 8,
  /** What belongs to the reason: u32 suberror of an internal error, u64 reason of a failed entry, u16 port at + 2 of I/O. */
  exit: 32,
} as const;
