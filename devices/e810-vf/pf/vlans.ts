import {
  hasVirtchnlCap,
  type StructValue,
  VIRTCHNL_ETHERTYPE_STRIPPING_MATCHES_INSERTION,
  VIRTCHNL_LIMITS,
  VIRTCHNL_VLAN,
  VirtchnlVlanCaps,
  VirtchnlVlanFilterList,
  VirtchnlVlanFilterListV2,
  VirtchnlVlanSetting,
} from 'stopcopy/uapi';
import { ETHERTYPE, vidOf } from '../hardware/frame.js';
import { hasPortVlan } from '../hardware/switch.js';
import type { PfState, VfState } from '../vf-state.js';
import {
  type Answer,
  forVsi,
  type Handler,
  notSupported,
  param,
  success,
  successWith,
  whenActive,
} from './answer.js';

type Vlan = PfState['vlans'][number];

const same = (one: Vlan) => (other: Vlan) => one.tpid === other.tpid && one.vid === other.vid;

function addVlan(pf: PfState, vlan: Vlan): void {
  if (!pf.vlans.some(same(vlan))) pf.vlans.push(vlan);
}

function deleteVlan(pf: PfState, vlan: Vlan): void {
  pf.vlans = pf.vlans.filter((other) => !same(vlan)(other));
}

/** VLAN 0, which every VF has, is one of those that an untrusted VF can have. */
const isFull = (pf: PfState): boolean => !pf.trusted && pf.vlans.length + 1 >= VIRTCHNL_LIMITS.vlanFilters;

const inner = (vid: number): Vlan => ({ tpid: ETHERTYPE.vlan, vid });

/** ADD_VLAN. An untrusted VF that has all it may have is told of success, and nothing happens. */
function addVlans({ pf }: VfState, vids: readonly number[]): Answer {
  if (isFull(pf)) return success;
  if (hasPortVlan(pf)) return param;
  for (const vid of vids) {
    if (isFull(pf)) return success;
    if (vid !== 0) addVlan(pf, inner(vid));
  }
  return success;
}

/** DEL_VLAN. A VLAN that is not there is no error. */
function deleteVlans({ pf }: VfState, vids: readonly number[]): Answer {
  if (hasPortVlan(pf)) return param;
  for (const vid of vids) if (vid !== 0) deleteVlan(pf, inner(vid));
  return success;
}

const forVids = (handle: (state: VfState, vids: readonly number[]) => Answer): Handler =>
  forVsi(
    (payload) => VirtchnlVlanFilterList.decode(payload),
    ({ head }) => head.vsi_id,
    (state, { items }) => {
      const vids = items.map(({ vlan_id }) => vlan_id);
      const sound = hasVirtchnlCap(state.pf.caps, 'VLAN') && vids.every((vid) => vid < VIRTCHNL_LIMITS.vlans);
      return sound ? handle(state, vids) : param;
    },
  );

/** ENABLE_VLAN_STRIPPING, DISABLE_VLAN_STRIPPING. */
const setStripping = (strip: boolean): Handler =>
  whenActive(({ pf }) => {
    if (!hasVirtchnlCap(pf.caps, 'VLAN')) return param;
    pf.innerStrip = strip;
    return success;
  });

/** GET_OFFLOAD_VLAN_V2_CAPS: the single VLAN mode, in which the guest's VLANs are the inner ones. */
const getVlanV2Caps: Handler = whenActive(({ pf }) => {
  const { ETHERTYPE_8100, TOGGLE, TAG_LOCATION_L2TAG1, UNSUPPORTED } = VIRTCHNL_VLAN;
  const portVlan = hasPortVlan(pf);
  const type = portVlan ? UNSUPPORTED : ETHERTYPE_8100;
  const offload = portVlan ? UNSUPPORTED : (ETHERTYPE_8100 | TOGGLE | TAG_LOCATION_L2TAG1) >>> 0;
  const most = pf.trusted ? VIRTCHNL_LIMITS.vlans : VIRTCHNL_LIMITS.vlanFilters;
  pf.vlanV2Caps = VirtchnlVlanCaps.encode({
    filtering_outer: UNSUPPORTED,
    filtering_inner: type,
    filtering_ethertype_init: type,
    max_filters: portVlan ? 0 : most,
    filtering_pad: new Uint8Array(2),
    stripping_outer: UNSUPPORTED,
    stripping_inner: offload,
    insertion_outer: UNSUPPORTED,
    insertion_inner: offload,
    offloads_ethertype_init: type,
    ethertype_match: VIRTCHNL_ETHERTYPE_STRIPPING_MATCHES_INSERTION,
    offloads_pad: new Uint8Array(3),
  });
  return successWith(pf.vlanV2Caps.slice());
});

