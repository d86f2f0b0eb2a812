import {
  hasVirtchnlCap,
  VIRTCHNL_OPS,
  VIRTCHNL_RXDID,
  VIRTCHNL_STATUS,
  VIRTCHNL_VERSION,
  VirtchnlEthStats,
  type VirtchnlOp,
  VirtchnlSupportedRxdids,
  VirtchnlVersionInfo,
  VirtchnlVfResource,
  virtchnlOp,
  virtchnlStatusName,
} from 'stopcopy/uapi';
import { TRAFFIC_VLANS } from '../traffic.js';
import { type ControlBlock, complain } from './control-block.js';
import {
  capsMessage,
  irqMapMessage,
  macsMessage,
  promiscMessage,
  queuesMessage,
  rssKeyMessage,
  rssLutMessage,
  selectMessage,
  versionMessage,
  vlansMessage,
} from './messages.js';
import type { RamLayout } from './ram-layout.js';
import { enterState } from './states.js';

/** The requests, in the order of urgency that iavf's watchdog has. Names are those of its `aq_required` flags. */
const REQUESTS = [
  'VERSION',
  'GET_CONFIG',
  'GET_RXDIDS',
  'MAP_VECTORS',
  'ADD_MAC_FILTER',
  'ADD_VLAN_FILTER',
  'DEL_MAC_FILTER',
  'DEL_VLAN_FILTER',
  'ENABLE_VLAN_STRIPPING',
  'CONFIGURE_QUEUES',
  'ENABLE_QUEUES',
  'SET_RSS_KEY',
  'SET_RSS_LUT',
  'CONFIGURE_PROMISC_MODE',
  'GET_STATS',
] as const;
export type RequestName = (typeof REQUESTS)[number];

/** What requests need, beside the control block. */
export interface RequestContext {
  readonly layout: RamLayout;
  readonly queuePairs: number;
  /** The driver's own MAC. */
  readonly mac: Uint8Array;
  /** The queues are about to be configured: the rings begin anew. */
  resetRings(block: ControlBlock): void;
  /** The queues run: the device may hear of the buffers. */
  startRings(block: ControlBlock): void;
}

interface RequestKind {
  readonly op: VirtchnlOp;
  /** What the request is about, which is kept until its answer: bits of filters. 0: it is not needed any more. */
  readonly detail?: (block: ControlBlock) => number;
  readonly message: (block: ControlBlock, context: RequestContext) => Uint8Array;
  /** The PF has granted it. @throws RangeError when the reply is too short */
  readonly granted?: (block: ControlBlock, reply: Uint8Array, context: RequestContext) => void;
}

/** VLANs and multicast addresses that come and go, beside those that the traffic needs. */
const SPARE = { vlans: [200, 201, 202, 203], macs: 6 } as const;
const VLANS: readonly number[] = [...TRAFFIC_VLANS, ...SPARE.vlans];
/** Bits of the filters that stay: the VLANs of the traffic, and the driver's own address. */
const LASTING = { vlans: 2 ** TRAFFIC_VLANS.length - 1, mac: 1 } as const;

const bitsOf = (mask: number): number[] =>
  Array.from({ length: 31 }, (_, bit) => bit).filter((bit) => (mask & (1 << bit)) !== 0);

const macsOf = (mask: number, own: Uint8Array) =>
  bitsOf(mask).map((bit) =>
    bit === 0 ? { mac: own, own: true } : { mac: Uint8Array.of(0x01, 0, 0x5e, 0, 0, bit), own: false },
  );
const vlansOf = (mask: number): number[] => bitsOf(mask).map((bit) => VLANS[bit]!);

const nothing = () => new Uint8Array(0);

