/**
 * Numbers of the VFIO device migration uAPI, as `include/uapi/linux/vfio.h` of Linux 7.2 has them.
 * Layouts of the structs that carry them are in `vfio-structs.ts`.
 */

/** `enum vfio_device_mig_state`, in the header's order: the index of a name is its number. */
export const MIG_STATES = [
  'ERROR',
  'STOP',
  'RUNNING',
  'STOP_COPY',
  'RESUMING',
  'RUNNING_P2P',
  'PRE_COPY',
  'PRE_COPY_P2P',
] as const;

/** A device state, spelt as in the header without the prefix `VFIO_DEVICE_STATE_`. */
export type MigState = (typeof MIG_STATES)[number];

/** The header's number of each state. */
export const MIG_STATE_NUMBER: Readonly<Record<MigState, number>> = Object.fromEntries(
  MIG_STATES.map((name, number) => [name, number]),
) as Record<MigState, number>;

/** The state with this number, or `undefined` when the header has none. */
export function migStateOf(number: number): MigState | undefined {
  return MIG_STATES[number];
}

/** Flags of `struct vfio_device_feature_migration`. */
export const MIGRATION_FLAGS = { STOP_COPY: 1, P2P: 2, PRE_COPY: 4 } as const;

/**
 * The four flag combinations whose meaning the header defines
 * (`VFIO_DEVICE_FEATURE_MIGRATION`: STOP_COPY is always set, P2P and PRE_COPY are optional).
 */
export const DEFINED_MIGRATION_FLAGS: readonly number[] = [1, 3, 5, 7];

/** Flag bits of `struct vfio_device_feature`; the low 16 bits are the feature's index. */
export const FEATURE_FLAGS = { MASK: 0xffff, GET: 1 << 16, SET: 1 << 17, PROBE: 1 << 18 } as const;

/** Feature indices of `VFIO_DEVICE_FEATURE`. */
export const FEATURES = {
  PCI_VF_TOKEN: 0,
  MIGRATION: 1,
  MIG_DEVICE_STATE: 2,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
  DMA_LOGGING_START: 6,
  DMA_LOGGING_STOP: 7,
  DMA_LOGGING_REPORT: 8,
  MIG_DATA_SIZE: 9,
  BUS_MASTER: 10,
  DMA_BUF: 11,
  MIG_PRECOPY_INFOv2: 12,
} as const;

export type FeatureName = keyof typeof FEATURES;

/** The feature with this index, or `undefined`. */
export function featureName(index: number): FeatureName | undefined {
  return (Object.keys(FEATURES) as FeatureName[]).find((name) => FEATURES[name] === index);
}

/** Ioctl request numbers (`_IO(';', 100 + n)`): no size and no direction are encoded in them. */
export const IOCTLS = {
  /** On the container, `/dev/vfio/vfio`. */
  VFIO_GET_API_VERSION: 0x3b64,
  VFIO_CHECK_EXTENSION: 0x3b65,
  VFIO_SET_IOMMU: 0x3b66,
  /** On a group, `/dev/vfio/N`. */
  VFIO_GROUP_GET_STATUS: 0x3b67,
  VFIO_GROUP_SET_CONTAINER: 0x3b68,
  /** On a group: opens a device by its name, returns the device fd. */
  VFIO_GROUP_GET_DEVICE_FD: 0x3b6a,
  VFIO_DEVICE_GET_INFO: 0x3b6b,
  VFIO_DEVICE_GET_REGION_INFO: 0x3b6c,
  VFIO_DEVICE_GET_IRQ_INFO: 0x3b6d,
  VFIO_DEVICE_SET_IRQS: 0x3b6e,
  VFIO_DEVICE_RESET: 0x3b6f,
  VFIO_DEVICE_PCI_HOT_RESET: 0x3b71,
  VFIO_DEVICE_FEATURE: 0x3b75,
  /** On a device's character device: nothing else works before it. */
  VFIO_DEVICE_BIND_IOMMUFD: 0x3b76,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: 0x3b77,
  VFIO_MIG_GET_PRECOPY_INFO: 0x3b79,
} as const;

/** Ioctls of a type1 container. Devices have others with the same numbers. */
export const TYPE1_IOCTLS = { VFIO_IOMMU_UNMAP_DMA: 0x3b72, VFIO_IOMMU_DIRTY_PAGES: 0x3b75 } as const;

/** What `VFIO_GET_API_VERSION` answers. */
export const VFIO_API_VERSION = 0;

/** `VFIO_TYPE1v2_IOMMU`: the IOMMU model of x86 and arm64 hosts, for CHECK_EXTENSION and SET_IOMMU. */
export const VFIO_TYPE1V2_IOMMU = 3;

/** Flags of `struct vfio_group_status`. VIABLE: every device of the group belongs to VFIO or to nobody. */
export const GROUP_FLAGS = { VIABLE: 1, CONTAINER_SET: 2 } as const;

/** `VFIO_DEVICE_FLAGS_RESET` of `struct vfio_device_info`: the device supports VFIO_DEVICE_RESET. */
export const DEVICE_FLAGS_RESET = 1;

/** `VFIO_PRECOPY_INFO_REINIT` of `struct vfio_precopy_info`, valid after the feature-12 opt-in. */
export const PRECOPY_INFO_REINIT = 1;

/** Most ranges that `VFIO_DEVICE_FEATURE_DMA_LOGGING_START` takes with a 4 KiB kernel page. */
export const DMA_LOGGING_MAX_RANGES = 4096 / 16;

/** Smallest page size that `VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT` takes, in bytes. */
export const DMA_LOGGING_MIN_PAGE_SIZE = 4096;

/** Largest size of a migration data segment that makes sense to trust, in bytes (2^63 - 1). */
export const MAX_STREAM_SIZE = 0x7fff_ffff_ffff_ffffn;
