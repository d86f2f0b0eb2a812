/**
 * virtchnl: the messages between a VF's driver and the PF's driver. Numbers only; layouts stand in
 * `virtchnl-structs.ts`, what a request must look like and when it is allowed in `virtchnl-requests.ts`.
 *
 * Source: `include/linux/avf/virtchnl.h` of Linux 7.2. All fields are little endian.
 */

/** Version 1.1 is spoken; with 1.0, GET_VF_RESOURCES has no payload. */
export const VIRTCHNL_VERSION = { major: 1, minor: 1, minorWithoutCaps: 0 } as const;

/** Operations, `enum virtchnl_ops`. GET_RSS_HASHCFG_CAPS and SET_RSS_HASHCFG once had HENA in their names. */
export const VIRTCHNL_OPS = {
  UNKNOWN: 0,
  VERSION: 1,
  RESET_VF: 2,
  GET_VF_RESOURCES: 3,
  CONFIG_TX_QUEUE: 4,
  CONFIG_RX_QUEUE: 5,
  CONFIG_VSI_QUEUES: 6,
  CONFIG_IRQ_MAP: 7,
  ENABLE_QUEUES: 8,
  DISABLE_QUEUES: 9,
  ADD_ETH_ADDR: 10,
  DEL_ETH_ADDR: 11,
  ADD_VLAN: 12,
  DEL_VLAN: 13,
  CONFIG_PROMISCUOUS_MODE: 14,
  GET_STATS: 15,
  EVENT: 17,
  CONFIG_RSS_HFUNC: 18,
  RDMA: 20,
  CONFIG_RDMA_IRQ_MAP: 21,
  RELEASE_RDMA_IRQ_MAP: 22,
  CONFIG_RSS_KEY: 23,
  CONFIG_RSS_LUT: 24,
  GET_RSS_HASHCFG_CAPS: 25,
  SET_RSS_HASHCFG: 26,
  ENABLE_VLAN_STRIPPING: 27,
  DISABLE_VLAN_STRIPPING: 28,
  REQUEST_QUEUES: 29,
  ENABLE_CHANNELS: 30,
  DISABLE_CHANNELS: 31,
  ADD_CLOUD_FILTER: 32,
  DEL_CLOUD_FILTER: 33,
  GET_SUPPORTED_RXDIDS: 44,
  ADD_RSS_CFG: 45,
  DEL_RSS_CFG: 46,
  ADD_FDIR_FILTER: 47,
  DEL_FDIR_FILTER: 48,
  GET_OFFLOAD_VLAN_V2_CAPS: 51,
  ADD_VLAN_V2: 52,
  DEL_VLAN_V2: 53,
  ENABLE_VLAN_STRIPPING_V2: 54,
  DISABLE_VLAN_STRIPPING_V2: 55,
  ENABLE_VLAN_INSERTION_V2: 56,
  DISABLE_VLAN_INSERTION_V2: 57,
  PTP_GET_CAPS: 60,
  PTP_GET_TIME: 61,
  GET_QOS_CAPS: 66,
  CONFIG_QUEUE_BW: 112,
  CONFIG_QUANTA: 113,
} as const;

export type VirtchnlOp = keyof typeof VIRTCHNL_OPS;

/** VIRTCHNL_OP_MAX: the first number that is no operation. */
export const VIRTCHNL_OP_MAX = 114;

const OP_NAMES = new Map<number, VirtchnlOp>(
  (Object.keys(VIRTCHNL_OPS) as VirtchnlOp[]).map((name) => [VIRTCHNL_OPS[name], name]),
);

/** The operation with this number, or `undefined`. */
export function virtchnlOp(number: number): VirtchnlOp | undefined {
  return OP_NAMES.get(number);
}

