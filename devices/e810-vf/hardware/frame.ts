/** What the switch and the queues look at in an Ethernet frame, without preamble and FCS. */

/** Bytes of addresses and type. */
export const ETHERNET_HEADER = 14;
/** Bytes of a VLAN tag. */
export const VLAN_TAG = 4;
/** Longest frame that the device sends or takes, a VLAN tag not counted. */
export const LONGEST_FRAME = 9728;

export const ETHERTYPE = { ipv4: 0x0800, vlan: 0x8100, ipv6: 0x86dd, qinq: 0x88a8, oldQinq: 0x9100 } as const;

const BROADCAST = 0xff;

/** To whom a frame goes, as the counters tell apart. */
export type Cast = 'unicast' | 'multicast' | 'broadcast';

/** The counters of frames, by cast. */
export const COUNTER = {
  rx: { unicast: 'rx_unicast', multicast: 'rx_multicast', broadcast: 'rx_broadcast' },
  tx: { unicast: 'tx_unicast', multicast: 'tx_multicast', broadcast: 'tx_broadcast' },
} as const;

/** The cast of a frame, by its destination. */
export function castOf(frame: Uint8Array): Cast {
  if (!(frame[0]! & 1)) return 'unicast';
  for (let at = 0; at < 6; at++) if (frame[at] !== BROADCAST) return 'multicast';
  return 'broadcast';
}

/** Two bytes of a frame in network order. */
export const word = (frame: Uint8Array, at: number): number => (frame[at]! << 8) | frame[at + 1]!;

/** The TPID of a frame's VLAN tag; 0 when it has none, or none that is whole. */
export function tpidOf(frame: Uint8Array): number {
  const type = word(frame, 12);
  const tagged = type === ETHERTYPE.vlan || type === ETHERTYPE.qinq || type === ETHERTYPE.oldQinq;
  return tagged && frame.length >= ETHERNET_HEADER + VLAN_TAG ? type : 0;
}

/** The TCI of a frame that has a tag. */
export const tciOf = (frame: Uint8Array): number => word(frame, 14);

/** VLAN number of a TCI. */
export const vidOf = (tci: number): number => tci & 0xfff;

/** Whether six bytes at `at` are this address. */
export function isMac(frame: Uint8Array, at: number, mac: Uint8Array): boolean {
  for (let index = 0; index < 6; index++) if (frame[at + index] !== mac[index]) return false;
  return true;
}

/** Whether six bytes at `at` are one of these addresses. */
export function isOneOf(frame: Uint8Array, at: number, macs: readonly Uint8Array[]): boolean {
  for (const mac of macs) if (isMac(frame, at, mac)) return true;
  return false;
}

/** Puts a tag into the frame at the beginning of `buffer`, which has room. Returns the new length. */
export function insertTag(buffer: Uint8Array, length: number, tpid: number, tci: number): number {
  buffer.copyWithin(12 + VLAN_TAG, 12, length);
  buffer[12] = tpid >> 8;
  buffer[13] = tpid & 0xff;
  buffer[14] = tci >> 8;
  buffer[15] = tci & 0xff;
  return length + VLAN_TAG;
}

/** Copies a frame without its tag to the beginning of `into`. Returns the new length. */
export function withoutTag(frame: Uint8Array, into: Uint8Array): number {
  into.set(frame);
  into.copyWithin(12, 12 + VLAN_TAG, frame.length);
  return frame.length - VLAN_TAG;
}
