import { IOMMU_HWPT_GET_DIRTY_BITMAP } from '../../uapi/iommufd.js';
import { type Row, row } from './qemu-log-row.js';
import { known } from './uapi-calls.js';

/**
 * Trace events of QEMU's `backends/iommufd.c` about dirty tracking, of 9.1 to 11.1. The device is the iommufd, by
 * its descriptor. What is printed of a result is an errno, or what the ioctl returned.
 */
export const IOMMUFD_ROWS: readonly Row[] = [
  row('iommufd_backend_set_dirty', 'iommufd_set_dirty').as(
    ' iommufd=%d hwpt=%d enable=%b (%d',
    (_, fd, hwpt, on, result) => ({
      kind: 'iommufd_set_dirty',
      device: `iommufd ${fd}`,
      hwpt,
      on,
      ...known('errno', errnoOf(result)),
    }),
  ),
  row('iommufd_backend_get_dirty_bitmap', 'iommufd_dirty_bitmap')
    .as(
      ' iommufd=%d hwpt=%d iova=%a size=%a flags=%u page_size=%a (%d',
      (_, fd, hwpt, iova, length, flags, pageSize, result) => ({
        kind: 'iommufd_dirty_bitmap',
        device: `iommufd ${fd}`,
        hwpt,
        iova,
        length,
        pageSize,
        ...known(
          'noClear',
          flags === undefined ? undefined : (flags & IOMMU_HWPT_GET_DIRTY_BITMAP.NO_CLEAR) !== 0,
        ),
        ...known('errno', errnoOf(result)),
      }),
    )
    .as(
      ' iommufd=%d hwpt=%d iova=%a size=%a page_size=%a (%d',
      (_, fd, hwpt, iova, length, pageSize, result) => ({
        kind: 'iommufd_dirty_bitmap',
        device: `iommufd ${fd}`,
        hwpt,
        iova,
        length,
        pageSize,
        ...known('errno', errnoOf(result)),
      }),
    ),
];

/** The errno of a printed result; -1 says that the call failed, not why. */
function errnoOf(result: number): number | undefined {
  return result === -1 ? undefined : Math.abs(result);
}
