import type { VhostWrite } from '../uapi/vhost-log.js';

/** A piece of a buffer: an address as descriptors carry it (guest physical, or an IOVA), and its length in bytes. */
export interface Segment {
  readonly address: number;
  readonly length: number;
}

/** A buffer that the driver made available, as the device sees it: what it may read, then what it may write. */
export interface Chain {
  /** Head descriptor (split) or buffer id (packed): what goes into the used element. */
  readonly id: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  /** Descriptors that the buffer takes in the ring itself; an indirect table counts as one. */
  readonly descriptors: number;
}

/** Memory by the addresses of descriptors and rings. Whole ranges or an error. */
export interface QueueMemory {
  /** @throws DeviceError EFAULT when a byte of it is not mapped */
  read(address: number, into: Uint8Array): void;
  /** @throws DeviceError EFAULT when a byte of it is not mapped */
  write(address: number, bytes: Uint8Array): void;
}

/** Where the three parts of a queue stand, by the addresses of its `QueueMemory`. */
export interface QueueParts {
  /** Descriptor table, or the descriptor ring of a packed queue. */
  readonly desc: number;
  /** Available ring, or the driver event suppression structure. */
  readonly avail: number;
  /** Used ring, or the device event suppression structure. */
  readonly used: number;
}

/** Features that change how a queue is worked. */
export interface QueueFeatures {
  /** VIRTIO_F_EVENT_IDX. */
  readonly eventIdx: boolean;
  /** VIRTIO_F_INDIRECT_DESC. */
  readonly indirect: boolean;
}

/** What both sides of a queue are made with. */
export interface QueueOptions {
  readonly memory: QueueMemory;
  readonly parts: QueueParts;
  /** Descriptors. Split: a power of two up to 32768; packed: any number up to 32768. */
  readonly size: number;
  readonly features: QueueFeatures;
}

/**
 * The device's side of a virtqueue. Whatever it writes goes out through `memory.write`, after which `wrote` is
 * told what it was: that is where a dirty log gets its bits from.
 */
export interface DeviceQueue {
  readonly size: number;
  /** As VRING_BASE carries it: next available index (split), or `encodePackedBase`. */
  readonly base: number;
  /** Buffers taken and returned since this object was made. */
  readonly taken: number;
  readonly returned: number;
  /**
   * The next available buffer, or null.
   * @throws DeviceError EINVAL when the driver's ring is broken: a loop, an index out of range, a table inside a table
   */
  pop(): Chain | null;
  /** Gives the last `count` popped buffers back as if never taken: they will be popped again. */
  unpop(count: number): void;
  /** Returns buffers with the bytes written into each: used elements in one run (two at a wrap), then the index. */
  push(used: readonly { readonly chain: Chain; readonly written: number }[]): void;
  /** Whether the driver wants to be told of what was pushed since the last time this was asked. */
  needsCall(): boolean;
  /** Asks for notifications, or asks that there be none; written to used.flags, avail_event or the event structure. */
  setNotification(on: boolean): void;
}

/** How the device's side of a queue works. */
export interface DeviceQueueOptions extends QueueOptions {
  /** Where it goes on, as VRING_BASE carries it. */
  readonly base: number;
  /**
   * Told after each write into the used part (split) or the ring (packed): what it was, its offset from
   * `parts.used` (from `parts.desc` for `desc`), and its length in bytes.
   */
  readonly wrote?: (what: VhostWrite, offset: number, length: number) => void;
}

/** A buffer that the device has, as the driver's books have it. */
export interface GivenBuffer {
  readonly id: number;
  readonly token: number;
  /** Descriptors of a split ring; of a packed one only their number counts. */
  readonly descriptors: readonly number[];
  /** Bytes that the device may write. */
  readonly room: number;
}

/** What a driver knows of its queue beside what stands in the ring: plain data, which can stand in guest memory. */
export interface DriverQueueState {
  /** Descriptors (split) or buffer ids (packed) that are free. */
  readonly free: readonly number[];
  readonly given: readonly GivenBuffer[];
  /** Next place of the available side and of the used side, as VRING_BASE carries them: index, or place and wrap. */
  readonly avail: number;
  readonly used: number;
  /** Split: the available side when the device was last notified; packed: descriptors since then. */
  readonly kicked: number;
  readonly calls: boolean;
}

/** What the driver's side of a queue is made with. */
export interface DriverQueueOptions extends QueueOptions {
  /** The driver goes on with a queue that it has known before; absent: the queue begins, and its memory is zero. */
  readonly state?: DriverQueueState;
  /**
   * Memory for as many indirect tables as the queue has descriptors, each of `entries` descriptors of 16 bytes. With
   * INDIRECT_DESC a buffer of several segments that fits into a table goes into one; absent: none does.
   */
  readonly tables?: { readonly address: number; readonly entries: number };
}

/** The driver's side of a virtqueue. */
export interface DriverQueue {
  /** A copy of what the driver knows. */
  readonly state: DriverQueueState;
  readonly size: number;
  /** Descriptors that are free. */
  readonly free: number;
  /**
   * Makes a buffer available; false when it does not fit, which it never does with more segments than the queue has
   * descriptors. `token` comes back from `collect`.
   */
  add(readable: readonly Segment[], writable: readonly Segment[], token: number): boolean;
  /** Whether the device wants to be notified of what was added since the last time this was asked. */
  needsKick(): boolean;
  /**
   * The next buffer that was used, or null.
   * @throws RangeError when the device returned what it was not given, or more bytes than there were
   */
  collect(): { readonly token: number; readonly length: number } | null;
  /** Asks for calls, or asks that there be none. */
  setCalls(on: boolean): void;
}
