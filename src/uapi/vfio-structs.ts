/**
 * Layouts of the VFIO device migration uAPI, as `include/uapi/linux/vfio.h` of Linux 7.2 has them,
 * with codecs in both directions. Fields keep the header's names. Byte order is the host's.
 *
 * Sizes and offsets stand in `size` and `offsets` of each layout; `VFIO_STRUCTS` lists them all.
 */
import { flexible, needBytes, type Struct, struct, type ValueOf } from './struct.js';
import { DMA_LOGGING_MIN_PAGE_SIZE, FEATURE_FLAGS, PRECOPY_INFO_REINIT } from './vfio.js';

/**
 * `VFIO_DEVICE_FEATURE`: the head; the feature's own data follows at offset 8.
 * `argsz` counts head and data, `flags` holds the index and GET, SET, PROBE.
 */
export const DeviceFeature = struct('vfio_device_feature', { argsz: 'u32', flags: 'u32' });

/** Feature 0, PCI_VF_TOKEN (SET): a UUID, sixteen bytes in the order of its text. The header has no struct for it. */
export const VfToken = struct('vfio_device_feature_pci_vf_token', { uuid: { bytes: 16 } });

/** Feature 1, MIGRATION (GET): what the device supports, bits of `MIGRATION_FLAGS`. */
export const FeatureMigration = struct('vfio_device_feature_migration', { flags: 'u64' });

/** Feature 2, MIG_DEVICE_STATE (GET, SET): a state and, out of a SET, a new descriptor or -1. */
export const FeatureMigState = struct('vfio_device_feature_mig_state', {
  device_state: 'u32',
  data_fd: 's32',
});

/** Feature 4, LOW_POWER_ENTRY_WITH_WAKEUP (SET). */
export const LowPowerEntryWithWakeup = struct('vfio_device_low_power_entry_with_wakeup', {
  wakeup_eventfd: 's32',
  reserved: 'u32',
});

/** Feature 6, DMA_LOGGING_START (SET): `ranges` is a user-space pointer to `num_ranges` ranges. */
export const DmaLoggingControl = struct('vfio_device_feature_dma_logging_control', {
  page_size: 'u64',
  num_ranges: 'u32',
  __reserved: 'u32',
  ranges: 'u64',
});

/** One element of the array that DMA_LOGGING_START points at; bytes. */
export const DmaLoggingRange = struct('vfio_device_feature_dma_logging_range', {
  iova: 'u64',
  length: 'u64',
});

/** Feature 8, DMA_LOGGING_REPORT (GET): `bitmap` is a user-space pointer; see `dirty-bitmap.ts`. */
export const DmaLoggingReport = struct('vfio_device_feature_dma_logging_report', {
  iova: 'u64',
  length: 'u64',
  page_size: 'u64',
  bitmap: 'u64',
});

/** Feature 9, MIG_DATA_SIZE (GET): estimated bytes of a STOP_COPY. */
export const MigDataSize = struct('vfio_device_feature_mig_data_size', { stop_copy_length: 'u64' });

/** Feature 10, BUS_MASTER (SET): 0 clears, 1 sets bus mastering. */
export const BusMaster = struct('vfio_device_feature_bus_master', { op: 'u32' });

/** A slice of a region, for DMA_BUF; bytes. */
export const RegionDmaRange = struct('vfio_region_dma_range', { offset: 'u64', length: 'u64' });

/** Feature 11, DMA_BUF (GET): head of a request for a dma-buf of a region. */
export const DmaBufHead = struct('vfio_device_feature_dma_buf', {
  region_index: 'u32',
  open_flags: 'u32',
  flags: 'u32',
  nr_ranges: 'u32',
});

/** Feature 11 with its ranges. */
export const DmaBuf = flexible(DmaBufHead, RegionDmaRange, 'nr_ranges');

/**
 * `VFIO_MIG_GET_PRECOPY_INFO` on a `data_fd`. `argsz` is at least the struct's size on the way in.
 * The layout is one for v1 and v2; what `flags` says differs, see `precopyInfo`.
 */
export const PrecopyInfo = struct('vfio_precopy_info', {
  argsz: 'u32',
  flags: 'u32',
  initial_bytes: 'u64',
  dirty_bytes: 'u64',
});

/**
 * `VFIO_DEVICE_GET_INFO`, up to `cap_offset`. Newer headers have a padding word behind it, so their
 * `sizeof` is 24; the kernel takes any `argsz` that holds `num_irqs`.
 */
export const DeviceInfo = struct('vfio_device_info', {
  argsz: 'u32',
  flags: 'u32',
  num_regions: 'u32',
  num_irqs: 'u32',
  cap_offset: 'u32',
});

/** `VFIO_DEVICE_GET_REGION_INFO`: `size` and `offset` are bytes; the offset is one of the device's file. */
export const RegionInfo = struct('vfio_region_info', {
  argsz: 'u32',
  flags: 'u32',
  index: 'u32',
  cap_offset: 'u32',
  size: 'u64',
  offset: 'u64',
});

/** `VFIO_GROUP_GET_STATUS`: bits of `GROUP_FLAGS`. */
export const GroupStatus = struct('vfio_group_status', { argsz: 'u32', flags: 'u32' });

/** `VFIO_DEVICE_BIND_IOMMUFD`. */
export const DeviceBindIommufd = struct('vfio_device_bind_iommufd', {
  argsz: 'u32',
  flags: 'u32',
  iommufd: 's32',
  out_devid: 'u32',
});

/** `VFIO_DEVICE_ATTACH_IOMMUFD_PT`, up to `pt_id`; newer headers have a PASID behind it, which a flag asks for. */
export const DeviceAttachIommufdPt = struct('vfio_device_attach_iommufd_pt', {
  argsz: 'u32',
  flags: 'u32',
  pt_id: 'u32',
});

