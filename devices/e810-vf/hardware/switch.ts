import type { PfState, VfState } from '../vf-state.js';
import { type Cast, castOf, isOneOf, tciOf, tpidOf, vidOf } from './frame.js';

/** Whether a port VLAN is set: the host's, of which the guest knows nothing. */
export const hasPortVlan = ({ portVlan }: PfState): boolean => portVlan.vid !== 0;

/**
 * The switch in front of the VSI: whether a frame from the cable is for this VF, by address and VLAN.
 * Multicast is for those who asked for the group, or for all groups.
 */
export function isForVf(state: VfState, frame: Uint8Array): boolean {
  if (!state.filtersInstalled) return false;
  const { pf } = state;
  return isWantedAddress(pf, frame, castOf(frame)) && isWantedVlan(pf, frame);
}

function isWantedAddress(pf: PfState, frame: Uint8Array, cast: Cast): boolean {
  if (cast === 'broadcast') return true;
  if (cast === 'unicast' ? pf.unicastPromisc : pf.multicastPromisc) return true;
  return isOneOf(frame, 0, pf.macs);
}

/**
 * VLANs are filtered from the first one on that the guest adds, but not in promiscuous mode. Frames without
 * a tag, or with a priority only, always pass. With a port VLAN nothing else passes.
 */
function isWantedVlan(pf: PfState, frame: Uint8Array): boolean {
  const tpid = tpidOf(frame);
  const vid = tpid === 0 ? 0 : vidOf(tciOf(frame));
  if (hasPortVlan(pf)) return tpid === pf.portVlan.tpid && vid === pf.portVlan.vid;
  if (vid === 0 || pf.vlans.length === 0 || pf.unicastPromisc || pf.multicastPromisc) return true;
  return hasVlan(pf, tpid, vid);
}

function hasVlan(pf: PfState, tpid: number, vid: number): boolean {
  for (const vlan of pf.vlans) if (vlan.vid === vid && vlan.tpid === tpid) return true;
  return false;
}

/**
 * Anti-spoofing: whether the VF may send this frame, by source address and, once it has VLANs, by VLAN. While
 * a VF that is being suspended drains its queues, its filters are gone, and nothing is left to compare with.
 */
export function maySend(state: VfState, frame: Uint8Array): boolean {
  const { pf } = state;
  if (!pf.spoofCheck || !state.filtersInstalled) return true;
  if (!isOneOf(frame, 6, pf.macs)) return false;
  const tpid = tpidOf(frame);
  const vid = tpid === 0 || hasPortVlan(pf) ? 0 : vidOf(tciOf(frame));
  return vid === 0 || pf.vlans.length === 0 || hasVlan(pf, tpid, vid);
}
