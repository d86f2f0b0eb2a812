import {
  hasVirtchnlCap,
  VIRTCHNL_CAPS,
  VIRTCHNL_LIMITS,
  VIRTCHNL_RXDID,
  VIRTCHNL_VERSION,
  VIRTCHNL_VSI_SRIOV,
  VirtchnlSupportedRxdids,
  VirtchnlVersionInfo,
  VirtchnlVfResource,
  VirtchnlVsiResource,
  VirtchnlWantedCaps,
  virtchnlAllowlist,
  virtchnlCapMask,
} from 'stopcopy/uapi';
import { VLAN_TAG } from '../hardware/frame.js';
import { hasPortVlan } from '../hardware/switch.js';
import type { PfState, VfState } from '../vf-state.js';
import { type Answer, type Handler, param, successWith, whenActive } from './answer.js';
import { MIGRATION_CAPS } from './message-log.js';

/**
 * What this PF grants when asked, besides VLAN, which follows rules of its own. Of what ice has, flow
 * director, advanced RSS, QoS, PTP and RDMA are missing.
 */
const GRANTED = virtchnlCapMask([
  'RSS_PF',
  'RX_FLEX_DESC',
  'RSS_PCTYPE_V2',
  'ENCAP',
  'ENCAP_CSUM',
  'RX_POLLING',
  'WB_ON_ITR',
  'REQ_QUEUES',
  'CRC',
  'ADV_LINK_SPEED',
  'USO',
]);

/** All capabilities that a VF of this PF can have. */
export const SUPPORTED_CAPS = (GRANTED | virtchnlCapMask(['L2', 'VLAN', 'VLAN_V2'])) >>> 0;

/** Receive descriptor formats, as bits. */
const RXDIDS = 2 ** VIRTCHNL_RXDID.LEGACY_32B + 2 ** VIRTCHNL_RXDID.FLEX_NIC;

/** Whether this PF can program that receive descriptor format. */
export const isRxdid = (rxdid: number): boolean => rxdid < 32 && (RXDIDS & (2 ** rxdid)) !== 0;

/** Longest frame that the guest may ask for: the port VLAN takes room of which it does not know. */
export const longestFrame = (pf: PfState): number =>
  VIRTCHNL_LIMITS.packet.most - (hasPortVlan(pf) ? VLAN_TAG : 0);

const isVersion = ({ version }: PfState, minor: number): boolean =>
  version.major === VIRTCHNL_VERSION.major && version.minor === minor;

/** VERSION: whoever speaks 1.0 gets 1.0 back. */
const version: Handler = ({ pf }, payload) => {
  pf.version = VirtchnlVersionInfo.decode(payload);
  const { major, minor, minorWithoutCaps } = VIRTCHNL_VERSION;
  const spoken = isVersion(pf, minorWithoutCaps) ? minorWithoutCaps : minor;
  return successWith(VirtchnlVersionInfo.encode({ major, minor: spoken }));
};

/** The capabilities that a VF gets for those that it wants. */
function grant(pf: PfState, asked: number): number {
  const wanted = pf.logging ? asked & MIGRATION_CAPS : asked;
  return (VIRTCHNL_CAPS.L2 | (wanted & GRANTED) | vlanCap(pf, wanted)) >>> 0;
}

/** VLAN_V2 goes before VLAN. With a port VLAN the guest has no VLANs of its own. */
function vlanCap(pf: PfState, wanted: number): number {
  if (hasVirtchnlCap(wanted, 'VLAN_V2')) return VIRTCHNL_CAPS.VLAN_V2;
  return hasVirtchnlCap(wanted, 'VLAN') && !hasPortVlan(pf) ? VIRTCHNL_CAPS.VLAN : 0;
}

/** GET_VF_RESOURCES: negotiates, and makes the VF active. */
function getVfResources({ pf }: VfState, payload: Uint8Array): Answer {
  if (!pf.init) return param;
  const asked = isVersion(pf, VIRTCHNL_VERSION.minor)
    ? VirtchnlWantedCaps.decode(payload).vf_cap_flags
    : virtchnlCapMask(['L2', 'VLAN']);
  pf.caps = grant(pf, asked);
  pf.allowlist = virtchnlAllowlist(pf.caps);
  pf.active = true;
  if (!hasPortVlan(pf)) pf.innerStrip = hasVirtchnlCap(pf.caps, 'VLAN');
  return successWith(resources(pf));
}

function resources(pf: PfState): Uint8Array {
  const told = VirtchnlVfResource.encode({
    head: {
      num_vsis: 1,
      num_queue_pairs: pf.queuePairs,
      max_vectors: pf.vectors,
      max_mtu: longestFrame(pf),
      vf_cap_flags: pf.caps,
      rss_key_size: VIRTCHNL_LIMITS.rssKeyBytes,
      rss_lut_size: VIRTCHNL_LIMITS.rssLutEntries,
    },
    items: [
      {
        vsi_id: pf.vsiId,
        num_queue_pairs: pf.queuePairs,
        vsi_type: VIRTCHNL_VSI_SRIOV,
        qset_handle: 0,
        default_mac_addr: pf.hostMac,
      },
    ],
  });
  // The struct once had room for one VSI, and still is as long as if there were one more.
  const whole = new Uint8Array(told.length + VirtchnlVsiResource.size);
  whole.set(told);
  return whole;
}

const getSupportedRxdids: Handler = whenActive(({ pf }) =>
  hasVirtchnlCap(pf.caps, 'RX_FLEX_DESC')
    ? successWith(VirtchnlSupportedRxdids.encode({ supported_rxdids: BigInt(RXDIDS) }))
    : param,
);

export const RESOURCE_HANDLERS = {
  VERSION: version,
  GET_VF_RESOURCES: getVfResources,
  GET_SUPPORTED_RXDIDS: getSupportedRxdids,
} as const;
