/**
 * Tap devices (`linux/if_tun.h`) and network interfaces (`linux/if.h`, `linux/sockios.h`, `linux/if_packet.h`), as
 * far as a back end with a tap needs them.
 */
import { struct } from './struct.js';

/** Request numbers of the ioctls of /dev/net/tun. */
export const TUN_IOCTLS = { TUNSETIFF: 0x400454ca, TUNSETVNETHDRSZ: 0x400454d8 } as const;

/** Flags of TUNSETIFF: frames, without a head of tun's own, with a virtio-net header. */
export const TUN_FLAGS = { IFF_TAP: 0x0002, IFF_NO_PI: 0x1000, IFF_VNET_HDR: 0x4000 } as const;

/** Ioctls of any socket on an interface. */
export const INTERFACE_IOCTLS = { SIOCGIFFLAGS: 0x8913, SIOCSIFFLAGS: 0x8914, SIOCGIFINDEX: 0x8933 } as const;
/** Flag of an interface that is up. */
export const IFF_UP = 1;

/** Bytes of an interface's name, the zero behind it included (`IFNAMSIZ`). */
export const INTERFACE_NAME_BYTES = 16;

/** `struct ifreq` with flags, or with the number of the interface, in its union. */
export const Ifreq = struct('ifreq', {
  name: { bytes: INTERFACE_NAME_BYTES },
  value: 'u32',
  rest: { bytes: 20 },
});

/** A socket of the frames of an interface. */
export const PACKET_SOCKET = { AF_PACKET: 17, SOCK_RAW: 3, ETH_P_ALL: 3 } as const;

/** `struct sockaddr_ll`; the protocol is in network byte order. */
export const SockaddrLl = struct('sockaddr_ll', {
  family: 'u16',
  protocol: 'u16',
  ifindex: 'u32',
  hatype: 'u16',
  pkttype: 'u8',
  halen: 'u8',
  addr: { bytes: 8 },
});
