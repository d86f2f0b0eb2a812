/**
 * The vhost-user protocol: header, requests, protocol features and payloads.
 * Source: `docs/interop/vhost-user.rst` of QEMU 10.0, and the numbers that QEMU 11.1 added. All fields are in
 * host byte order: little endian on x86 and arm64.
 */
import { struct } from './struct.js';

/** Requests of the front end, by number. */
export const VHOST_USER_REQUESTS = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_LOG_BASE: 6,
  SET_LOG_FD: 7,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SEND_RARP: 19,
  NET_SET_MTU: 20,
  SET_BACKEND_REQ_FD: 21,
  IOTLB_MSG: 22,
  SET_VRING_ENDIAN: 23,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  CREATE_CRYPTO_SESSION: 26,
  CLOSE_CRYPTO_SESSION: 27,
  POSTCOPY_ADVISE: 28,
  POSTCOPY_LISTEN: 29,
  POSTCOPY_END: 30,
  GET_INFLIGHT_FD: 31,
  SET_INFLIGHT_FD: 32,
  GPU_SET_SOCKET: 33,
  RESET_DEVICE: 34,
  VRING_KICK: 35,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
  SET_STATUS: 39,
  GET_STATUS: 40,
  GET_SHARED_OBJECT: 41,
  SET_DEVICE_STATE_FD: 42,
  CHECK_DEVICE_STATE: 43,
  GET_SHMEM_CONFIG: 44,
  GET_VRING_BASE_SKIP_DRAIN: 45,
} as const;

export type VhostUserRequest = keyof typeof VHOST_USER_REQUESTS;

/** Names of the requests, in the order of their numbers. */
export const VHOST_USER_REQUEST_NAMES = Object.keys(VHOST_USER_REQUESTS) as [
  VhostUserRequest,
  ...VhostUserRequest[],
];

const NAMES = new Map<number, VhostUserRequest>(
  VHOST_USER_REQUEST_NAMES.map((name) => [VHOST_USER_REQUESTS[name], name]),
);

/** The request with this number, or undefined. */
export function vhostUserRequest(number: number): VhostUserRequest | undefined {
  return NAMES.get(number);
}

/**
 * Requests that are answered whatever the header's flags say. SET_LOG_BASE is answered with LOG_SHMFD; every other
 * request is acknowledged where need_reply is set and REPLY_ACK was negotiated.
 */
export const VHOST_USER_ANSWERED: ReadonlySet<VhostUserRequest> = new Set([
  'GET_FEATURES',
  'GET_PROTOCOL_FEATURES',
  'GET_VRING_BASE',
  'GET_VRING_BASE_SKIP_DRAIN',
  'GET_QUEUE_NUM',
  'GET_CONFIG',
  'GET_INFLIGHT_FD',
  'GET_MAX_MEM_SLOTS',
  'GET_STATUS',
  'GET_SHARED_OBJECT',
  'GET_SHMEM_CONFIG',
  'CREATE_CRYPTO_SESSION',
  'IOTLB_MSG',
  'POSTCOPY_ADVISE',
  'POSTCOPY_END',
  'SET_DEVICE_STATE_FD',
  'CHECK_DEVICE_STATE',
] as const);

/** Protocol features, by bit number. */
export const VHOST_USER_PROTOCOL_FEATURES = {
  MQ: 0,
  LOG_SHMFD: 1,
  RARP: 2,
  REPLY_ACK: 3,
  NET_MTU: 4,
  BACKEND_REQ: 5,
  CROSS_ENDIAN: 6,
  CRYPTO_SESSION: 7,
  PAGEFAULT: 8,
  CONFIG: 9,
  BACKEND_SEND_FD: 10,
  HOST_NOTIFIER: 11,
  INFLIGHT_SHMFD: 12,
  RESET_DEVICE: 13,
  INBAND_NOTIFICATIONS: 14,
  CONFIGURE_MEM_SLOTS: 15,
  STATUS: 16,
  XEN_MMAP: 17,
  SHARED_OBJECT: 18,
  DEVICE_STATE: 19,
  GET_VRING_BASE_INFLIGHT: 20,
  GPA_ADDRESSES: 21,
  SHMEM: 22,
} as const;

