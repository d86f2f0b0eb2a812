import {
  E810_RX_FLEX,
  E810_RX_LEGACY,
  E810_VF_REGISTER_ARRAYS,
  E810RxDescriptor,
  E810RxFlexWriteback,
  E810RxLegacyWriteback,
  VIRTCHNL_RXDID,
} from 'stopcopy/uapi';
import { enter } from '../sequence.js';
import { readTag } from '../traffic.js';
import { type ControlBlock, complain, type QueueWords } from './control-block.js';
import { addressIn, BUFFER, DESCRIPTOR } from './ram-layout.js';
import { type RingContext, registerAt } from './ring-context.js';
import { turnOf } from './stamps.js';

/** Buffers are given to the device so many at a time. */
const REFILL = 16;
/** What a stripped VLAN tag takes of a frame, and where. */
const VLAN_TAG = { at: 12, size: 4, tpid: 0x8100 } as const;
const POSTED = E810RxDescriptor.offsets;
const FLEX = E810RxFlexWriteback.offsets;
const LEGACY = E810RxLegacyWriteback.offsets;

/** What a descriptor says that the device has written. */
interface Received {
  readonly length: number;
  readonly whole: boolean;
  /** The VLAN tag that the device took out, or null. */
  readonly vlan: number | null;
}

/** An Rx ring: every frame takes one buffer. */
export class RxRing {
  readonly #context: RingContext;
  readonly #queue: number;
  readonly #descriptor = new Uint8Array(DESCRIPTOR.rx);
  readonly #view = new DataView(this.#descriptor.buffer);
  readonly #frame = new Uint8Array(BUFFER.data + VLAN_TAG.size);

  constructor(context: RingContext, queue: number) {
    this.#context = context;
    this.#queue = queue;
  }

  /** Begins anew, with all buffers posted; the device hears of it by `ringDoorbell`, when its queue runs. */
  reset(block: ControlBlock): void {
    const words = this.#words(block);
    words.rxPosted = 0;
    words.rxCleaned = 0;
    this.#context.stamps.put(this.#end(this.#context.layout.ringLength - 1), 0);
    this.#post(words);
  }

  /** Takes at most so many frames, checks each, and gives buffers back. @returns how many it took */
  clean(block: ControlBlock, budget: number): number {
    const words = this.#words(block);
    let count = 0;
    while (count < budget && this.#isDone(words.rxCleaned, words, block.rxdid)) {
      this.#take(block, words);
      count++;
    }
    if (count < budget) this.#lookAhead(block, words);
    if (words.rxCleaned + this.#length - 1 - words.rxPosted >= REFILL) {
      this.#post(words);
      this.ringDoorbell(block);
    }
    return count;
  }

  /** Whether there is a frame to take. */
  isNextDone(block: ControlBlock): boolean {
    const words = this.#words(block);
    return this.#isDone(words.rxCleaned, words, block.rxdid);
  }

