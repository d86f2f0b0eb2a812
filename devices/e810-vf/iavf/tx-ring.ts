import { E810_TX, E810_VF_REGISTER_ARRAYS } from 'stopcopy/uapi';
import { type FrameTag, queueOf, readTag } from '../traffic.js';
import { type ControlBlock, complain, type QueueWords } from './control-block.js';
import { addressIn, BUFFER, DESCRIPTOR } from './ram-layout.js';
import { type RingContext, registerAt } from './ring-context.js';
import { turnOf } from './stamps.js';

/** As many bytes of a frame as show its tag. */
const TAG_BYTES = 60;
const SCRUBBED = new Uint8Array(DESCRIPTOR.tx);
const DATA = BigInt(E810_TX.DTYPE.DATA);
const DONE = BigInt(E810_TX.DTYPE.DONE);
const LAST = (BigInt(E810_TX.CMD.EOP | E810_TX.CMD.RS) << E810_TX.CMD_SHIFT) | DATA;

/** A frame that was handed over and not yet taken back; `first` and `last` count descriptors from the start. */
interface UnderWay {
  readonly tag: FrameTag;
  readonly first: number;
  readonly last: number;
}

/**
 * A Tx ring. A frame takes one descriptor or two, which both point into the buffer of the first; the last one
 * asks for write-back. A descriptor that was taken back is scrubbed, so that an old copy of the ring shows.
 */
export class TxRing {
  readonly #context: RingContext;
  readonly #queue: number;
  readonly #descriptor = new Uint8Array(DESCRIPTOR.tx);
  readonly #view = new DataView(this.#descriptor.buffer);
  readonly #frame = new Uint8Array(BUFFER.data);
  readonly #head = new Uint8Array(TAG_BYTES);

  constructor(context: RingContext, queue: number) {
    this.#context = context;
    this.#queue = queue;
  }

