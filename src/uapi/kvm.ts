/**
 * KVM's dirty logging: what user space and KVM agree on in `linux/kvm.h`, and the few numbers of the
 * implementation that show.
 */

/** Pages that GET and CLEAR of the dirty log go by: first page and number are multiples of it. */
export const KVM_DIRTY_LOG_PAGES = 64;

/** Entry of a dirty ring (`struct kvm_dirty_gfn`), in host byte order: u32 flags, u32 slot, u64 offset. */
export const KVM_DIRTY_GFN = { size: 16, flags: 0, slot: 4, offset: 8 } as const;

/** Flags of an entry: empty, `KVM_DIRTY_GFN_F_DIRTY` (by KVM), `KVM_DIRTY_GFN_F_RESET` (harvested). */
export const KVM_DIRTY_GFN_FLAGS = { EMPTY: 0, DIRTY: 1, RESET: 2 } as const;

/** Most entries of a dirty ring (`KVM_DIRTY_RING_MAX_ENTRIES`), and those kept free for what a full ring still gets. */
export const KVM_DIRTY_RING_ENTRIES = { most: 65536, reserved: 64 } as const;

/** Entries of a page-modification log: u64 addresses, filled from the last one down (Intel SDM 3C, 29.3.6). */
export const PML_ENTRIES = 512;

/** Flags of `KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2`; the second one needs the first. */
export const KVM_DIRTY_LOG_MANUAL = { PROTECT_ENABLE: 1, INITIALLY_SET: 2 } as const;

/** `KVM_EXIT_DIRTY_RING_FULL`: the vCPU does not go on before its ring is harvested and reset. */
export const KVM_EXIT_DIRTY_RING_FULL = 31;

/** Slots of an address space that user space has on x86 (`KVM_CAP_NR_MEMSLOTS`). */
export const KVM_USER_MEMSLOTS = 32764;

/** Bytes of a page of guest memory, as memory slots count them on x86. */
export const KVM_PAGE = 4096;
