/** Clauses of the dirty logs of KVM, iommufd and type1: where each stands, and what it says in our words. */
export const DIRTY_LOG_CLAUSES = {
  'kvm/memslot': [
    'Documentation/virt/kvm/api.rst, KVM_SET_USER_MEMORY_REGION; virt/kvm/kvm_main.c (Linux 7.2)',
    'Of a slot that exists only its guest address and whether it logs may change. A slot that starts to log has a clean log; one that stops loses it.',
  ],
  'kvm/get-dirty-log': [
    'Documentation/virt/kvm/api.rst, KVM_GET_DIRTY_LOG',
    'A slot that logs gives the pages written since the last call, and looks out for their next write. Without a log: ENOENT.',
  ],
  'kvm/manual-protect': [
    'Documentation/virt/kvm/api.rst, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2',
    'With manual protection GET only reads: a bit stays until CLEAR takes it away. With INITIALLY_SET a log starts with every bit set.',
  ],
  'kvm/clear-dirty-log': [
    'Documentation/virt/kvm/api.rst, KVM_CLEAR_DIRTY_LOG',
    'The first page is a multiple of 64, the number as well unless it reaches the end of the slot. Only the bits that are given are cleared.',
  ],
  'kvm/dirty-ring': [
    'Documentation/virt/kvm/api.rst, KVM_CAP_DIRTY_LOG_RING',
    'Entries are harvested in order, marked, and reset; a page is read after its entry was reset. A full ring stops its vCPU.',
  ],
  'kvm/dirty-ring-size': [
    'Documentation/virt/kvm/api.rst, KVM_CAP_DIRTY_LOG_RING; virt/kvm/kvm_main.c (Linux 7.2)',
    'The size of a ring is a power of two, at least a page and the reserved entries, at most 65536 entries; it is set once, before the first vCPU.',
  ],
  'kvm/dirty-ring-bitmap': [
    'Documentation/virt/kvm/api.rst, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP',
    'Writes without a vCPU go to a bitmap beside the rings: enabled after the rings and before the first slot, collected last. With rings alone there is no bitmap to get or clear.',
  ],
  'kvm/no-lost-write': [
    'what dirty logging is for; virt/kvm/kvm_main.c (Linux 7.2), kvm_get_dirty_log_protect',
    'A write to a slot that logs is in the next reading that begins after it. A page that was not written may be reported; a written one is never left out.',
  ],
  'kvm/other-writers': [
    'virt/kvm/kvm_main.c (Linux 7.2), mark_page_dirty_in_slot',
    "What vhost, VFIO devices and the VMM itself write is not in KVM's log: each writer has a log of its own, and none stands for another.",
  ],
  'iommufd/hwpt-alloc': [
    'include/uapi/linux/iommufd.h, IOMMU_HWPT_ALLOC',
    'Dirty tracking is for page tables that were made for it.',
  ],
  'iommufd/set-dirty': [
    'include/uapi/linux/iommufd.h, IOMMU_HWPT_SET_DIRTY_TRACKING',
    'Switches dirty tracking of a page table on and off. To switch on clears all dirty bits; to do it again is no error.',
  ],
  'iommufd/get-dirty': [
    'include/uapi/linux/iommufd.h, IOMMU_HWPT_GET_DIRTY_BITMAP',
    'Gives the dirty bits of a range, and clears them unless NO_CLEAR asks otherwise. Page size and range are aligned.',
  ],
  'iommufd/no-clear': [
    'include/uapi/linux/iommufd.h, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR',
    'NO_CLEAR leaves the dirty bits: it is for a range that is unmapped right after.',
  ],
  'type1/dirty-pages': [
    'include/uapi/linux/vfio.h, VFIO_IOMMU_DIRTY_PAGES',
    'START and STOP switch tracking of a container on and off, and may be repeated. GET_BITMAP needs tracking.',
  ],
  'type1/unmap': [
    'include/uapi/linux/vfio.h, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP',
    'An unmap while pages are tracked gives their dirty bits with it, or they are lost.',
  ],
} as const satisfies Record<string, readonly [string, string]>;
