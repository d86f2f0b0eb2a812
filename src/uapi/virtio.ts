/**
 * Virtio as drivers and devices share it: feature bits, device status, the layouts of split and packed
 * virtqueues, and the control commands of virtio-net. Source: Virtual I/O Device (VIRTIO) 1.3, sections 2 and
 * 5.1; `linux/virtio_ring.h`, `linux/virtio_net.h`. All fields are little endian.
 */
import { struct } from './struct.js';

/** Feature bits, by number. Those of virtio-net stand below 24. */
export const VIRTIO_FEATURES = {
  NET_CSUM: 0,
  NET_GUEST_CSUM: 1,
  NET_CTRL_GUEST_OFFLOADS: 2,
  NET_MTU: 3,
  NET_MAC: 5,
  NET_GUEST_TSO4: 7,
  NET_GUEST_TSO6: 8,
  NET_HOST_TSO4: 11,
  NET_HOST_TSO6: 12,
  NET_MRG_RXBUF: 15,
  NET_STATUS: 16,
  NET_CTRL_VQ: 17,
  NET_CTRL_RX: 18,
  NET_CTRL_VLAN: 19,
  NET_GUEST_ANNOUNCE: 21,
  NET_MQ: 22,
  NET_CTRL_MAC_ADDR: 23,
  INDIRECT_DESC: 28,
  EVENT_IDX: 29,
  VERSION_1: 32,
  ACCESS_PLATFORM: 33,
  RING_PACKED: 34,
  IN_ORDER: 35,
} as const;

export type VirtioFeature = keyof typeof VIRTIO_FEATURES;

/** The feature word with these bits. */
export function featureBits(...numbers: readonly number[]): bigint {
  return numbers.reduce((word, bit) => word | (1n << BigInt(bit)), 0n);
}

/** Whether a feature word has bit `number`. */
export function hasFeature(word: bigint, number: number): boolean {
  return ((word >> BigInt(number)) & 1n) === 1n;
}

/** Device status bits (2.1). */
export const VIRTIO_STATUS = {
  ACKNOWLEDGE: 0x01,
  DRIVER: 0x02,
  DRIVER_OK: 0x04,
  FEATURES_OK: 0x08,
  NEEDS_RESET: 0x40,
  FAILED: 0x80,
} as const;

/** Flags of a descriptor; AVAIL and USED are those of packed rings. */
export const VRING_DESC_F = { NEXT: 1, WRITE: 2, INDIRECT: 4, AVAIL: 1 << 7, USED: 1 << 15 } as const;

/** A descriptor of a split ring (`struct vring_desc`): guest physical address, or IOVA with ACCESS_PLATFORM. */
export const VringDesc = struct('vring_desc', { addr: 'u64', len: 'u32', flags: 'u16', next: 'u16' });
/** An element of the used ring. */
export const VringUsedElem = struct('vring_used_elem', { id: 'u32', len: 'u32' });
/** A descriptor of a packed ring. */
export const PackedDesc = struct('vring_packed_desc', { addr: 'u64', len: 'u32', id: 'u16', flags: 'u16' });
/** Event suppression of a packed ring: descriptor offset in bits 0-14 and wrap counter in bit 15, then flags. */
export const PackedEvent = struct('vring_packed_desc_event', { off_wrap: 'u16', flags: 'u16' });

/** Flags of packed event suppression. */
export const RING_EVENT_FLAGS = { ENABLE: 0, DISABLE: 1, DESC: 2 } as const;

/** `VRING_AVAIL_F_NO_INTERRUPT`, `VRING_USED_F_NO_NOTIFY`. */
export const VRING_F = { AVAIL_NO_INTERRUPT: 1, USED_NO_NOTIFY: 1 } as const;

/** Offsets in the available ring of a split queue; `event(size)` is `used_event`, behind the ring. */
export const AVAIL = { flags: 0, idx: 2, ring: 4, event: (size: number): number => 4 + 2 * size } as const;
/** Offsets in the used ring of a split queue; `event(size)` is `avail_event`, behind the ring. */
export const USED = { flags: 0, idx: 2, ring: 4, event: (size: number): number => 4 + 8 * size } as const;

/** Bytes of the parts of a split queue of `size` descriptors, the event fields included. */
export const splitBytes = {
  desc: (size: number): number => VringDesc.size * size,
  avail: (size: number): number => 6 + 2 * size,
  used: (size: number): number => 6 + 8 * size,
} as const;

/** Alignment of the parts of a virtqueue, in bytes (2.7, 2.8.10.1). */
export const VRING_ALIGN = {
  split: { desc: 16, avail: 2, used: 4 },
  packed: { desc: 16, avail: 4, used: 4 },
} as const;

/** The header before each frame with VERSION_1 or MRG_RXBUF (`struct virtio_net_hdr_v1`). */
export const VirtioNetHdr = struct('virtio_net_hdr_v1', {
  flags: 'u8',
  gso_type: 'u8',
  hdr_len: 'u16',
  gso_size: 'u16',
  csum_start: 'u16',
  csum_offset: 'u16',
  num_buffers: 'u16',
});

/** Configuration space of virtio-net as far as it is used here. */
export const VirtioNetConfig = struct('virtio_net_config', {
  mac: { bytes: 6 },
  status: 'u16',
  max_virtqueue_pairs: 'u16',
  mtu: 'u16',
});

/** Bits of `status` in the configuration space. */
export const VIRTIO_NET_S = { LINK_UP: 1, ANNOUNCE: 2 } as const;

/** Classes and commands of the control queue (5.1.6.5). */
export const VIRTIO_NET_CTRL = {
  RX: { class: 0, PROMISC: 0, ALLMULTI: 1, ALLUNI: 2, NOMULTI: 3, NOUNI: 4, NOBCAST: 5 },
  MAC: { class: 1, TABLE_SET: 0, ADDR_SET: 1 },
  VLAN: { class: 2, ADD: 0, DEL: 1 },
  ANNOUNCE: { class: 3, ACK: 0 },
  MQ: { class: 4, VQ_PAIRS_SET: 0 },
  GUEST_OFFLOADS: { class: 5, SET: 0 },
} as const;

/** The ack byte of a control command. */
export const VIRTIO_NET_ACK = { OK: 0, ERR: 1 } as const;
