import { expect, test } from 'vitest';
import {
  DeviceAttachIommufdPt,
  DeviceBindIommufd,
  GroupStatus,
  IOCTLS,
  IOMMUFD_IOCTLS,
  IoasAlloc,
  RegionInfo,
} from '../../src/uapi/index.js';

/** `_IO(';', number)`: no size, no direction. */
const io = (number: number) => (';'.charCodeAt(0) << 8) | number;

test('ioctl numbers are those of the header', () => {
  const VFIO_BASE = 100;
  const vfio = (number: number) => io(VFIO_BASE + number);
  expect(IOCTLS).toMatchObject({
    VFIO_GET_API_VERSION: vfio(0),
    VFIO_CHECK_EXTENSION: vfio(1),
    VFIO_SET_IOMMU: vfio(2),
    VFIO_GROUP_GET_STATUS: vfio(3),
    VFIO_GROUP_SET_CONTAINER: vfio(4),
    VFIO_GROUP_GET_DEVICE_FD: vfio(6),
    VFIO_DEVICE_GET_INFO: vfio(7),
    VFIO_DEVICE_GET_REGION_INFO: vfio(8),
    VFIO_DEVICE_RESET: vfio(11),
    VFIO_DEVICE_FEATURE: vfio(17),
    VFIO_DEVICE_BIND_IOMMUFD: vfio(18),
    VFIO_DEVICE_ATTACH_IOMMUFD_PT: vfio(19),
    VFIO_MIG_GET_PRECOPY_INFO: vfio(21),
  });
  expect(IOMMUFD_IOCTLS.IOMMU_IOAS_ALLOC).toBe(io(0x81));
});

test('layouts of the calls that open a device', () => {
  expect(RegionInfo.offsets).toEqual({ argsz: 0, flags: 4, index: 8, cap_offset: 12, size: 16, offset: 24 });
  expect(GroupStatus.offsets).toEqual({ argsz: 0, flags: 4 });
  expect(DeviceBindIommufd.offsets).toEqual({ argsz: 0, flags: 4, iommufd: 8, out_devid: 12 });
  expect(DeviceAttachIommufdPt.offsets).toEqual({ argsz: 0, flags: 4, pt_id: 8 });
  expect([IoasAlloc.size, IoasAlloc.offsets.out_ioas_id]).toEqual([12, 8]);
});
