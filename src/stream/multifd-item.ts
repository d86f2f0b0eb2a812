/**
 * What a multifd channel consists of. `MultifdReader` gives these to a sink, and `MultifdWriter` is such
 * a sink.
 */
export type MultifdItem = MultifdInitItem | MultifdRamItem | MultifdDeviceItem;

/** A channel begins. */
export interface MultifdInitItem {
  kind: 'multifd-init';
  /** UUID of the source VM, 16 bytes. */
  uuid: Uint8Array;
  channel: number;
}

/** A packet with pages of one RAM block, or with none: a SYNC. Its `size` bytes follow as data. */
export interface MultifdRamItem {
  kind: 'multifd-ram';
  /** `MULTIFD_FLAGS`. */
  flags: number;
  packet: bigint;
  /** Offsets that the packet has room for. */
  allocated: number;
  /** Name of the block; empty in a packet without pages. */
  block: string;
  /** Offsets in the block of the pages whose data follow, and of those that are zero. */
  normal: number[];
  zero: number[];
  size: number;
}

/** A packet with device state; its data, `size` bytes, follow. */
export interface MultifdDeviceItem {
  kind: 'multifd-device';
  flags: number;
  idstr: string;
  instance: number;
  /** VFIO's own head, which is not counted in `size`. Absent for any other device. */
  vfio?: VfioPacket;
  size: number;
}

/** What VFIO says of a device-state packet. */
export interface VfioPacket {
  index: number;
  /** The packet holds the config state and has the highest index. */
  config: boolean;
}

/** Takes what a channel consists of. Bytes are valid during the call only. */
export interface MultifdSink {
  item(item: MultifdItem, offset: number, size: number): unknown;
  data?(piece: Uint8Array): unknown;
}