type Filter = StructValue<typeof VirtchnlVlanFilterListV2.element.fields>;

/** A filter of TCI 0 or TPID 0 is left out. */
const hasTag = (tci: number, tpid: number): boolean => tci !== 0 && tpid !== 0;

/** Whether a filter needs only what was negotiated: an inner tag of 0x8100, by number. */
function isNegotiated(pf: PfState, filter: Filter): boolean {
  const { filtering_inner } = VirtchnlVlanCaps.decode(pf.vlanV2Caps);
  if (hasTag(filter.outer_tci, filter.outer_tpid) || filter.outer_tci_mask || filter.inner_tci_mask)
    return false;
  if (filter.outer_tci !== vidOf(filter.outer_tci) || filter.inner_tci !== vidOf(filter.inner_tci))
    return false;
  if (!hasTag(filter.inner_tci, filter.inner_tpid)) return true;
  return (filtering_inner & VIRTCHNL_VLAN.ETHERTYPE_8100) !== 0 && filter.inner_tpid === ETHERTYPE.vlan;
}

/** ADD_VLAN_V2, DEL_VLAN_V2. */
const forFilters = (most: (pf: PfState) => number, act: (pf: PfState, vlan: Vlan) => void): Handler =>
  forVsi(
    (payload) => VirtchnlVlanFilterListV2.decode(payload),
    ({ head }) => head.vport_id,
    ({ pf }, { items }) => {
      if (items.length > most(pf) || !items.every((filter) => isNegotiated(pf, filter))) return param;
      for (const { inner_tci, inner_tpid } of items)
        if (hasTag(inner_tci, inner_tpid)) act(pf, { tpid: inner_tpid, vid: vidOf(inner_tci) });
      return success;
    },
  );

const room = (pf: PfState): number => VirtchnlVlanCaps.decode(pf.vlanV2Caps).max_filters - pf.vlans.length;

/** A setting of stripping or insertion: one type that was negotiated, with the right to change it. */
function isSetting(negotiated: number, setting: number): boolean {
  const single = (setting & (setting - 1)) === 0;
  return single && (negotiated & setting) !== 0 && (negotiated & VIRTCHNL_VLAN.TOGGLE) !== 0;
}

const forSetting = (what: 'stripping' | 'insertion', apply: (state: VfState) => Answer): Handler =>
  forVsi(
    (payload) => VirtchnlVlanSetting.decode(payload),
    ({ vport_id }) => vport_id,
    (state, { outer_ethertype_setting: outerType, inner_ethertype_setting: innerType }) => {
      const negotiated = VirtchnlVlanCaps.decode(state.pf.vlanV2Caps)[`${what}_inner`];
      // Outer tags are never negotiated. Of all bits, only a type can be set.
      const sound = outerType === 0 && innerType === VIRTCHNL_VLAN.ETHERTYPE_8100;
      return sound && isSetting(negotiated, innerType) ? apply(state) : param;
    },
  );

const setStrippingV2 = (strip: boolean): Handler =>
  forSetting('stripping', ({ pf, rx }) => {
    if (strip && rx.some(({ configured, crcStrip }) => configured && !crcStrip)) return notSupported;
    pf.innerStrip = strip;
    return success;
  });

/** A tag is inserted where a Tx descriptor asks for it; there is nothing else to switch. */
const setInsertionV2 = forSetting('insertion', () => success);

export const VLAN_HANDLERS = {
  ADD_VLAN: forVids(addVlans),
  DEL_VLAN: forVids(deleteVlans),
  ENABLE_VLAN_STRIPPING: setStripping(true),
  DISABLE_VLAN_STRIPPING: setStripping(false),
  GET_OFFLOAD_VLAN_V2_CAPS: getVlanV2Caps,
  ADD_VLAN_V2: forFilters(room, addVlan),
  DEL_VLAN_V2: forFilters(() => Number.POSITIVE_INFINITY, deleteVlan),
  ENABLE_VLAN_STRIPPING_V2: setStrippingV2(true),
  DISABLE_VLAN_STRIPPING_V2: setStrippingV2(false),
  ENABLE_VLAN_INSERTION_V2: setInsertionV2,
  DISABLE_VLAN_INSERTION_V2: setInsertionV2,
} as const;
