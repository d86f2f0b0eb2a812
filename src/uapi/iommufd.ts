/** Address spaces and dirty tracking of an I/O page table, from `linux/iommufd.h`. */
import { struct } from './struct.js';

/** Ioctl request numbers on `/dev/iommu` (`_IO(';', 0x80 + n)`). */
export const IOMMUFD_IOCTLS = { IOMMU_IOAS_ALLOC: 0x3b81, IOMMU_IOAS_UNMAP: 0x3b86 } as const;

/** `IOMMU_IOAS_ALLOC`: makes an I/O address space, to which devices are attached by `out_ioas_id`. */
export const IoasAlloc = struct('iommu_ioas_alloc', { size: 'u32', flags: 'u32', out_ioas_id: 'u32' });

/** Flags of `IOMMU_HWPT_SET_DIRTY_TRACKING`. */
export const IOMMU_HWPT_DIRTY_TRACKING = { ENABLE: 1 } as const;

/** Flags of `IOMMU_HWPT_GET_DIRTY_BITMAP`: NO_CLEAR leaves the dirty bits of the page table. */
export const IOMMU_HWPT_GET_DIRTY_BITMAP = { NO_CLEAR: 1 } as const;
