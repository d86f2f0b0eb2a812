/**
 * Kernel vhost and vhost-vdpa: ioctl numbers and structs of `linux/vhost.h` and `linux/vhost_types.h`
 * (Linux 7.2), as encoded on x86 and arm64.
 */
import { struct } from './struct.js';

/** Ioctls of `/dev/vhost-net` and its kind. */
export const VHOST_IOCTLS = {
  VHOST_GET_FEATURES: 0x8008af00,
  VHOST_SET_FEATURES: 0x4008af00,
  VHOST_SET_OWNER: 0x0000af01,
  VHOST_RESET_OWNER: 0x0000af02,
  VHOST_SET_MEM_TABLE: 0x4008af03,
  VHOST_SET_LOG_BASE: 0x4008af04,
  VHOST_SET_LOG_FD: 0x4004af07,
  VHOST_NEW_WORKER: 0x8004af08,
  VHOST_FREE_WORKER: 0x4004af09,
  VHOST_SET_VRING_NUM: 0x4008af10,
  VHOST_SET_VRING_ADDR: 0x4028af11,
  VHOST_SET_VRING_BASE: 0x4008af12,
  VHOST_GET_VRING_BASE: 0xc008af12,
  VHOST_SET_VRING_ENDIAN: 0x4008af13,
  VHOST_GET_VRING_ENDIAN: 0x4008af14,
  VHOST_SET_VRING_KICK: 0x4008af20,
  VHOST_SET_VRING_CALL: 0x4008af21,
  VHOST_SET_VRING_ERR: 0x4008af22,
  VHOST_SET_BACKEND_FEATURES: 0x4008af25,
  VHOST_GET_BACKEND_FEATURES: 0x8008af26,
  VHOST_NET_SET_BACKEND: 0x4008af30,
  VHOST_VSOCK_SET_RUNNING: 0x4004af61,
  VHOST_GET_FEATURES_ARRAY: 0x8008af83,
  VHOST_SET_FEATURES_ARRAY: 0x4008af83,
} as const;

/** Ioctls that `/dev/vhost-vdpa-N` has beside them. */
export const VHOST_VDPA_IOCTLS = {
  VHOST_VDPA_GET_DEVICE_ID: 0x8004af70,
  VHOST_VDPA_GET_STATUS: 0x8001af71,
  VHOST_VDPA_SET_STATUS: 0x4001af72,
  VHOST_VDPA_GET_CONFIG: 0x8008af73,
  VHOST_VDPA_SET_CONFIG: 0x4008af74,
  VHOST_VDPA_SET_VRING_ENABLE: 0x4008af75,
  VHOST_VDPA_GET_VRING_NUM: 0x8002af76,
  VHOST_VDPA_SET_CONFIG_CALL: 0x4004af77,
  VHOST_VDPA_GET_IOVA_RANGE: 0x8010af78,
  VHOST_VDPA_GET_CONFIG_SIZE: 0x8004af79,
  VHOST_VDPA_GET_AS_NUM: 0x8004af7a,
  VHOST_VDPA_GET_VRING_GROUP: 0xc008af7b,
  VHOST_VDPA_SET_GROUP_ASID: 0x4008af7c,
  VHOST_VDPA_SUSPEND: 0x0000af7d,
  VHOST_VDPA_RESUME: 0x0000af7e,
  VHOST_VDPA_GET_VRING_DESC_GROUP: 0xc008af7f,
  VHOST_VDPA_GET_VQS_COUNT: 0x8004af80,
  VHOST_VDPA_GET_GROUP_NUM: 0x8004af81,
  VHOST_VDPA_GET_VRING_SIZE: 0xc008af82,
} as const;

/** Feature bits of vhost itself, by number, in the word of the virtio features. */
export const VHOST_FEATURES = {
  /** VHOST_F_LOG_ALL: writes to buffers are logged. */
  LOG_ALL: 26,
  /** VHOST_NET_F_VIRTIO_NET_HDR, of kernel vhost-net only. */
  NET_VIRTIO_NET_HDR: 27,
} as const;

