import type { Awaitable } from './device.js';

/** Over which interface a back end is reached. */
export const VHOST_INTERFACES = ['kernel', 'user', 'vdpa'] as const;
export type VhostInterface = (typeof VHOST_INTERFACES)[number];

/** Memory that two parties see: bytes, and the descriptor it can be mapped from where there is one. */
export interface SharedMemory {
  readonly bytes: Uint8Array;
  /** A memfd or file; absent for memory of this process alone. */
  readonly fd?: number;
  /** Told before a back end of this process writes here: where from the beginning of `bytes`, and how many bytes. */
  beforeWrite?(offset: number, length: number): void;
}

/** A region of guest memory, as SET_MEM_TABLE carries it. Addresses and sizes in bytes, exact below 2^53. */
export interface VhostRegion {
  /** guest_phys_addr. */
  readonly gpa: number;
  /** memory_size. */
  readonly size: number;
  /** userspace_addr: where the front end has mapped it, by which ring addresses are given. */
  readonly uaddr: number;
  /** Where the region begins in `memory`. */
  readonly offset: number;
  readonly memory: SharedMemory;
}

/** SET_VRING_ADDR: user addresses of the three parts of a ring, and where its used part is logged. */
export interface VringAddresses {
  readonly desc: number;
  readonly used: number;
  readonly avail: number;
  /** log_guest_addr: guest physical address of the used part. */
  readonly logGuestAddr: number;
  /** VHOST_VRING_F_LOG. */
  readonly log: boolean;
}

/** One IOTLB message. */
export interface IotlbMessage {
  /** A value of `VHOST_IOTLB`. */
  readonly type: number;
  readonly asid: number;
  readonly iova: number;
  readonly size: number;
  readonly uaddr: number;
  /** A value of `VHOST_ACCESS`. */
  readonly perm: number;
}

/** What GET_INFLIGHT_FD asks for and SET_INFLIGHT_FD gives. */
export interface InflightRegion {
  readonly memory: SharedMemory;
  readonly queues: number;
  readonly queueSize: number;
}

/**
 * A vhost back end as a VMM drives it: requests as `linux/vhost.h` and vhost-user name them. Back ends in this
 * process, live ones and wrappers around either implement it. Every method fails by throwing a `DeviceError`
 * (or by a promise that rejects with one). Requests that an interface has no form for fail with ENOTTY:
 * `protocol` features and state transfer are of vhost-user, status, suspend and address spaces of vhost-vdpa,
 * `setBackend` is of kernel vhost-net.
 */
export interface VhostBackend {
  /** As traces and reports spell it. */
  readonly name: string;
  readonly interface: VhostInterface;
  /** Number of virtqueues, the control queue included. */
  readonly queues: number;

  setOwner(): Awaitable<void>;
  resetOwner(): Awaitable<void>;
  getFeatures(): Awaitable<bigint>;
  setFeatures(features: bigint): Awaitable<void>;
  getProtocolFeatures(): Awaitable<bigint>;
  setProtocolFeatures(features: bigint): Awaitable<void>;
  getBackendFeatures(): Awaitable<bigint>;
  setBackendFeatures(features: bigint): Awaitable<void>;
  setMemTable(regions: readonly VhostRegion[]): Awaitable<void>;
  /**
   * SET_LOG_BASE: null takes the log away (kernel: a null base; vhost-user has no such message).
   * Whoever gives a log keeps harvesting the old one after the new one was accepted.
   */
  setLogBase(log: SharedMemory | null): Awaitable<void>;

  setVringNum(index: number, num: number): Awaitable<void>;
  setVringBase(index: number, base: number): Awaitable<void>;
  /** GET_VRING_BASE: next available index (split) or `encodePackedBase`. Stops the ring of vhost-user. */
  getVringBase(index: number): Awaitable<number>;
  setVringAddr(index: number, addresses: VringAddresses): Awaitable<void>;
  /** SET_VRING_KICK with a descriptor, or without one. */
  setVringKick(index: number, attached: boolean): Awaitable<void>;
  /** SET_VRING_CALL: who is told when buffers were used; null: nobody. */
  setVringCall(index: number, call: (() => void) | null): Awaitable<void>;
  setVringEnable(index: number, enabled: boolean): Awaitable<void>;
  /** VHOST_NET_SET_BACKEND with a descriptor, or with -1. */
  setBackend(index: number, attached: boolean): Awaitable<void>;
  /** The guest's driver notifies the queue. Not a request: an eventfd that is written. */
  kick(index: number): void;

  getStatus(): Awaitable<number>;
  setStatus(status: number): Awaitable<void>;
  suspend(): Awaitable<void>;
  resume(): Awaitable<void>;
  getVringGroup(index: number): Awaitable<number>;
  setGroupAsid(group: number, asid: number): Awaitable<void>;
  iotlb(message: IotlbMessage): Awaitable<void>;
  getConfig(offset: number, size: number): Awaitable<Uint8Array>;
  setConfig(offset: number, bytes: Uint8Array): Awaitable<void>;

  resetDevice(): Awaitable<void>;
  getInflight(queues: number, queueSize: number): Awaitable<InflightRegion>;
  setInflight(region: InflightRegion): Awaitable<void>;
  /** SET_DEVICE_STATE_FD(save), read to its end, CHECK_DEVICE_STATE. */
  saveState(): Awaitable<Uint8Array>;
  /** SET_DEVICE_STATE_FD(load), written and closed, CHECK_DEVICE_STATE. */
  loadState(state: Uint8Array): Awaitable<void>;
  sendRarp(mac: Uint8Array): Awaitable<void>;
  /** Ends the connection, or closes the file. */
  close(): Awaitable<void>;
}
