/**
 * What the request of a VF must look like, and which requests a PF allows when.
 *
 * Source: `virtchnl_vc_validate_vf_msg` of `include/linux/avf/virtchnl.h` and the allowlist of the ice driver
 * (`virt/allowlist.c`), Linux 7.2.
 */
import {
  hasVirtchnlCap,
  VIRTCHNL_OPS,
  VIRTCHNL_STATUS,
  type VirtchnlCap,
  type VirtchnlOp,
  virtchnlOp,
} from './virtchnl.js';
import {
  VirtchnlEtherAddrList,
  VirtchnlIrqMap,
  VirtchnlPromiscInfo,
  VirtchnlQueueSelect,
  VirtchnlRssHashcfg,
  VirtchnlRssHfunc,
  VirtchnlRssKey,
  VirtchnlRssLut,
  VirtchnlRxqInfo,
  VirtchnlTxqInfo,
  VirtchnlVersionInfo,
  VirtchnlVfResRequest,
  VirtchnlVlanFilterList,
  VirtchnlVlanFilterListV2,
  VirtchnlVlanSetting,
  VirtchnlVsiQueueConfig,
  VirtchnlWantedCaps,
} from './virtchnl-structs.js';

/** The version that a VF has told; a new VF has told none. */
export interface VirtchnlSpoken {
  readonly major: number;
  readonly minor: number;
}

interface LengthRule {
  /**
   * Bytes that a request must have, from what is there of it. `null`: its counts are not allowed. A message
   * that is too short for its counts gets the length of its shortest form, which it does not have.
   */
  length(payload: Uint8Array, version: VirtchnlSpoken): number | null;
  /** Of these, bytes at the end that are never used. */
  readonly unused: number;
}

const fixed = (size: number): LengthRule => ({ length: () => size, unused: 0 });

/** The parts of a flexible struct that decide its length. */
interface Counted {
  readonly itemsOffset: number;
  readonly element: { readonly size: number };
}

/** A list whose length counts `extra` elements more than there are; empty lists are not allowed. */
function list(shape: Counted, countAt: number, extra: number): LengthRule {
  const sizeFor = (count: number) => shape.itemsOffset + (count + extra) * shape.element.size;
  return {
    length(payload) {
      const least = sizeFor(0);
      if (payload.length < least) return least;
      const count = payload[countAt]! | (payload[countAt + 1]! << 8);
      return count === 0 ? null : sizeFor(count);
    },
    unused: extra * shape.element.size,
  };
}

/** One element too many: the rule of the structs that once held their first element. */
const historic = (shape: Counted, countAt: number): LengthRule => list(shape, countAt, 1);
const exact = (shape: Counted, countAt: number): LengthRule => list(shape, countAt, 0);

/** Structs that are only known by their sizes here. */
const sized = (itemsOffset: number, size: number): Counted => ({ itemsOffset, element: { size } });