/** What a PF answers, `enum virtchnl_status_code`. */
export const VIRTCHNL_STATUS = {
  SUCCESS: 0,
  ERR_PARAM: -5,
  ERR_NO_MEMORY: -18,
  ERR_OPCODE_MISMATCH: -38,
  ERR_CQP_COMPL_ERROR: -39,
  ERR_INVALID_VF_ID: -40,
  ERR_ADMIN_QUEUE_ERROR: -53,
  ERR_NOT_SUPPORTED: -64,
} as const;

export type VirtchnlStatusName = keyof typeof VIRTCHNL_STATUS;

/** The name of a status, or the number itself as text. */
export function virtchnlStatusName(status: number): string {
  const names = Object.keys(VIRTCHNL_STATUS) as VirtchnlStatusName[];
  return names.find((name) => VIRTCHNL_STATUS[name] === status) ?? String(status);
}

/** Capabilities of GET_VF_RESOURCES: `VIRTCHNL_VF_OFFLOAD_*` and `VIRTCHNL_VF_CAP_*`. */
export const VIRTCHNL_CAPS = {
  L2: 2 ** 0,
  RDMA: 2 ** 1,
  RSS_AQ: 2 ** 3,
  RSS_REG: 2 ** 4,
  WB_ON_ITR: 2 ** 5,
  REQ_QUEUES: 2 ** 6,
  ADV_LINK_SPEED: 2 ** 7,
  CRC: 2 ** 10,
  TC_U32: 2 ** 11,
  VLAN_V2: 2 ** 15,
  VLAN: 2 ** 16,
  RX_POLLING: 2 ** 17,
  RSS_PCTYPE_V2: 2 ** 18,
  RSS_PF: 2 ** 19,
  ENCAP: 2 ** 20,
  ENCAP_CSUM: 2 ** 21,
  RX_ENCAP_CSUM: 2 ** 22,
  ADQ: 2 ** 23,
  USO: 2 ** 25,
  RX_FLEX_DESC: 2 ** 26,
  ADV_RSS_PF: 2 ** 27,
  FDIR_PF: 2 ** 28,
  QOS: 2 ** 29,
  PTP: 2 ** 31,
} as const;

export type VirtchnlCap = keyof typeof VIRTCHNL_CAPS;

/** The bits of these capabilities, as an unsigned number. */
export function virtchnlCapMask(names: readonly VirtchnlCap[]): number {
  return names.reduce((mask, name) => (mask | VIRTCHNL_CAPS[name]) >>> 0, 0);
}

/** Whether a capability is among these bits. */
export function hasVirtchnlCap(caps: number, name: VirtchnlCap): boolean {
  return (caps & VIRTCHNL_CAPS[name]) !== 0;
}

/** Events, `enum virtchnl_event_codes`, and how grave they are. */
export const VIRTCHNL_EVENTS = {
  UNKNOWN: 0,
  LINK_CHANGE: 1,
  RESET_IMPENDING: 2,
  PF_DRIVER_CLOSE: 3,
} as const;
/** How severe an event of the PF is. */
export const VIRTCHNL_SEVERITY = { INFO: 0, CERTAIN_DOOM: 255 } as const;

/**
 * Link speed of an event: a bit, or Mbit/s with the capability ADV_LINK_SPEED. The bits end at 40G, so a PF
 * tells that for whatever is faster.
 */
export const VIRTCHNL_LINK_SPEED = {
  UNKNOWN: 0,
  SPEED_2_5GB: 2 ** 0,
  SPEED_100MB: 2 ** 1,
  SPEED_1GB: 2 ** 2,
  SPEED_10GB: 2 ** 3,
  SPEED_40GB: 2 ** 4,
  SPEED_20GB: 2 ** 5,
  SPEED_25GB: 2 ** 6,
  SPEED_5GB: 2 ** 7,
} as const;

/** `vsi_type` of the VSI of a VF. */
export const VIRTCHNL_VSI_SRIOV = 6;

/** `type` of an Ethernet address, in bits 1:0. */
export const VIRTCHNL_ETHER_ADDR = { LEGACY: 0, PRIMARY: 1, EXTRA: 2, MASK: 3 } as const;

