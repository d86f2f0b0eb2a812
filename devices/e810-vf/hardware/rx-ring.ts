import { crc32 } from 'node:zlib';
import {
  E810RxDescriptor as Descriptor,
  E810_RX_BUFFER_UNIT,
  E810_RX_CHAIN,
  VIRTCHNL_RXDID,
} from 'stopcopy/uapi';
import type { RxQueue, VfState } from '../vf-state.js';
import {
  COUNTER,
  castOf,
  ETHERNET_HEADER,
  ETHERTYPE,
  LONGEST_FRAME,
  tciOf,
  tpidOf,
  VLAN_TAG,
  withoutTag,
} from './frame.js';
import { addressOf, type GuestMemory } from './guest-memory.js';
import type { Interrupts } from './interrupts.js';
import { type PacketType, packetTypeOf } from './packet-type.js';
import { Rss } from './rss.js';
import { RxWriteback } from './rx-writeback.js';
import { hasPortVlan } from './switch.js';

const FCS = 4;

/**
 * Rx queues. A frame takes as many descriptors as it fills buffers; it is written when all of them are there,
 * buffers first, then the descriptors, in order. What cannot be written is counted as discarded, and the
 * queue stays where it was.
 */
export class RxRing {
  readonly #state: VfState;
  readonly #memory: GuestMemory;
  readonly #interrupts: Interrupts;
  readonly #rss = new Rss();
  readonly #writeback = new RxWriteback();
  readonly #address = new Uint8Array(8);
  readonly #view = new DataView(this.#address.buffer);
  readonly #frame = new Uint8Array(LONGEST_FRAME + 2 * VLAN_TAG + FCS);

  constructor(state: VfState, memory: GuestMemory, interrupts: Interrupts) {
    this.#state = state;
    this.#memory = memory;
    this.#interrupts = interrupts;
  }

  /** Takes a frame that the switch has let pass. False: it was discarded. */
  receive(frame: Uint8Array): boolean {
    const { pf, rx } = this.#state;
    const type = packetTypeOf(frame);
    const queue = rx[this.#rss.queueOf(pf, frame, type)];
    if (queue === undefined || !this.#deliver(queue, frame, type)) {
      pf.stats.rx_discards++;
      return false;
    }
    pf.stats[COUNTER.rx[castOf(frame)]]++;
    pf.stats.rx_bytes += BigInt(frame.length);
    if (queue.vector !== null) this.#interrupts.raise(queue.vector);
    return true;
  }

  #deliver(queue: RxQueue, frame: Uint8Array, type: PacketType): boolean {
    const { enabled, head, tail, count } = queue;
    if (!enabled || head >= count || tail >= count) return false;
    if (frame.length > Math.min(queue.maxFrame, LONGEST_FRAME + 2 * VLAN_TAG)) return false;
    const tag = this.#strippedTag(frame);
    const bytes = this.#prepare(queue, frame, tag >= 0);
    const buffer = queue.bufferSize - (queue.bufferSize % E810_RX_BUFFER_UNIT);
    const needed = buffer === 0 ? Number.POSITIVE_INFINITY : Math.ceil(bytes.length / buffer);
    if (needed > E810_RX_CHAIN || needed > (tail - head + count) % count) return false;
    if (!this.#writeBuffers(queue, bytes, buffer)) return false;
    this.#writeDescriptors(queue, type, { total: bytes.length, buffer, tag: this.#reportedTag(tag) });
    return true;
  }

  /** The TCI that is taken out of the frame, or -1. */
  #strippedTag(frame: Uint8Array): number {
    const { pf } = this.#state;
    const tpid = tpidOf(frame);
    if (tpid === 0) return -1;
    const stripped = hasPortVlan(pf) || (tpid === ETHERTYPE.vlan ? pf.innerStrip : pf.outerStrip);
    return stripped ? tciOf(frame) : -1;
  }

  /** The guest is told of its own VLANs, not of the port VLAN. */
  #reportedTag(tag: number): number {
    return hasPortVlan(this.#state.pf) ? -1 : tag;
  }

  /** The bytes that go to memory: with or without tag, with or without FCS. */
  #prepare(queue: RxQueue, frame: Uint8Array, strip: boolean): Uint8Array {
    if (!strip && queue.crcStrip) return frame;
    let length = frame.length;
    if (strip) length = withoutTag(frame, this.#frame);
    else this.#frame.set(frame);
    if (queue.crcStrip) return this.#frame.subarray(0, length);
    new DataView(this.#frame.buffer).setUint32(length, crc32(frame), true);
    return this.#frame.subarray(0, length + FCS);
  }

  /** Fills the buffers of the descriptors from head on. */
  #writeBuffers(queue: RxQueue, bytes: Uint8Array, buffer: number): boolean {
    for (let from = 0, slot = queue.head; from < bytes.length; from += buffer) {
      if (!this.#memory.read(queue.base + slot * Descriptor.size, this.#address)) return false;
      const address = addressOf(this.#view.getUint32(4, true), this.#view.getUint32(0, true));
      const part = bytes.length <= buffer ? bytes : bytes.subarray(from, from + buffer);
      if (!this.#memory.write(address, part)) return false;
      slot = (slot + 1) % queue.count;
    }
    return true;
  }

  /** Writes the descriptors back and advances head. Only the last one says all of the frame. */
  #writeDescriptors(
    queue: RxQueue,
    { ptype }: PacketType,
    { total, buffer, tag }: { total: number; buffer: number; tag: number },
  ): void {
    const flex = queue.rxdid === VIRTCHNL_RXDID.FLEX_NIC;
    for (let from = 0; from < total; from += buffer) {
      const last = from + buffer >= total;
      const length = last ? total - from : buffer;
      const written = flex
        ? this.#writeback.flex(length, ptype, last, this.#rss.hash, tag)
        : this.#writeback.legacy(length, ptype, last, this.#rss.hash, tag);
      this.#memory.write(queue.base + queue.head * Descriptor.size, written);
      queue.head = (queue.head + 1) % queue.count;
    }
  }
}

/** Whether bytes from the cable can be a frame at all. */
export const isFrame = (bytes: Uint8Array): boolean => bytes.length >= ETHERNET_HEADER;
