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
}

/** A virtqueue with the driver's side of it, and buffers in guest memory. */
export class TestQueue {
  readonly size: number;
  readonly parts: QueueParts;
  /** As VRING_BASE carries it: where the ring begins, and after a stop where it goes on. */
  base: number;
  readonly #setup: QueueSetup;
  readonly #buffers: { address: number; length: number }[] = [];
  #driver: DriverQueue | null = null;

  constructor(
    readonly index: number,
    setup: QueueSetup,
  ) {
    const { memory, size, packed } = setup;
    this.#setup = setup;
    this.size = size;
    // A packed ring begins with both wrap counters set.
    this.base = packed ? 0x8000_8000 : 0;
    this.parts = {
      desc: memory.take(packed ? PackedDesc.size * size : splitBytes.desc(size), PAGE),
      avail: memory.take(packed ? PackedEvent.size : splitBytes.avail(size), 64),
      used: memory.take(packed ? PackedEvent.size : splitBytes.used(size), PAGE),
    };
  }

  /** Makes the driver's side for the features that were negotiated. */
  use(features: bigint): void {
    const { memory, size, packed } = this.#setup;
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

  /** A buffer that stands across a page boundary, so that its second page is one to be found. */
  #buffer(length: number): { address: number; length: number; token: number } {
    const page = this.#setup.memory.take(Math.ceil(length / PAGE) * PAGE + PAGE, PAGE);
    const buffer = { address: page + PAGE - Math.min(PAGE, Math.floor(length / 2)), length };
    this.#buffers.push(buffer);
    return { ...buffer, token: this.#buffers.length - 1 };
  }

  /** Offers a frame to send, with its number in it; false when the ring is full. */
  offerFrame(number: number): boolean {
    if (this.#queue.free < 1) return false;
    const { address, token, length } = this.#buffer(VirtioNetHdr.size + FRAME);
    const bytes = new Uint8Array(length);
    // To nobody, by a local experimental EtherType: whoever is on the other side neither answers nor loops it back.
    bytes.set([0x0a, 0x73, 0x63, 0xff, 0xfe, 0xfd, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5], VirtioNetHdr.size);
    new DataView(bytes.buffer).setUint32(VirtioNetHdr.size + 14, number);
    this.#setup.memory.write(address, bytes);
    return this.#queue.add([{ address, length }], [], token);
  }

  /** Offers a buffer to receive into; false when the ring is full. */
  offerBuffer(bytes: number): boolean {
    if (this.#queue.free < 1) return false;
    const { address, length, token } = this.#buffer(bytes);
    return this.#queue.add([], [{ address, length }], token);
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
    return this.collect().map(({ token, length }) => {
      const bytes = new Uint8Array(Math.min(length, this.#buffers[token]!.length));
      this.#setup.memory.read(this.#buffers[token]!.address, bytes);
      return bytes.subarray(VirtioNetHdr.size);
    });
  }
}
