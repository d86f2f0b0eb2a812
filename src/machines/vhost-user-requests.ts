import { VhostMemory, VringAddr, VringState } from '../uapi/vhost.js';
import {
  VhostUserInflight,
  VhostUserLog,
  VhostUserMemoryRegion,
  type VhostUserProtocolFeature,
  type VhostUserRequest,
  VhostUserTransfer,
} from '../uapi/vhost-user.js';

/**
 * What each request of the front end looks like, and what it presupposes. Source:
 * `docs/interop/vhost-user.rst` of QEMU 10.0, "Message types" and "Front-end message types".
 */

/** Least and most; the two are equal where the text leaves no choice. */
export type Bounds = readonly [least: number, most: number];

export interface VhostUserRequestShape {
  /** Bytes of the request's payload; absent: not said. */
  readonly payload?: Bounds;
  /** Descriptors with the request, when the payload does not say that there is none. */
  readonly fds: Bounds;
  /**
   * `own`: it has a reply of its own. `ack`: it is only acknowledged, with need_reply under REPLY_ACK. `log`:
   * it has a reply when LOG_SHMFD is negotiated. `unsure`: the text leaves it open.
   */
  readonly reply: 'own' | 'ack' | 'log' | 'unsure';
  /** Bytes of the payload of its own reply; absent: not said. */
  readonly replyPayload?: Bounds;
  /** Descriptors with the reply. */
  readonly replyFds: Bounds;
  /** Legal with this protocol feature only. */
  readonly feature?: VhostUserProtocolFeature;
  /** It is enough that the back end offers the feature: the request may come before, or without, its acknowledgement. */
  readonly offered?: boolean;
  /** Legal only when the back end offers VHOST_USER_F_PROTOCOL_FEATURES. */
  readonly protocol?: boolean;
}

const exactly = (bytes: number): Bounds => [bytes, bytes];
const NONE = exactly(0);
const ONE = exactly(1);
const AT_MOST_ONE: Bounds = [0, 1];
/** A word of features, a status, an acknowledgement. */
export const VHOST_USER_U64 = exactly(8);
const CONFIG_HEAD = 12;
const ANY: Bounds = [0, Number.MAX_SAFE_INTEGER];

/** Structs whose end a C compiler pads to eight bytes: as their fields are, and padded. */
const INFLIGHT: Bounds = [20, VhostUserInflight.size];
const IOTLB: Bounds = [26, 32];
const STATE = exactly(VringState.size);
/** One region behind eight bytes of padding; 16 bytes more with XEN_MMAP. */
const ONE_REGION: Bounds = [8 + VhostUserMemoryRegion.size, 8 + VhostUserMemoryRegion.size + 16];

type Extra = Partial<VhostUserRequestShape>;
const ack = (payload: Bounds | undefined, extra: Extra = {}): VhostUserRequestShape => ({
  ...(payload && { payload }),
  fds: NONE,
  reply: 'ack',
  replyPayload: VHOST_USER_U64,
  replyFds: NONE,
  ...extra,
});
const asks = (payload: Bounds, replyPayload: Bounds, extra: Extra = {}): VhostUserRequestShape => ({
  payload,
  fds: NONE,
  reply: 'own',
  replyPayload,
  replyFds: NONE,
  ...extra,
});
const withFd: Extra = { fds: ONE };

