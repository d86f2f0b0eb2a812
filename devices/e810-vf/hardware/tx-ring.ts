import { E810TxDescriptor as Descriptor, E810_TX as TX } from 'stopcopy/uapi';
import type { VfEnvironment } from '../environment.js';
import type { TxQueue, VfState } from '../vf-state.js';
import { COUNTER, castOf, ETHERNET_HEADER, ETHERTYPE, insertTag, LONGEST_FRAME, VLAN_TAG } from './frame.js';
import { addressOf, type GuestMemory } from './guest-memory.js';
import type { Interrupts } from './interrupts.js';
import { hasPortVlan, maySend } from './switch.js';

const { DATA, CONTEXT, DONE } = TX.DTYPE;
/** The fields of `cmd_type_offset_bsz` in its two halves: the hot path has no bigint. */
const CMD_SHIFT = Number(TX.CMD_SHIFT);
const SIZE_SHIFT_HIGH = Number(TX.BUFFER_SIZE_SHIFT) - 32;
const SIZE_MASK = Number(TX.BUFFER_SIZE_MASK);
const TAG_SHIFT_HIGH = Number(TX.L2TAG1_SHIFT) - 32;
/** A tag that the guest asked for, and the port VLAN's. */
const MOST = LONGEST_FRAME + 2 * VLAN_TAG;

/** What became of the descriptors from head on. */
type Packet = 'whole' | 'not whole' | 'bad';

/**
 * Tx queues. A packet is taken when its descriptor with EOP is there, so between two calls the head stands at
 * the beginning of a packet. Context descriptors (of offloads) belong to the packet that follows and change
 * nothing. What cannot be sent is completed all the same, and counted.
 */
export class TxRing {
  readonly #state: VfState;
  readonly #memory: GuestMemory;
  readonly #interrupts: Interrupts;
  readonly #transmit: VfEnvironment['transmit'];
  readonly #descriptor = new Uint8Array(Descriptor.size);
  readonly #view = new DataView(this.#descriptor.buffer);
  readonly #frame = new Uint8Array(MOST);
  readonly #writeBack = new Uint8Array(8);
  readonly #writeBackView = new DataView(this.#writeBack.buffer);
  /** Of the packet that was read last: descriptors, bytes, VLAN tag or -1, and who wants a report. */
  #descriptors = 0;
  #length = 0;
  #tag = -1;
  #reports = 0;

  constructor(state: VfState, memory: GuestMemory, interrupts: Interrupts, environment: VfEnvironment) {
    this.#state = state;
    this.#memory = memory;
    this.#interrupts = interrupts;
    this.#transmit = (frame) => environment.transmit(frame);
  }

  /** Sends `budget` descriptors of the guest, and the rest of a packet begun. Returns how many. */
  process(queue: TxQueue, budget: number): number {
    let used = 0;
    let reports = 0;
    while (used < budget && this.#isReady(queue)) {
      const packet = this.#read(queue);
      if (packet === 'not whole') break;
      this.#complete(queue);
      used += this.#descriptors;
      reports += this.#reports;
      if (packet === 'whole') this.#send();
      else this.#state.pf.stats.tx_errors++;
    }
    if (reports > 0 && queue.vector !== null) this.#interrupts.raise(queue.vector);
    return used;
  }

  /** A tail outside of the ring hands nothing over. */
  #isReady({ enabled, head, tail, count }: TxQueue): boolean {
    return enabled && head < count && tail < count && head !== tail;
  }

  /** Reads the packet at head. A ring that cannot be read loses all that was handed over. */
  #read(queue: TxQueue): Packet {
    const ready = (queue.tail - queue.head + queue.count) % queue.count;
    this.#length = 0;
    this.#tag = -1;
    this.#reports = 0;
    let ok = true;
    for (this.#descriptors = 1; this.#descriptors <= ready; this.#descriptors++) {
      const at = queue.base + ((queue.head + this.#descriptors - 1) % queue.count) * Descriptor.size;
      if (!this.#memory.read(at, this.#descriptor)) break;
      const low = this.#view.getUint32(8, true);
      const command = (low >>> CMD_SHIFT) & 0xfff;
      if (command & TX.CMD.RS) this.#reports++;
      const type = low & Number(TX.DTYPE_MASK);
      if (type === CONTEXT) continue;
      if (type !== DATA || !this.#append()) ok = false;
      if (command & TX.CMD.IL2TAG1) this.#tag = this.#view.getUint32(12, true) >>> TAG_SHIFT_HIGH;
      if (!(command & TX.CMD.EOP)) continue;
      if (command & TX.CMD.DUMMY) this.#length = 0;
      return ok ? 'whole' : 'bad';
    }
    // No EOP so far. With all other descriptors of the ring handed over, none will ever come.
    if (this.#descriptors > ready && ready < queue.count - 1) return 'not whole';
    this.#descriptors = ready;
    return 'bad';
  }

  /** Fetches the buffer of the descriptor that was read. */
  #append(): boolean {
    const size = (this.#view.getUint32(12, true) >>> SIZE_SHIFT_HIGH) & SIZE_MASK;
    const end = this.#length + size;
    if (end > LONGEST_FRAME) return false;
    const address = addressOf(this.#view.getUint32(4, true), this.#view.getUint32(0, true));
    if (size > 0 && !this.#memory.read(address, this.#frame.subarray(this.#length, end))) return false;
    this.#length = end;
    return true;
  }

  /** Sends the frame that was read; a dummy has no bytes and is not sent. */
  #send(): void {
    const { pf } = this.#state;
    if (this.#length === 0) return;
    if (this.#length < ETHERNET_HEADER) {
      pf.stats.tx_errors++;
      return;
    }
    if (this.#tag >= 0) this.#length = insertTag(this.#frame, this.#length, ETHERTYPE.vlan, this.#tag);
    if (!maySend(this.#state, this.#frame.subarray(0, this.#length))) {
      pf.stats.tx_discards++;
      return;
    }
    if (hasPortVlan(pf)) {
      const { tpid, vid, prio } = pf.portVlan;
      this.#length = insertTag(this.#frame, this.#length, tpid, (prio << 13) | vid);
    }
    const frame = this.#frame.subarray(0, this.#length);
    pf.stats[COUNTER.tx[castOf(frame)]]++;
    pf.stats.tx_bytes += BigInt(frame.length);
    this.#transmit(frame);
  }

  /** Advances head over the packet, and writes the descriptors back that have RS. */
  #complete(queue: TxQueue): void {
    for (let index = 0; index < this.#descriptors; index++) {
      if (this.#reports > 0) this.#report(queue.base + queue.head * Descriptor.size);
      queue.head = (queue.head + 1) % queue.count;
    }
  }

  /** Marks the descriptor at `at` as done, if it has RS. */
  #report(at: number): void {
    // The descriptor of a packet of one is still here.
    if (this.#descriptors > 1 && !this.#memory.read(at, this.#descriptor)) return;
    const low = this.#view.getUint32(8, true);
    if (!((low >>> CMD_SHIFT) & TX.CMD.RS)) return;
    this.#writeBackView.setUint32(0, low | DONE, true);
    this.#writeBackView.setUint32(4, this.#view.getUint32(12, true), true);
    this.#memory.write(at + 8, this.#writeBack);
  }
}