/** Every layout of this module, for tables of sizes and offsets. */
export const VFIO_STRUCTS: readonly Pick<
  Struct<Record<string, never>>,
  'name' | 'size' | 'alignment' | 'offsets'
>[] = [
  DeviceFeature,
  VfToken,
  FeatureMigration,
  FeatureMigState,
  LowPowerEntryWithWakeup,
  DmaLoggingControl,
  DmaLoggingRange,
  DmaLoggingReport,
  MigDataSize,
  BusMaster,
  RegionDmaRange,
  DmaBufHead,
  PrecopyInfo,
  DeviceInfo,
  RegionInfo,
  GroupStatus,
  DeviceBindIommufd,
  DeviceAttachIommufdPt,
] as never;

/** What a driver said about the bytes that are left in PRE_COPY. */
export interface PrecopyBytes {
  initial: bigint;
  dirty: bigint;
  /** The driver began anew with `initial`; absent without the opt-in, for then the flag means nothing. */
  reinit?: boolean;
}

/**
 * Reads a `struct vfio_precopy_info`.
 * @param v2 whether user space has set feature MIG_PRECOPY_INFOv2. Without it the kernel does not
 * clear `flags`, and drivers hand back whatever user space left there.
 * @throws RangeError when fewer than 24 bytes are there
 */
export function precopyInfo(bytes: Uint8Array, v2: boolean): PrecopyBytes {
  const raw = PrecopyInfo.decode(bytes);
  const both = { initial: raw.initial_bytes, dirty: raw.dirty_bytes };
  return v2 ? { ...both, reinit: (raw.flags & PRECOPY_INFO_REINIT) !== 0 } : both;
}

/** Writes a `struct vfio_precopy_info` as a driver fills it. */
export function encodePrecopyInfo({ initial, dirty, reinit }: PrecopyBytes): Uint8Array {
  return PrecopyInfo.encode({
    argsz: PrecopyInfo.size,
    flags: reinit === true ? PRECOPY_INFO_REINIT : 0,
    initial_bytes: initial,
    dirty_bytes: dirty,
  });
}

/** A `VFIO_DEVICE_FEATURE` call with its head taken apart. */
export interface FeatureCall {
  /** Index of the feature, see `FEATURES`. */
  index: number;
  get: boolean;
  set: boolean;
  probe: boolean;
  data: Uint8Array;
}

/**
 * Reads the argument of `VFIO_DEVICE_FEATURE`: head and the data that `argsz` counts.
 * @throws RangeError when `argsz` is below 8, or fewer bytes are there than it says
 */
export function decodeFeatureCall(bytes: Uint8Array): FeatureCall {
  const { argsz, flags } = DeviceFeature.decode(bytes);
  if (argsz < DeviceFeature.size) {
    throw new RangeError(`vfio_device_feature.argsz: expected at least ${DeviceFeature.size}, got ${argsz}`);
  }
  needBytes('vfio_device_feature', bytes, argsz);
  return {
    index: flags & FEATURE_FLAGS.MASK,
    get: (flags & FEATURE_FLAGS.GET) !== 0,
    set: (flags & FEATURE_FLAGS.SET) !== 0,
    probe: (flags & FEATURE_FLAGS.PROBE) !== 0,
    data: bytes.subarray(DeviceFeature.size, argsz),
  };
}

/** Writes the argument of `VFIO_DEVICE_FEATURE`; `argsz` is made to fit. */
export function encodeFeatureCall({ index, get, set, probe, data }: FeatureCall): Uint8Array {
  if (!Number.isInteger(index) || index < 0 || index > FEATURE_FLAGS.MASK) {
    throw new RangeError(`feature index: expected 0 to ${FEATURE_FLAGS.MASK}, got ${index}`);
  }
  const flags =
    index | (get ? FEATURE_FLAGS.GET : 0) | (set ? FEATURE_FLAGS.SET : 0) | (probe ? FEATURE_FLAGS.PROBE : 0);
  const bytes = new Uint8Array(DeviceFeature.size + data.length);
  bytes.set(DeviceFeature.encode({ argsz: bytes.length, flags }));
  bytes.set(data, DeviceFeature.size);
  return bytes;
}

/** An IOVA range in bytes. */
export type IovaRange = ValueOf<typeof DmaLoggingRange>;

/**
 * The array that DMA_LOGGING_START points at, as bytes.
 * @throws RangeError when a number is not in 0 to 2^64 - 1
 */
export function encodeDmaLoggingRanges(ranges: readonly IovaRange[]): Uint8Array {
  const bytes = new Uint8Array(ranges.length * DmaLoggingRange.size);
  ranges.forEach((range, index) => {
    bytes.set(DmaLoggingRange.encode(range), index * DmaLoggingRange.size);
  });
  return bytes;
}

/**
 * Reads `count` ranges of the array that DMA_LOGGING_START points at.
 * @throws RangeError when fewer bytes are there
 */
export function decodeDmaLoggingRanges(bytes: Uint8Array, count: number): IovaRange[] {
  needBytes(`${count} of ${DmaLoggingRange.name}`, bytes, count * DmaLoggingRange.size);
  return Array.from({ length: count }, (_, index) =>
    DmaLoggingRange.decode(bytes, { offset: index * DmaLoggingRange.size }),
  );
}

/** Whether DMA_LOGGING_REPORT takes this page size: a power of two of 4096 bytes or more. */
export function isReportPageSize(size: bigint): boolean {
  return size >= BigInt(DMA_LOGGING_MIN_PAGE_SIZE) && (size & (size - 1n)) === 0n;
}

/** A value of `struct vfio_device_feature_mig_state`. */
export type MigStateValue = ValueOf<typeof FeatureMigState>;