/** Flags of CONFIG_PROMISCUOUS_MODE. */
export const VIRTCHNL_PROMISC = { UNICAST: 1, MULTICAST: 2 } as const;

/** `enum virtchnl_rss_algorithm`. */
export const VIRTCHNL_RSS_ALG = {
  TOEPLITZ_ASYMMETRIC: 0,
  R_ASYMMETRIC: 1,
  TOEPLITZ_SYMMETRIC: 2,
  XOR_SYMMETRIC: 3,
} as const;

/** Bits of the RSS hash configuration (once HENA) by packet type; numbers from memory. */
export const VIRTCHNL_RSS_HASHCFG = {
  IPV4_UNICAST_UDP: 29,
  IPV4_MULTICAST_UDP: 30,
  IPV4_UDP: 31,
  IPV4_TCP_SYN_NO_ACK: 32,
  IPV4_TCP: 33,
  IPV4_SCTP: 34,
  IPV4_OTHER: 35,
  IPV4_FRAGMENT: 36,
  IPV6_UNICAST_UDP: 39,
  IPV6_MULTICAST_UDP: 40,
  IPV6_UDP: 41,
  IPV6_TCP_SYN_NO_ACK: 42,
  IPV6_TCP: 43,
  IPV6_SCTP: 44,
  IPV6_OTHER: 45,
  IPV6_FRAGMENT: 46,
} as const;

/** All of these packet types: what a PF offers, and sets in the beginning. */
export const VIRTCHNL_RSS_HASHCFG_ALL: bigint = Object.values(VIRTCHNL_RSS_HASHCFG).reduce(
  (mask, bit) => mask | (1n << BigInt(bit)),
  0n,
);

/** `enum virtchnl_vlan_support`: what a VLAN offload or filter can do. */
export const VIRTCHNL_VLAN = {
  UNSUPPORTED: 0,
  ETHERTYPE_8100: 2 ** 0,
  ETHERTYPE_88A8: 2 ** 1,
  ETHERTYPE_9100: 2 ** 2,
  TAG_LOCATION_L2TAG1: 2 ** 8,
  TAG_LOCATION_L2TAG2: 2 ** 9,
  TAG_LOCATION_L2TAG2_2: 2 ** 10,
  PRIO: 2 ** 24,
  FILTER_MASK: 2 ** 28,
  ETHERTYPE_AND: 2 ** 29,
  ETHERTYPE_XOR: 2 ** 30,
  TOGGLE: 2 ** 31,
} as const;

/** `ethertype_match` of the VLAN offloads: both ways use the same type. */
export const VIRTCHNL_ETHERTYPE_STRIPPING_MATCHES_INSERTION = 0;

/** Receive descriptor formats that ice offers: `RXDID` numbers. */
export const VIRTCHNL_RXDID = { LEGACY_32B: 1, FLEX_NIC: 2 } as const;

/** What ice grants and accepts. Source: the ice driver of Linux 7.2. */
export const VIRTCHNL_LIMITS = {
  /** Queue pairs of a VF; the queue bitmaps are as wide. */
  queuePairs: 16,
  /** Addresses of an untrusted VF. */
  macFilters: 18,
  /** VLANs of an untrusted VF; VLAN 0, which every VF has, counts for ADD_VLAN. */
  vlanFilters: 8,
  /** VLAN numbers. */
  vlans: 4096,
  rssKeyBytes: 52,
  rssLutEntries: 64,
  /** Length of a ring: 0, or a multiple within bounds. */
  ring: { least: 64, most: 8160, multiple: 32 },
  /** Bytes of a receive buffer; 0 is taken too. */
  rxBuffer: { least: 128, most: 16384 - 128 },
  /** Shortest `max_pkt_size`, and the longest frame of the port. */
  packet: { least: 64, most: 9728 },
} as const;
