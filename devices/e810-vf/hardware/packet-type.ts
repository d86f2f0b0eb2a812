import { VIRTCHNL_RSS_HASHCFG as HASH, E810_PTYPE as PTYPE } from 'stopcopy/uapi';
import { ETHERNET_HEADER, ETHERTYPE, tpidOf, VLAN_TAG, word } from './frame.js';

/** What the parser of the device says of a frame. */
export interface PacketType {
  readonly ptype: number;
  /** Bit of the hash configuration that turns hashing of such frames on; null: nothing turns it on or off. */
  readonly hash: bigint | null;
  /** Bytes of the two addresses that are hashed: two MACs, or IP addresses. */
  readonly addresses: 12 | 8 | 32;
  /** From the beginning of the IP header, in bytes: the addresses, and the ports if they are hashed too. */
  readonly addressesAt: number;
  readonly ports: boolean;
}

const type = (
  ptype: number,
  hash: number | null,
  addresses: PacketType['addresses'],
  ports: boolean,
): PacketType => ({
  ptype,
  hash: hash === null ? null : 1n << BigInt(hash),
  addresses,
  addressesAt: { 12: 0, 8: 12, 32: 8 }[addresses],
  ports,
});

/** Hashed by its MACs, so that plain traffic, too, reaches all queues. The device hashes by IP only. */
const L2 = type(PTYPE.L2, null, 12, false);

const PROTOCOL = { tcp: 6, udp: 17, fragment: 44, sctp: 132 } as const;

const IPV4 = {
  fragment: type(PTYPE.IPV4_FRAGMENT, HASH.IPV4_FRAGMENT, 8, false),
  other: type(PTYPE.IPV4, HASH.IPV4_OTHER, 8, false),
  [PROTOCOL.udp]: type(PTYPE.IPV4_UDP, HASH.IPV4_UDP, 8, true),
  [PROTOCOL.tcp]: type(PTYPE.IPV4_TCP, HASH.IPV4_TCP, 8, true),
  [PROTOCOL.sctp]: type(PTYPE.IPV4_SCTP, HASH.IPV4_SCTP, 8, true),
} as const;

const IPV6 = {
  other: type(PTYPE.IPV6, HASH.IPV6_OTHER, 32, false),
  [PROTOCOL.fragment]: type(PTYPE.IPV6_FRAGMENT, HASH.IPV6_FRAGMENT, 32, false),
  [PROTOCOL.udp]: type(PTYPE.IPV6_UDP, HASH.IPV6_UDP, 32, true),
  [PROTOCOL.tcp]: type(PTYPE.IPV6_TCP, HASH.IPV6_TCP, 32, true),
  [PROTOCOL.sctp]: type(PTYPE.IPV6_SCTP, HASH.IPV6_SCTP, 32, true),
} as const;

/** Bytes of IP headers without options, and of the two ports. */
const HEADER = { ipv4: 20, ipv6: 40, ports: 4 } as const;

/** Where the network header of a frame begins, behind one VLAN tag. */
export const networkHeaderOf = (frame: Uint8Array): number =>
  tpidOf(frame) === 0 ? ETHERNET_HEADER : ETHERNET_HEADER + VLAN_TAG;

/** Classifies a frame. What is cut off counts as plain Ethernet, so all that a type promises is there. */
export function packetTypeOf(frame: Uint8Array): PacketType {
  const at = networkHeaderOf(frame);
  const ethertype = word(frame, at - 2);
  const rest = frame.length - at;
  if (ethertype === ETHERTYPE.ipv4 && rest >= HEADER.ipv4) return ipv4(frame, at, rest);
  if (ethertype === ETHERTYPE.ipv6 && rest >= HEADER.ipv6)
    return whole(IPV6[frame[at + 6] as keyof typeof IPV6], IPV6.other, rest - HEADER.ipv6);
  return L2;
}

function ipv4(frame: Uint8Array, at: number, rest: number): PacketType {
  // The offset of the fragment, or More Fragments.
  if (word(frame, at + 6) & 0x3fff) return IPV4.fragment;
  return whole(
    IPV4[frame[at + 9] as keyof typeof IPV4],
    IPV4.other,
    rest - ipHeaderLength(frame, at, IPV4.other),
  );
}

function whole(found: PacketType | undefined, other: PacketType, behindHeader: number): PacketType {
  return found && (!found.ports || behindHeader >= HEADER.ports) ? found : other;
}

/** Bytes of the IP header at `at`. */
export function ipHeaderLength(frame: Uint8Array, at: number, { addresses }: PacketType): number {
  return addresses === 32 ? HEADER.ipv6 : Math.max(HEADER.ipv4, (frame[at]! & 0xf) * 4);
}