export type VhostUserProtocolFeature = keyof typeof VHOST_USER_PROTOCOL_FEATURES;

/** VHOST_USER_F_PROTOCOL_FEATURES: the bit of the virtio features that says that protocol features exist. */
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;

/** Header of every message. `size` counts the payload alone. */
export const VhostUserHeader = struct('vhost_user_header', { request: 'u32', flags: 'u32', size: 'u32' });

/** Bits of the header's flags: the version in bits 0 and 1, then reply and need_reply. */
export const VHOST_USER_FLAGS = { VERSION: 1, VERSION_MASK: 3, REPLY: 4, NEED_REPLY: 8 } as const;

/** Most bytes of a payload that is accepted: configuration space is the widest. */
export const VHOST_USER_MAX_PAYLOAD = 4096;
/** Most descriptors with one message (`VHOST_USER_MAX_RAM_SLOTS` regions of a memory table at most). */
export const VHOST_USER_MAX_FDS = 8;

/** A region of SET_MEM_TABLE; `mmap_offset` counts from the beginning of the descriptor's memory. */
export const VhostUserMemoryRegion = struct('vhost_user_memory_region', {
  guest_phys_addr: 'u64',
  memory_size: 'u64',
  userspace_addr: 'u64',
  mmap_offset: 'u64',
});
/** Payload of SET_LOG_BASE with LOG_SHMFD. */
export const VhostUserLog = struct('vhost_user_log', { mmap_size: 'u64', mmap_offset: 'u64' });
/** Payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD. */
export const VhostUserInflight = struct('vhost_user_inflight', {
  mmap_size: 'u64',
  mmap_offset: 'u64',
  num_queues: 'u16',
  queue_size: 'u16',
});
/** Head of the record of one split queue in an inflight region; one `VhostUserInflightDesc` a descriptor follows. */
export const VhostUserInflightQueue = struct('vhost_user_inflight_split', {
  features: 'u64',
  version: 'u16',
  desc_num: 'u16',
  last_batch_head: 'u16',
  used_idx: 'u16',
});
/** Of a descriptor: whether it is in flight as the head of a buffer, the next one of its batch, and when it came. */
export const VhostUserInflightDesc = struct('vhost_user_inflight_desc_split', {
  inflight: 'u8',
  padding: { bytes: 5 },
  next: 'u16',
  counter: 'u64',
});
/** Payload of SET_DEVICE_STATE_FD. */
export const VhostUserTransfer = struct('vhost_user_transfer_device_state', {
  direction: 'u32',
  phase: 'u32',
});
/** Directions and the one phase of a device state transfer. */
export const VHOST_USER_TRANSFER = { SAVE: 0, LOAD: 1, PHASE_STOPPED: 0 } as const;
/** Reply to SET_DEVICE_STATE_FD: error in bits 0 to 7, bit 8 when no descriptor comes back. */
export const VHOST_USER_STATE_REPLY = { ERROR_MASK: 0xff, NO_FD: 0x100 } as const;
/** Payload of SET_VRING_KICK, CALL and ERR: the ring in bits 0 to 7, bit 8 when there is no descriptor. */
export const VHOST_USER_VRING_FD = { INDEX_MASK: 0xff, NO_FD: 0x100 } as const;
/** Head of GET_CONFIG and SET_CONFIG; `flags` 1 is a write of migration. */
export const VhostUserConfig = struct('vhost_user_config', { offset: 'u32', size: 'u32', flags: 'u32' });

/** Most queues of a back end that are kept. */
export const VHOST_MAX_QUEUES = 256;

/** The `schema` member of the first line of a capture of vhost-user messages, which are NDJSON. */
export const VHOST_USER_CAPTURE_SCHEMA = 'stopcopy-vhost-user-1';