const KINDS: Readonly<Record<RequestName, RequestKind>> = {
  VERSION: {
    op: 'VERSION',
    message: versionMessage,
    granted: (block, reply) => {
      const { major, minor } = VirtchnlVersionInfo.decode(reply);
      if (major !== VIRTCHNL_VERSION.major || minor !== VIRTCHNL_VERSION.minor)
        complain(block, `the PF speaks virtchnl ${major}.${minor}`);
      enterState(block, 'INIT_GET_RESOURCES');
      schedule(block, 'GET_CONFIG');
    },
  },
  GET_CONFIG: {
    op: 'GET_VF_RESOURCES',
    message: capsMessage,
    granted: (block, reply, { queuePairs }) => {
      const { head, items } = VirtchnlVfResource.decode(reply);
      if (head.num_queue_pairs < queuePairs)
        complain(block, `the VF has ${head.num_queue_pairs} queue pairs, and the driver ${queuePairs}`);
      block.caps = head.vf_cap_flags;
      block.vsiId = items[0]?.vsi_id ?? 0;
      block.rxdid = VIRTCHNL_RXDID.LEGACY_32B;
      enterState(block, 'INIT_EXTENDED_CAPS');
      if (hasVirtchnlCap(block.caps, 'RX_FLEX_DESC')) schedule(block, 'GET_RXDIDS');
    },
  },
  GET_RXDIDS: {
    op: 'GET_SUPPORTED_RXDIDS',
    message: nothing,
    granted: (block, reply) => {
      const { supported_rxdids } = VirtchnlSupportedRxdids.decode(reply);
      if (supported_rxdids & (1n << BigInt(VIRTCHNL_RXDID.FLEX_NIC))) block.rxdid = VIRTCHNL_RXDID.FLEX_NIC;
    },
  },
  MAP_VECTORS: {
    op: 'CONFIG_IRQ_MAP',
    message: ({ vsiId }, { queuePairs }) => irqMapMessage(vsiId, queuePairs),
    granted: (block) => {
      if (hasVirtchnlCap(block.caps, 'VLAN')) schedule(block, 'ENABLE_VLAN_STRIPPING');
      schedule(block, 'ENABLE_QUEUES');
    },
  },
  ADD_MAC_FILTER: {
    op: 'ADD_ETH_ADDR',
    detail: ({ macsWanted, macsSet }) => macsWanted & ~macsSet,
    message: ({ vsiId, operationDetail }, { mac }) =>
      macsMessage('ADD_ETH_ADDR', vsiId, macsOf(operationDetail, mac)),
    granted: (block) => {
      block.macsSet |= block.operationDetail;
      if (block.operationDetail & LASTING.mac) schedule(block, 'CONFIGURE_QUEUES');
    },
  },
  ADD_VLAN_FILTER: {
    op: 'ADD_VLAN',
    detail: ({ vlansWanted, vlansSet }) => vlansWanted & ~vlansSet,
    message: ({ vsiId, operationDetail }) => vlansMessage('ADD_VLAN', vsiId, vlansOf(operationDetail)),
    granted: (block) => {
      block.vlansSet |= block.operationDetail;
    },
  },
  DEL_MAC_FILTER: {
    op: 'DEL_ETH_ADDR',
    detail: ({ macsWanted, macsSet }) => macsSet & ~macsWanted,
    message: ({ vsiId, operationDetail }, { mac }) =>
      macsMessage('DEL_ETH_ADDR', vsiId, macsOf(operationDetail, mac)),
    granted: (block) => {
      block.macsSet &= ~block.operationDetail;
    },
  },
  DEL_VLAN_FILTER: {
    op: 'DEL_VLAN',
    detail: ({ vlansWanted, vlansSet }) => vlansSet & ~vlansWanted,
    message: ({ vsiId, operationDetail }) => vlansMessage('DEL_VLAN', vsiId, vlansOf(operationDetail)),
    granted: (block) => {
      block.vlansSet &= ~block.operationDetail;
    },
  },
  ENABLE_VLAN_STRIPPING: { op: 'ENABLE_VLAN_STRIPPING', message: nothing },
  CONFIGURE_QUEUES: {
    op: 'CONFIG_VSI_QUEUES',
    message: (block, { layout, resetRings }) => {
      resetRings(block);
      return queuesMessage(block.vsiId, layout, block.rxdid);
    },
    granted: (block) => schedule(block, 'MAP_VECTORS'),
  },
  ENABLE_QUEUES: {
    op: 'ENABLE_QUEUES',
    message: ({ vsiId }, { queuePairs }) => selectMessage(vsiId, queuePairs),
    granted: (block, _reply, { startRings }) => {
      enterState(block, 'RUNNING');
      startRings(block);
      schedule(block, 'CONFIGURE_PROMISC_MODE');
      if (!hasVirtchnlCap(block.caps, 'VLAN')) return;
      block.vlansWanted |= LASTING.vlans;
      schedule(block, 'ADD_VLAN_FILTER');
    },
  },
  SET_RSS_KEY: { op: 'CONFIG_RSS_KEY', message: ({ vsiId, seed }) => rssKeyMessage(vsiId, seed) },
  SET_RSS_LUT: {
    op: 'CONFIG_RSS_LUT',
    message: ({ vsiId }, { queuePairs }) => rssLutMessage(vsiId, queuePairs),
  },
  CONFIGURE_PROMISC_MODE: { op: 'CONFIG_PROMISCUOUS_MODE', message: ({ vsiId }) => promiscMessage(vsiId) },
  GET_STATS: {
    op: 'GET_STATS',
    message: ({ vsiId }) => selectMessage(vsiId, 0),
    granted: (_block, reply) => {
      VirtchnlEthStats.decode(reply);
    },
  },
};