/** VHOST_VRING_F_LOG, in the flags of SET_VRING_ADDR: writes to the used structure of this ring are logged. */
export const VHOST_VRING_F_LOG = 1;

/** Backend features, by bit number. */
export const VHOST_BACKEND_FEATURES = {
  IOTLB_MSG_V2: 1,
  IOTLB_BATCH: 2,
  IOTLB_ASID: 3,
  SUSPEND: 4,
  RESUME: 5,
  ENABLE_AFTER_DRIVER_OK: 6,
  DESC_ASID: 7,
  IOTLB_PERSIST: 8,
} as const;

/** Types of an IOTLB message. */
export const VHOST_IOTLB = {
  MISS: 1,
  UPDATE: 2,
  INVALIDATE: 3,
  ACCESS_FAIL: 4,
  BATCH_BEGIN: 5,
  BATCH_END: 6,
} as const;

/** Access of an IOTLB entry. */
export const VHOST_ACCESS = { RO: 1, WO: 2, RW: 3 } as const;

/** `struct vhost_vring_state`: a ring, and a number or 0 and 1. */
export const VringState = struct('vhost_vring_state', { index: 'u32', num: 'u32' });
/** `struct vhost_vring_file`: a ring, and a descriptor or -1. */
export const VringFile = struct('vhost_vring_file', { index: 'u32', fd: 's32' });
/** `struct vhost_vring_addr`: user addresses, and the guest physical address of the used structure for the log. */
export const VringAddr = struct('vhost_vring_addr', {
  index: 'u32',
  flags: 'u32',
  desc_user_addr: 'u64',
  used_user_addr: 'u64',
  avail_user_addr: 'u64',
  log_guest_addr: 'u64',
});
/** Head of SET_MEM_TABLE (`struct vhost_memory`); regions follow. */
export const VhostMemory = struct('vhost_memory', { nregions: 'u32', padding: 'u32' });
/** `struct vhost_memory_region`. */
export const VhostMemoryRegion = struct('vhost_memory_region', {
  guest_phys_addr: 'u64',
  memory_size: 'u64',
  userspace_addr: 'u64',
  flags_padding: 'u64',
});
/** `struct vhost_msg_v2` (type 2) with its IOTLB message, as it is written to the descriptor. */
export const VhostMsgV2 = struct('vhost_msg_v2', {
  type: 'u32',
  asid: 'u32',
  iova: 'u64',
  size: 'u64',
  uaddr: 'u64',
  perm: 'u8',
  iotlb_type: 'u8',
  /** The message stands in a union of 64 bytes. */
  padding: { bytes: 38 },
});
/** Head of GET_CONFIG and SET_CONFIG of vDPA (`struct vhost_vdpa_config`); the bytes follow. */
export const VhostVdpaConfig = struct('vhost_vdpa_config', { off: 'u32', len: 'u32' });
/** The type of a `vhost_msg_v2` that carries an IOTLB message. */
export const VHOST_IOTLB_MSG_V2 = 2;

/** What SET_VRING_BASE and GET_VRING_BASE carry for a packed ring: indices and wrap counters of both sides. */
export interface PackedBase {
  avail: number;
  availWrap: boolean;
  used: number;
  usedWrap: boolean;
}

/** A packed base as a number: avail in bits 0-14, its wrap counter in bit 15, used likewise from bit 16 on. */
export function encodePackedBase({ avail, availWrap, used, usedWrap }: PackedBase): number {
  return (avail | (availWrap ? 0x8000 : 0) | ((used | (usedWrap ? 0x8000 : 0)) << 16)) >>> 0;
}

/** The parts of a packed base. */
export function decodePackedBase(base: number): PackedBase {
  return {
    avail: base & 0x7fff,
    availWrap: (base & 0x8000) !== 0,
    used: (base >>> 16) & 0x7fff,
    usedWrap: base >>> 31 === 1,
  };
}