/** Every request, as the text has it. */
export const VHOST_USER_REQUEST_SHAPES: Readonly<Record<VhostUserRequest, VhostUserRequestShape>> = {
  GET_FEATURES: asks(NONE, VHOST_USER_U64),
  SET_FEATURES: ack(VHOST_USER_U64),
  SET_OWNER: ack(NONE),
  RESET_OWNER: ack(NONE),
  // With post-copy its reply carries the table back.
  SET_MEM_TABLE: ack([VhostMemory.size, ANY[1]], { fds: ANY }),
  SET_LOG_BASE: { payload: [8, VhostUserLog.size], fds: AT_MOST_ONE, reply: 'log', replyFds: NONE },
  SET_LOG_FD: ack(undefined, withFd),
  SET_VRING_NUM: ack(STATE),
  SET_VRING_ADDR: ack(exactly(VringAddr.size)),
  SET_VRING_BASE: ack(STATE),
  GET_VRING_BASE: asks(STATE, STATE),
  SET_VRING_KICK: ack(VHOST_USER_U64, withFd),
  SET_VRING_CALL: ack(VHOST_USER_U64, withFd),
  SET_VRING_ERR: ack(VHOST_USER_U64, withFd),
  GET_PROTOCOL_FEATURES: asks(NONE, VHOST_USER_U64, { protocol: true }),
  SET_PROTOCOL_FEATURES: ack(VHOST_USER_U64, { protocol: true }),
  GET_QUEUE_NUM: asks(NONE, VHOST_USER_U64, { feature: 'MQ', offered: true }),
  SET_VRING_ENABLE: ack(STATE, { protocol: true }),
  SEND_RARP: ack(VHOST_USER_U64, { feature: 'RARP', offered: true }),
  NET_SET_MTU: ack(VHOST_USER_U64, { feature: 'NET_MTU', offered: true }),
  SET_BACKEND_REQ_FD: ack(NONE, { ...withFd, feature: 'BACKEND_REQ', offered: true }),
  IOTLB_MSG: asks(IOTLB, VHOST_USER_U64),
  SET_VRING_ENDIAN: ack(STATE, { feature: 'CROSS_ENDIAN' }),
  // A reply without payload is an error.
  GET_CONFIG: asks([CONFIG_HEAD, ANY[1]], ANY, { feature: 'CONFIG' }),
  SET_CONFIG: ack([CONFIG_HEAD, ANY[1]], { feature: 'CONFIG' }),
  CREATE_CRYPTO_SESSION: asks(ANY, ANY, { feature: 'CRYPTO_SESSION' }),
  CLOSE_CRYPTO_SESSION: ack(VHOST_USER_U64, { feature: 'CRYPTO_SESSION' }),
  POSTCOPY_ADVISE: asks(NONE, NONE, { replyFds: AT_MOST_ONE, feature: 'PAGEFAULT' }),
  POSTCOPY_LISTEN: ack(NONE, { feature: 'PAGEFAULT' }),
  POSTCOPY_END: asks(NONE, VHOST_USER_U64, { feature: 'PAGEFAULT' }),
  GET_INFLIGHT_FD: asks(INFLIGHT, INFLIGHT, { replyFds: AT_MOST_ONE, feature: 'INFLIGHT_SHMFD' }),
  SET_INFLIGHT_FD: ack(INFLIGHT, { ...withFd, feature: 'INFLIGHT_SHMFD' }),
  GPU_SET_SOCKET: ack(NONE, withFd),
  RESET_DEVICE: ack(NONE, { feature: 'RESET_DEVICE' }),
  VRING_KICK: ack(STATE, { feature: 'INBAND_NOTIFICATIONS' }),
  GET_MAX_MEM_SLOTS: asks(NONE, VHOST_USER_U64, { feature: 'CONFIGURE_MEM_SLOTS' }),
  ADD_MEM_REG: ack(ONE_REGION, { ...withFd, feature: 'CONFIGURE_MEM_SLOTS' }),
  REM_MEM_REG: ack(ONE_REGION, { fds: AT_MOST_ONE, feature: 'CONFIGURE_MEM_SLOTS' }),
  SET_STATUS: ack(VHOST_USER_U64, { feature: 'STATUS' }),
  GET_STATUS: asks(NONE, VHOST_USER_U64, { feature: 'STATUS' }),
  GET_SHARED_OBJECT: { fds: ANY, reply: 'unsure', replyFds: AT_MOST_ONE, feature: 'SHARED_OBJECT' },
  SET_DEVICE_STATE_FD: asks(exactly(VhostUserTransfer.size), VHOST_USER_U64, {
    ...withFd,
    replyFds: AT_MOST_ONE,
    feature: 'DEVICE_STATE',
  }),
  CHECK_DEVICE_STATE: asks(NONE, VHOST_USER_U64, { feature: 'DEVICE_STATE' }),
  GET_SHMEM_CONFIG: { fds: NONE, reply: 'unsure', replyFds: ANY },
  GET_VRING_BASE_SKIP_DRAIN: asks(STATE, STATE),
};

/** The shape of a request by its name, or undefined for a number that has none. */
export function vhostUserRequestShape(request: string | number): VhostUserRequestShape | undefined {
  return Object.hasOwn(VHOST_USER_REQUEST_SHAPES, request)
    ? VHOST_USER_REQUEST_SHAPES[request as VhostUserRequest]
    : undefined;
}

/** How many regions a SET_MEM_TABLE with a payload of this many bytes may have: with and without XEN_MMAP. */
export function vhostUserTableRegions(payload: number): number[] {
  const bytes = payload - VhostMemory.size;
  return [VhostUserMemoryRegion.size, VhostUserMemoryRegion.size + 16]
    .filter((each) => bytes >= 0 && bytes % each === 0)
    .map((each) => bytes / each);
}