/** Marks a request as due. */
export function schedule(block: ControlBlock, name: RequestName): void {
  block.required |= 1 << REQUESTS.indexOf(name);
}

/** The first request that is due becomes the outstanding one. @returns its opcode and message; null: none is due */
export function nextRequest(
  block: ControlBlock,
  context: RequestContext,
): { opcode: number; message: Uint8Array } | null {
  for (const [bit, name] of REQUESTS.entries()) {
    if ((block.required & (1 << bit)) === 0) continue;
    block.required &= ~(1 << bit);
    const { op, detail, message } = KINDS[name];
    block.operationDetail = detail?.(block) ?? 0;
    if (detail && block.operationDetail === 0) continue;
    block.operation = VIRTCHNL_OPS[op];
    block.operationSince = block.runs;
    return { opcode: block.operation, message: message(block, context) };
  }
  return null;
}

/** Takes the answer to the outstanding request. */
export function takeAnswer(
  block: ControlBlock,
  { status, payload }: { status: number; payload: Uint8Array },
  context: RequestContext,
): void {
  const op = virtchnlOp(block.operation);
  const kind = Object.values(KINDS).find((each) => each.op === op);
  block.operation = 0;
  block.answered++;
  if (status !== VIRTCHNL_STATUS.SUCCESS) {
    block.refused++;
    complain(block, `the PF refused ${op}: ${virtchnlStatusName(status)}`);
    return;
  }
  try {
    kind?.granted?.(block, payload, context);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    complain(block, `the reply to ${op} cannot be read: ${error.message}`);
  }
}

/** What the driver wants after it has begun, or after a reset: nothing is with the PF. */
export function forgetFilters(block: ControlBlock): void {
  block.required = 0;
  block.operation = 0;
  block.macsSet = 0;
  block.vlansSet = 0;
  block.macsWanted |= LASTING.mac;
}

/** Adds or removes one of the filters that come and go; which one is drawn. */
export function churnFilters(block: ControlBlock, draw: number): void {
  const spare = draw % (SPARE.vlans.length + SPARE.macs);
  if (spare >= SPARE.vlans.length) {
    block.macsWanted ^= 1 << (1 + spare - SPARE.vlans.length);
    schedule(block, 'ADD_MAC_FILTER');
    schedule(block, 'DEL_MAC_FILTER');
  } else if (hasVirtchnlCap(block.caps, 'VLAN')) {
    block.vlansWanted ^= 1 << (TRAFFIC_VLANS.length + spare);
    schedule(block, 'ADD_VLAN_FILTER');
    schedule(block, 'DEL_VLAN_FILTER');
  }
}
