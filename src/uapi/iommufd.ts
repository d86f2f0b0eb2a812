/** Dirty tracking of an I/O page table, from `linux/iommufd.h`. */

/** Flags of `IOMMU_HWPT_SET_DIRTY_TRACKING`. */
export const IOMMU_HWPT_DIRTY_TRACKING = { ENABLE: 1 } as const;

/** Flags of `IOMMU_HWPT_GET_DIRTY_BITMAP`: NO_CLEAR leaves the dirty bits of the page table. */
export const IOMMU_HWPT_GET_DIRTY_BITMAP = { NO_CLEAR: 1 } as const;