const RULES: Readonly<Partial<Record<VirtchnlOp, LengthRule>>> = {
  VERSION: fixed(VirtchnlVersionInfo.size),
  RESET_VF: fixed(0),
  GET_VF_RESOURCES: {
    length: (_payload, { major, minor }) => (major === 1 && minor === 1 ? VirtchnlWantedCaps.size : 0),
    unused: 0,
  },
  CONFIG_TX_QUEUE: fixed(VirtchnlTxqInfo.size),
  CONFIG_RX_QUEUE: fixed(VirtchnlRxqInfo.size),
  CONFIG_VSI_QUEUES: historic(VirtchnlVsiQueueConfig, VirtchnlVsiQueueConfig.head.offsets.num_queue_pairs),
  CONFIG_IRQ_MAP: historic(VirtchnlIrqMap, VirtchnlIrqMap.head.offsets.num_vectors),
  ENABLE_QUEUES: fixed(VirtchnlQueueSelect.size),
  DISABLE_QUEUES: fixed(VirtchnlQueueSelect.size),
  ADD_ETH_ADDR: historic(VirtchnlEtherAddrList, VirtchnlEtherAddrList.head.offsets.num_elements),
  DEL_ETH_ADDR: historic(VirtchnlEtherAddrList, VirtchnlEtherAddrList.head.offsets.num_elements),
  ADD_VLAN: historic(VirtchnlVlanFilterList, VirtchnlVlanFilterList.head.offsets.num_elements),
  DEL_VLAN: historic(VirtchnlVlanFilterList, VirtchnlVlanFilterList.head.offsets.num_elements),
  CONFIG_PROMISCUOUS_MODE: fixed(VirtchnlPromiscInfo.size),
  GET_STATS: fixed(VirtchnlQueueSelect.size),
  CONFIG_RSS_HFUNC: fixed(VirtchnlRssHfunc.size),
  RDMA: { length: (payload) => payload.length || null, unused: 0 },
  CONFIG_RDMA_IRQ_MAP: exact(sized(4, 12), 0),
  RELEASE_RDMA_IRQ_MAP: fixed(0),
  CONFIG_RSS_KEY: historic(VirtchnlRssKey, VirtchnlRssKey.head.offsets.key_len),
  CONFIG_RSS_LUT: historic(VirtchnlRssLut, VirtchnlRssLut.head.offsets.lut_entries),
  GET_RSS_HASHCFG_CAPS: fixed(0),
  SET_RSS_HASHCFG: fixed(VirtchnlRssHashcfg.size),
  ENABLE_VLAN_STRIPPING: fixed(0),
  DISABLE_VLAN_STRIPPING: fixed(0),
  REQUEST_QUEUES: fixed(VirtchnlVfResRequest.size),
  ENABLE_CHANNELS: historic(sized(8, 16), 0),
  DISABLE_CHANNELS: fixed(0),
  ADD_CLOUD_FILTER: fixed(272),
  DEL_CLOUD_FILTER: fixed(272),
  GET_SUPPORTED_RXDIDS: fixed(0),
  ADD_RSS_CFG: fixed(2444),
  DEL_RSS_CFG: fixed(2444),
  ADD_FDIR_FILTER: fixed(2616),
  DEL_FDIR_FILTER: fixed(12),
  GET_OFFLOAD_VLAN_V2_CAPS: fixed(0),
  ADD_VLAN_V2: exact(VirtchnlVlanFilterListV2, VirtchnlVlanFilterListV2.head.offsets.num_elements),
  DEL_VLAN_V2: exact(VirtchnlVlanFilterListV2, VirtchnlVlanFilterListV2.head.offsets.num_elements),
  ENABLE_VLAN_STRIPPING_V2: fixed(VirtchnlVlanSetting.size),
  DISABLE_VLAN_STRIPPING_V2: fixed(VirtchnlVlanSetting.size),
  ENABLE_VLAN_INSERTION_V2: fixed(VirtchnlVlanSetting.size),
  DISABLE_VLAN_INSERTION_V2: fixed(VirtchnlVlanSetting.size),
  PTP_GET_CAPS: fixed(48),
  PTP_GET_TIME: fixed(16),
  GET_QOS_CAPS: fixed(0),
  CONFIG_QUEUE_BW: exact(sized(4, 12), 2),
  CONFIG_QUANTA: fixed(12),
};

/**
 * Bytes that a request must have. `null`: its counts are not allowed. `undefined`: no VF sends this.
 * @param payload the request, as much of it as there is
 */
export function virtchnlRequestLength(
  opcode: number,
  payload: Uint8Array,
  version: VirtchnlSpoken,
): number | null | undefined {
  const name = virtchnlOp(opcode);
  return name && RULES[name]?.length(payload, version);
}

/**
 * Looks at opcode and length of a request. Returns SUCCESS, OPCODE_MISMATCH for a wrong length or an empty
 * list, or PARAM for what no VF may send. (A PF answers PARAM to either.)
 */