  /** Takes all that a device which is gone has left, and posts nothing. */
  drain(block: ControlBlock): void {
    const words = this.#words(block);
    while (this.#isDone(words.rxCleaned, words, block.rxdid)) this.#take(block, words);
  }

  /** A descriptor behind the next one is done and the next one is not: the device has jumped over it. */
  #lookAhead(block: ControlBlock, words: QueueWords): void {
    if (this.#isDone(words.rxCleaned, words, block.rxdid)) return;
    if (!this.#isDone(words.rxCleaned + 1, words, block.rxdid)) return;
    const slot = words.rxCleaned % this.#length;
    this.#complain(block, `descriptor ${slot} is not written back, and the one behind it is`);
  }

  #take(block: ControlBlock, words: QueueWords): void {
    const { memory, stamps, traffic } = this.#context;
    const slot = words.rxCleaned % this.#length;
    const { length, whole, vlan } = this.#decode(block.rxdid);
    if (!stamps.holds(this.#end(slot), this.#turn(slot, words)))
      this.#complain(block, `buffer ${slot} is an older copy of itself, or was overrun`);
    words.rxCleaned++;
    block.framesReceived++;
    block.receivedAt = block.runs;
    if (!whole || length > BUFFER.data) {
      this.#refuse(block, `descriptor ${slot} tells a frame of ${length} bytes${whole ? '' : ' in parts'}`);
      return;
    }
    const frame = this.#frame.subarray(0, length);
    memory.read(addressIn(this.#buffers, slot), frame);
    const { tag, wrong } = traffic.inspect('toVf', vlan === null ? frame : this.#withTag(length, vlan));
    if (!tag || tag.flow >= block.flowsIn.length) {
      this.#refuse(block, `a frame ${wrong}`);
      return;
    }
    const flow = block.flowsIn[tag.flow]!;
    if (wrong === undefined) enter(flow, tag.sequence);
    else flow.corrupted++;
    if (wrong !== undefined) this.#complain(block, `frame ${tag.sequence} of flow ${tag.flow} ${wrong}`);
    else this.#checkOffloads(block, tag.flow, vlan);
  }

  /** A frame that belongs to no flow. */
  #refuse(block: ControlBlock, words: string): void {
    block.framesAlien++;
    this.#complain(block, words);
  }

  /** RSS keeps a flow on one queue, and VLAN stripping was on before the queues ran. */
  #checkOffloads(block: ControlBlock, flow: number, vlan: number | null): void {
    const words = block.flowsIn[flow]!;
    if (words.queue === 0) words.queue = 1 + this.#queue;
    if (words.queue !== 1 + this.#queue) {
      this.#complain(block, `flow ${flow} came on queue ${words.queue - 1} before`);
      words.queue = 1 + this.#queue;
    }
    if (vlan !== this.#context.traffic.vlanOf('toVf', flow))
      this.#complain(block, `the VLAN tag of flow ${flow} was not stripped`);
  }

  /** The frame with the tag where the device took it out. */
  #withTag(length: number, vlan: number): Uint8Array {
    const { at, size, tpid } = VLAN_TAG;
    this.#frame.copyWithin(at + size, at, length);
    const view = new DataView(this.#frame.buffer);
    view.setUint16(at, tpid);
    view.setUint16(at + 2, vlan);
    return this.#frame.subarray(0, length + size);
  }

  /** Gives all free buffers to the device; one slot stays empty, so that full differs from empty. */
  #post(words: QueueWords): void {
    const { memory, stamps } = this.#context;
    while (words.rxPosted - words.rxCleaned < this.#length - 1) {
      const slot = words.rxPosted % this.#length;
      words.rxPosted++;
      stamps.put(this.#end(slot), this.#turn(slot, words));
      this.#descriptor.fill(0);
      this.#view.setBigUint64(POSTED.pkt_addr, BigInt(addressIn(this.#buffers, slot)), true);
      // The device does not look at what is reserved; an old copy of the ring shows by it.
      this.#view.setUint32(POSTED.rsvd2, this.#turn(slot, words), true);
      memory.write(this.#at(slot), this.#descriptor);
    }
  }

  /** Tells the device how far buffers are posted. */
  ringDoorbell(block: ControlBlock): void {
    const tail = this.#words(block).rxPosted % this.#length;
    const { registers } = this.#context;
    registers.writeRegister(registerAt(E810_VF_REGISTER_ARRAYS.QRX_TAIL1, this.#queue), tail);
  }

  /** Frames that the device has written back and the driver has not taken, by flow. Changes nothing. */
  waiting(block: ControlBlock): number[] {
    const words = this.#words(block);
    const flows: number[] = [];
    for (let at = words.rxCleaned; this.#isDone(at, words, block.rxdid); at++) {
      const { length, vlan } = this.#decode(block.rxdid);
      const frame = this.#frame.subarray(0, Math.min(length, BUFFER.data));
      this.#context.memory.read(addressIn(this.#buffers, at % this.#length), frame);
      const tag = readTag('toVf', vlan === null ? frame : this.#withTag(frame.length, vlan));
      if (tag) flows.push(tag.flow);
    }
    return flows;
  }

  /** What differs from what the driver left in the ring, in words; null when nothing does. */
  audit(block: ControlBlock): string | null {
    const { stamps } = this.#context;
    const words = this.#words(block);
    for (let slot = 0; slot < this.#length; slot++) {
      if (!stamps.holds(this.#end(slot), this.#turn(slot, words)))
        return `buffer ${slot} of Rx queue ${this.#queue}`;
    }
    const at = this.#firstStrange(words, block.rxdid);
    return at === null ? null : `descriptor ${at % this.#length} of Rx queue ${this.#queue}`;
  }

  /**
   * The first descriptor that is not as it was left: with the device are, in this order, those that it has
   * written back and those that were posted in their turn; the others are written back and taken.
   */
  #firstStrange(words: QueueWords, rxdid: number): number | null {
    let at = words.rxCleaned;
    while (this.#isDone(at, words, rxdid)) at++;
    for (; at < words.rxPosted; at++) {
      if (this.#isDone(at, words, rxdid)) return at;
      const slot = at % this.#length;
      const address = this.#view.getBigUint64(POSTED.pkt_addr, true);
      const turn = this.#view.getUint32(POSTED.rsvd2, true);
      if (address !== BigInt(addressIn(this.#buffers, slot)) || turn !== this.#turn(slot, words)) return at;
    }
    for (; at < words.rxCleaned + this.#length; at++)
      if (at >= this.#length && !this.#isWrittenBack(at, rxdid)) return at;
    return null;
  }

  #turn(slot: number, words: QueueWords): number {
    return turnOf(slot, words.rxPosted, this.#length);
  }

  /** Reads a descriptor that was posted, counted from the start, and tells whether the device wrote it back. */
  #isDone(at: number, words: QueueWords, rxdid: number): boolean {
    return at < words.rxPosted && this.#isWrittenBack(at, rxdid);
  }

  /** Reads a descriptor, and tells whether it has the form that the device writes. */
  #isWrittenBack(at: number, rxdid: number): boolean {
    this.#context.memory.read(this.#at(at % this.#length), this.#descriptor);
    if (rxdid === VIRTCHNL_RXDID.FLEX_NIC)
      return (this.#view.getUint16(FLEX.status_error0, true) & E810_RX_FLEX.STATUS0.DD) !== 0;
    return (this.#view.getUint32(LEGACY.status_error_len, true) & E810_RX_LEGACY.DD) !== 0;
  }

  #decode(rxdid: number): Received {
    const view = this.#view;
    if (rxdid === VIRTCHNL_RXDID.FLEX_NIC) {
      const status = view.getUint16(FLEX.status_error0, true);
      return {
        length: view.getUint16(FLEX.pkt_len, true) & E810_RX_FLEX.LENGTH_MASK,
        whole: (status & E810_RX_FLEX.STATUS0.EOF) !== 0,
        vlan: (status & E810_RX_FLEX.STATUS0.L2TAG1P) !== 0 ? view.getUint16(FLEX.l2tag1, true) : null,
      };
    }
    const qword = view.getBigUint64(LEGACY.status_error_len, true);
    const status = Number(qword & 0xfffffn);
    return {
      length: Number((qword >> E810_RX_LEGACY.LENGTH_SHIFT) & E810_RX_LEGACY.LENGTH_MASK),
      whole: (status & E810_RX_LEGACY.EOF) !== 0,
      vlan: (status & E810_RX_LEGACY.L2TAG1P) !== 0 ? view.getUint16(LEGACY.l2tag1, true) : null,
    };
  }

  #complain(block: ControlBlock, words: string): void {
    complain(block, `Rx queue ${this.#queue}: ${words}`);
  }

  get #length(): number {
    return this.#context.layout.ringLength;
  }

  get #buffers() {
    return this.#context.layout.queues[this.#queue]!.rx.buffers;
  }

  #words(block: ControlBlock): QueueWords {
    return block.queues[this.#queue]!;
  }

  #at(slot: number): number {
    return addressIn(this.#context.layout.queues[this.#queue]!.rx.ring, slot);
  }

  /** Where a buffer ends, its stamp included. */
  #end(slot: number): number {
    return addressIn(this.#buffers, slot + 1);
  }
}
