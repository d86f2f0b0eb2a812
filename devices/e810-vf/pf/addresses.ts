import {
  VIRTCHNL_ETHER_ADDR as KIND,
  VIRTCHNL_LIMITS,
  VIRTCHNL_PROMISC,
  VirtchnlEtherAddrList,
  VirtchnlPromiscInfo,
} from 'stopcopy/uapi';
import { castOf, isMac } from '../hardware/frame.js';
import type { PfState, VfState } from '../vf-state.js';
import { type Answer, adminQueue, forVsi, param, success } from './answer.js';

interface Address {
  readonly addr: Uint8Array;
  readonly type: number;
}

const isZero = (mac: Uint8Array): boolean => mac.every((byte) => byte === 0);
const isUnicast = (mac: Uint8Array): boolean => castOf(mac) === 'unicast';
/** Broadcast is always there, and zero is no address. */
const isIgnored = (mac: Uint8Array): boolean => isZero(mac) || castOf(mac) === 'broadcast';

/** A MAC that the host's administrator has set is not the guest's to change, unless it is trusted. */
const mayChangeMac = ({ macSetByHost, trusted }: PfState): boolean => !macSetByHost || trusted;

const kindOf = ({ type }: Address): number => type & KIND.MASK;

/** ADD_ETH_ADDR. What stands before an error is done. */
function addAddresses({ pf }: VfState, addresses: readonly Address[]): Answer {
  if (!pf.trusted && pf.macs.length + addresses.length > VIRTCHNL_LIMITS.macFilters) return param;
  for (const address of addresses)
    if (!isIgnored(address.addr) && !addAddress(pf, address)) return adminQueue;
  return success;
}

function addAddress(pf: PfState, address: Address): boolean {
  const { addr } = address;
  const own = isMac(addr, 0, pf.deviceMac);
  if (!own && isUnicast(addr) && !mayChangeMac(pf)) return false;
  if (!pf.macs.some((mac) => isMac(addr, 0, mac))) pf.macs.push(Uint8Array.from(addr));
  if (own || !isUnicast(addr)) return true;
  const kind = kindOf(address);
  if (kind === KIND.PRIMARY || (kind === KIND.LEGACY && isZero(pf.hostMac))) setMac(pf, addr);
  return true;
}

/** The guest's own MAC outlives resets of the VF. */
function setMac(pf: PfState, mac: Uint8Array): void {
  pf.deviceMac = Uint8Array.from(mac);
  pf.hostMac = Uint8Array.from(mac);
}

/** DEL_ETH_ADDR. An address that is not there is no error. */
function deleteAddresses({ pf }: VfState, addresses: readonly Address[]): Answer {
  for (const address of addresses) if (!isIgnored(address.addr)) deleteAddress(pf, address);
  return success;
}

function deleteAddress(pf: PfState, address: Address): void {
  const own = isMac(address.addr, 0, pf.deviceMac);
  if (own && !mayChangeMac(pf)) return;
  pf.macs = pf.macs.filter((mac) => !isMac(address.addr, 0, mac));
  if (!own) return;
  pf.deviceMac = new Uint8Array(6);
  // An old guest changes its MAC by adding the new one and deleting the old one; a time limit is left out.
  const added = pf.macs.filter(isUnicast).at(-1);
  if (kindOf(address) === KIND.LEGACY && added) setMac(pf, added);
}

/** CONFIG_PROMISCUOUS_MODE. An untrusted VF is told of success, and nothing happens. */
function configPromiscuousMode({ pf }: VfState, { flags }: { flags: number }): Answer {
  if (!pf.trusted) return success;
  pf.unicastPromisc = (flags & VIRTCHNL_PROMISC.UNICAST) !== 0;
  pf.multicastPromisc = (flags & VIRTCHNL_PROMISC.MULTICAST) !== 0;
  return success;
}

const forAddresses = (handle: (state: VfState, addresses: readonly Address[]) => Answer) =>
  forVsi(
    (payload) => VirtchnlEtherAddrList.decode(payload),
    ({ head }) => head.vsi_id,
    (state, { items }) => handle(state, items),
  );

export const ADDRESS_HANDLERS = {
  ADD_ETH_ADDR: forAddresses(addAddresses),
  DEL_ETH_ADDR: forAddresses(deleteAddresses),
  CONFIG_PROMISCUOUS_MODE: forVsi(
    (payload) => VirtchnlPromiscInfo.decode(payload),
    ({ vsi_id }) => vsi_id,
    configPromiscuousMode,
  ),
} as const;