export function checkVirtchnlRequest(opcode: number, payload: Uint8Array, version: VirtchnlSpoken): number {
  const expected = virtchnlRequestLength(opcode, payload, version);
  if (expected === undefined) return VIRTCHNL_STATUS.ERR_PARAM;
  return expected === payload.length ? VIRTCHNL_STATUS.SUCCESS : VIRTCHNL_STATUS.ERR_OPCODE_MISMATCH;
}

/**
 * A request as it travels: with the room of one element more where the old structs had it.
 * @param bytes the message without that room, as `encode` of the struct gives it
 */
export function virtchnlRequest(op: VirtchnlOp, bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(bytes.length + (RULES[op]?.unused ?? 0));
  whole.set(bytes);
  return whole;
}

const opcodes = (names: readonly VirtchnlOp[]): readonly number[] => names.map((name) => VIRTCHNL_OPS[name]);

/** Requests that a VF may make from its reset on. */
export const VIRTCHNL_DEFAULT_ALLOWLIST = opcodes(['VERSION', 'RESET_VF', 'GET_VF_RESOURCES']);

/** Requests that GET_VF_RESOURCES adds in any case. */
export const VIRTCHNL_WORKING_ALLOWLIST = opcodes([
  'CONFIG_TX_QUEUE',
  'CONFIG_RX_QUEUE',
  'CONFIG_VSI_QUEUES',
  'CONFIG_IRQ_MAP',
  'ENABLE_QUEUES',
  'DISABLE_QUEUES',
  'GET_STATS',
  'EVENT',
]);

/** Requests that a negotiated capability adds. */
export const VIRTCHNL_CAP_ALLOWLIST: Readonly<Partial<Record<VirtchnlCap, readonly number[]>>> = {
  L2: opcodes(['ADD_ETH_ADDR', 'DEL_ETH_ADDR', 'CONFIG_PROMISCUOUS_MODE']),
  VLAN: opcodes(['ADD_VLAN', 'DEL_VLAN', 'ENABLE_VLAN_STRIPPING', 'DISABLE_VLAN_STRIPPING']),
  VLAN_V2: opcodes([
    'GET_OFFLOAD_VLAN_V2_CAPS',
    'ADD_VLAN_V2',
    'DEL_VLAN_V2',
    'ENABLE_VLAN_STRIPPING_V2',
    'DISABLE_VLAN_STRIPPING_V2',
    'ENABLE_VLAN_INSERTION_V2',
    'DISABLE_VLAN_INSERTION_V2',
  ]),
  RSS_PF: opcodes([
    'CONFIG_RSS_HFUNC',
    'CONFIG_RSS_KEY',
    'CONFIG_RSS_LUT',
    'GET_RSS_HASHCFG_CAPS',
    'SET_RSS_HASHCFG',
  ]),
  RX_FLEX_DESC: opcodes(['GET_SUPPORTED_RXDIDS']),
  REQ_QUEUES: opcodes(['REQUEST_QUEUES']),
  ADV_RSS_PF: opcodes(['ADD_RSS_CFG', 'DEL_RSS_CFG']),
  FDIR_PF: opcodes(['ADD_FDIR_FILTER', 'DEL_FDIR_FILTER']),
  PTP: opcodes(['PTP_GET_CAPS', 'PTP_GET_TIME']),
  QOS: opcodes(['GET_QOS_CAPS', 'CONFIG_QUEUE_BW', 'CONFIG_QUANTA']),
};

/** All requests that a VF may make after GET_VF_RESOURCES has granted these capabilities. */
export function virtchnlAllowlist(caps: number): Set<number> {
  const granted = (Object.keys(VIRTCHNL_CAP_ALLOWLIST) as VirtchnlCap[]).filter((cap) =>
    hasVirtchnlCap(caps, cap),
  );
  return new Set([
    ...VIRTCHNL_DEFAULT_ALLOWLIST,
    ...VIRTCHNL_WORKING_ALLOWLIST,
    ...granted.flatMap((cap) => VIRTCHNL_CAP_ALLOWLIST[cap]!),
  ]);
}