  /** Begins anew. What was under way is neither completed nor lost: a reset has taken it. */
  reset(block: ControlBlock): void {
    const { memory, layout, stamps } = this.#context;
    const words = this.#words(block);
    for (const { tag } of this.#underWay(words)) {
      const flow = block.flowsOut[tag.flow]!;
      flow.discarded++;
      flow.completed++;
    }
    words.txUsed = 0;
    words.txCleaned = 0;
    words.txSince = block.runs;
    memory.write(this.#area.ring.start, new Uint8Array(layout.ringLength * DESCRIPTOR.tx));
    for (let slot = 0; slot < layout.ringLength; slot++) stamps.put(this.#end(slot), 0);
  }

  /** Takes back what the device has completed. */
  clean(block: ControlBlock): void {
    const words = this.#words(block);
    let waiting = false;
    for (const frame of this.#underWay(words)) {
      const done = this.#isDone(frame.last);
      if (done && waiting) this.#complain(block, 'the device has left out a frame');
      if (waiting) return;
      waiting = !done;
      if (waiting) this.#checkPatience(block, words);
      else this.#takeBack(block, words, frame);
    }
    if (!waiting && words.txCleaned !== words.txUsed) {
      this.#complain(block, 'the frame that is next to be cleaned is not in guest RAM');
      words.txCleaned = words.txUsed;
    }
  }

  /** Whether the device has completed the frame that is next. */
  isNextDone(block: ControlBlock): boolean {
    const words = this.#words(block);
    const { value: frame, done } = this.#underWay(words).next();
    if (done) return false;
    if (this.#isDone(frame.last)) return true;
    this.#checkPatience(block, words);
    return false;
  }

  #checkPatience(block: ControlBlock, words: QueueWords): void {
    if (block.runs - words.txSince > this.#context.patience)
      this.#complain(block, 'nothing is completed any more');
  }

  #takeBack(block: ControlBlock, words: QueueWords, { tag, first, last }: UnderWay): void {
    const flow = block.flowsOut[tag.flow]!;
    if (tag.sequence !== flow.completed)
      this.#complain(block, `flow ${tag.flow} has frame ${tag.sequence} where ${flow.completed} was sent`);
    flow.completed++;
    for (let used = first; used <= last; used++) this.#context.memory.write(this.#at(used), SCRUBBED);
    words.txCleaned = last + 1;
    words.txSince = block.runs;
  }

  /** Puts the next frame of a flow into the ring. @returns false when there is no room */
  send(block: ControlBlock, flow: number): boolean {
    const { memory, layout, stamps, traffic } = this.#context;
    const words = this.#words(block);
    if (words.txUsed - words.txCleaned > layout.ringLength - 3) return false;
    if (words.txUsed === words.txCleaned) words.txSince = block.runs;
    const out = block.flowsOut[flow]!;
    const size = traffic.build('fromVf', flow, out.sent, this.#frame);
    const cut = traffic.cutOf(flow, out.sent);
    const buffer = addressIn(this.#area.buffers, words.txUsed % layout.ringLength);
    memory.write(buffer, this.#frame.subarray(0, size));
    if (cut > 0) this.#put(words, buffer, cut, DATA);
    this.#put(words, buffer + cut, size - cut, LAST);
    for (let back = cut > 0 ? 2 : 1; back > 0; back--) {
      const slot = (words.txUsed - back) % layout.ringLength;
      stamps.put(this.#end(slot), turnOf(slot, words.txUsed, layout.ringLength));
    }
    out.sent++;
    block.framesSent++;
    return true;
  }

  #put(words: QueueWords, address: number, size: number, command: bigint): void {
    this.#view.setBigUint64(0, BigInt(address), true);
    this.#view.setBigUint64(8, command | (BigInt(size) << E810_TX.BUFFER_SIZE_SHIFT), true);
    this.#context.memory.write(this.#at(words.txUsed), this.#descriptor);
    words.txUsed++;
  }

  /** Tells the device what was put into the ring. */
  ringDoorbell(block: ControlBlock): void {
    const { registers, layout } = this.#context;
    const tail = this.#words(block).txUsed % layout.ringLength;
    registers.writeRegister(registerAt(E810_VF_REGISTER_ARRAYS.QTX_TAIL1, this.#queue), tail);
  }

  /** What differs from what the driver left in the ring, in words; null when nothing does. */
  audit(block: ControlBlock): string | null {
    const { layout, stamps } = this.#context;
    const { txUsed, txCleaned } = this.#words(block);
    for (let slot = 0; slot < layout.ringLength; slot++) {
      if (!stamps.holds(this.#end(slot), turnOf(slot, txUsed, layout.ringLength)))
        return `buffer ${slot} of Tx queue ${this.#queue}`;
    }
    for (let used = txUsed; used < txCleaned + layout.ringLength; used++) {
      this.#context.memory.read(this.#at(used), this.#descriptor);
      if (this.#descriptor.some((byte) => byte !== 0))
        return `descriptor ${used % layout.ringLength} of Tx queue ${this.#queue}`;
    }
    return null;
  }

  /** The frames under way, as far as the RAM shows them. */
  *#underWay(words: QueueWords): Generator<UnderWay> {
    const { memory, layout, traffic } = this.#context;
    for (let first = words.txCleaned; first < words.txUsed; ) {
      memory.read(addressIn(this.#area.buffers, first % layout.ringLength), this.#head);
      const tag = readTag('fromVf', this.#head);
      if (!tag || tag.flow >= traffic.flows.fromVf || queueOf('fromVf', tag.flow) !== this.#queue) return;
      const last = first + (traffic.cutOf(tag.flow, tag.sequence) > 0 ? 1 : 0);
      if (last >= words.txUsed) return;
      yield { tag, first, last };
      first = last + 1;
    }
  }

  #isDone(used: number): boolean {
    this.#context.memory.read(this.#at(used), this.#descriptor);
    return (this.#view.getBigUint64(8, true) & E810_TX.DTYPE_MASK) === DONE;
  }

  #complain(block: ControlBlock, words: string): void {
    complain(block, `Tx queue ${this.#queue}: ${words}`);
  }

  get #area() {
    return this.#context.layout.queues[this.#queue]!.tx;
  }

  #words(block: ControlBlock): QueueWords {
    return block.queues[this.#queue]!;
  }

  /** Address of a descriptor, which is counted from the start of the ring's life. */
  #at(used: number): number {
    return addressIn(this.#area.ring, used % this.#context.layout.ringLength);
  }

  /** Where a buffer ends, its stamp included. */
  #end(slot: number): number {
    return addressIn(this.#area.buffers, slot + 1);
  }
}
