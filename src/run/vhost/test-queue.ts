import {
  hasFeature,
  PackedDesc,
  PackedEvent,
  splitBytes,
  VIRTIO_FEATURES,
  VirtioNetHdr,
} from '../../uapi/virtio.js';
import { type DriverQueue, driverQueue, type QueueParts } from '../../virtio/index.js';
import type { GuestMemory } from './guest-memory.js';

/** Bytes of a frame that is sent: the smallest of Ethernet, without its checksum. */
const FRAME = 60;
const PAGE = 4096;

interface QueueSetup {
  readonly memory: GuestMemory;
  readonly size: number;
  readonly packed: boolean;
  /** Where the used part of a split ring begins in its page; default 0. */
  readonly usedAt?: number | undefined;
}

interface Piece {
  readonly address: number;
  readonly length: number;
}

/** A virtqueue with the driver's side of it, and buffers in guest memory. */
export class TestQueue {
  readonly size: number;
  readonly parts: QueueParts;
  /** As VRING_BASE carries it: where the ring begins, and after a stop where it goes on. */
  base: number;
  readonly #setup: QueueSetup;
  /** Pages of received bytes. */
  readonly written = new Set<number>();
  /** The buffer of each token, in its pieces. */
  readonly #buffers: (readonly Piece[])[] = [];
  #driver: DriverQueue | null = null;
  #isMergeable = false;
  /** A frame of which not all buffers were used yet. */
  #frame: Uint8Array[] = [];

  constructor(
    readonly index: number,
    setup: QueueSetup,
  ) {
    const { memory, size, packed, usedAt = 0 } = setup;
    this.#setup = setup;
    this.size = size;
    // A packed ring begins with both wrap counters set.
    this.base = packed ? 0x8000_8000 : 0;
    this.parts = {
      desc: memory.take(packed ? PackedDesc.size * size : splitBytes.desc(size), PAGE),
      avail: memory.take(packed ? PackedEvent.size : splitBytes.avail(size), 64),
      used: packed
        ? memory.take(PackedEvent.size, PAGE)
        : memory.take(usedAt + splitBytes.used(size), PAGE) + usedAt,
    };
  }

  /** Makes the driver's side for the features that were negotiated. */
  use(features: bigint): void {
    const { memory, size, packed } = this.#setup;
    this.#isMergeable = hasFeature(features, VIRTIO_FEATURES.NET_MRG_RXBUF);
    this.#driver = driverQueue(packed, {
      memory,
      parts: this.parts,
      size,
      features: {
        eventIdx: hasFeature(features, VIRTIO_FEATURES.EVENT_IDX),
        indirect: hasFeature(features, VIRTIO_FEATURES.INDIRECT_DESC),
      },
    });
  }

  get #queue(): DriverQueue {
    if (this.#driver === null) throw new TypeError('the features of the queue are not negotiated yet');
    return this.#driver;
  }

  /** A piece that stands across a page boundary, so that its second page is one to be found. */
  #piece(length: number): Piece {
    const page = this.#setup.memory.take(Math.ceil(length / PAGE) * PAGE + PAGE, PAGE);
    return { address: page + PAGE - Math.min(PAGE, Math.floor(length / 2)), length };
  }

  /** Offers a frame to send, with its number in it; false when the ring is full. */
  offerFrame(number: number): boolean {
    if (this.#queue.free < 1) return false;
    const piece = this.#piece(VirtioNetHdr.size + FRAME);
    const { address, length } = piece;
    const bytes = new Uint8Array(length);
    // To nobody, by a local experimental EtherType: whoever is on the other side neither answers nor loops it back.
    bytes.set([0x0a, 0x73, 0x63, 0xff, 0xfe, 0xfd, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5], VirtioNetHdr.size);
    new DataView(bytes.buffer).setUint32(VirtioNetHdr.size + 14, number);
    this.#setup.memory.write(address, bytes);
    return this.#queue.add([piece], [], this.#buffers.push([piece]) - 1);
  }

  /** Offers a buffer to receive into, of pieces of so many bytes; false when the ring is full. */
  offerBuffer(pieces: readonly number[]): boolean {
    if (this.#queue.free < pieces.length) return false;
    return this.#offer(pieces.map((length) => this.#piece(length)));
  }

  /**
   * Offers a buffer of `length` bytes to receive into, whose bytes from `before` on stand at a multiple of
   * `multiple`; false when the ring is full.
   */
  offerAcross(multiple: number, before: number, length: number): boolean {
    if (this.#queue.free < 1) return false;
    return this.#offer([{ address: this.#setup.memory.takeAcross(multiple, before, length), length }]);
  }

  #offer(pieces: readonly Piece[]): boolean {
    return this.#queue.add([], pieces, this.#buffers.push(pieces) - 1);
  }

  needsKick(): boolean {
    return this.#queue.needsKick();
  }

  /** Buffers that were used. @throws RangeError when the back end returns what it was not given */
  collect(): { token: number; length: number }[] {
    const used: { token: number; length: number }[] = [];
    for (let next = this.#queue.collect(); next !== null; next = this.#queue.collect()) used.push(next);
    return used;
  }

  /** Frames that were received, without their headers. */
  collectFrames(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (const { token, length } of this.collect()) {
      this.#frame.push(this.#read(this.#buffers[token]!, length));
      const head = this.#frame[0]!;
      const isWhole = head.length >= VirtioNetHdr.size && this.#isMergeable;
      const buffers = isWhole ? VirtioNetHdr.decode(head).num_buffers : 1;
      if (this.#frame.length < buffers) continue;
      frames.push(Buffer.concat(this.#frame).subarray(VirtioNetHdr.size));
      this.#frame = [];
    }
    return frames;
  }

  /** The bytes that were written of a buffer. */
  #read(pieces: readonly Piece[], written: number): Uint8Array {
    const parts: Uint8Array[] = [];
    let left = written;
    for (const { address, length } of pieces) {
      const bytes = new Uint8Array(Math.min(left, length));
      left -= bytes.length;
      if (bytes.length === 0) continue;
      this.#setup.memory.read(address, bytes);
      parts.push(bytes);
      const last = Math.floor((address + bytes.length - 1) / PAGE);
      for (let page = Math.floor(address / PAGE); page <= last; page++) this.written.add(page);
    }
    return Buffer.concat(parts);
  }
}
