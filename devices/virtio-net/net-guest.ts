import type { GuestBooks, GuestDriver, GuestMemory, VhostSlot } from 'stopcopy/migrate';
import { hasFeature, splitBytes, VIRTIO_FEATURES, VIRTIO_NET_CTRL, VirtioNetHdr } from 'stopcopy/uapi';
import type { VhostRing } from 'stopcopy/vhost';
import {
  type DriverQueue,
  type DriverQueueState,
  driverQueue,
  type QueueMemory,
  type QueueParts,
} from 'stopcopy/virtio';
import { mix } from '../e810-vf/random.js';
import { enter, newSequence, type Sequence } from '../e810-vf/sequence.js';
import type { NetWire } from './wire.js';

export interface NetGuestOptions {
  readonly slot: VhostSlot;
  readonly wire: NetWire;
  /** Negotiated with the device. */
  readonly features: bigint;
  readonly queuePairs: number;
  /** There is a control queue behind the data queues. */
  readonly control: boolean;
  /** Descriptors of each queue. */
  readonly ringSize: number;
  /** Frames that each queue pair sends in a run. */
  readonly framesPerRun: number;
  readonly seed: number;
}

/** What the driver knows: it stands in guest RAM, so that a migrated copy goes on with it. */
interface DriverState {
  queues: DriverQueueState[];
  /** Next frame of each queue pair. */
  next: number[];
  flows: [flow: number, sequence: Sequence][];
  received: number;
  sent: number;
  corrupted: number;
  alien: number;
  commands: number;
  misanswered: number;
  complaints: string[];
}

/** Where things stand in the driver's RAM: what it knows, the rings, and the buffers. */
const LAYOUT = { state: 0, stateBytes: 0x2_0000, rings: 0x2_0000, buffers: 0x8_0000 } as const;
const MAGIC = 0x7674_6e64;
const PAGE = 4096;
/** Receive buffers are shorter than the longest frame, so that some frames take two. */
const RECEIVE_BYTES = 1100;
const SLOT_BYTES = 2048;
/** Frames that are sent between two commands on the control queue. */
const FRAMES_PER_COMMAND = 256;
const MOST_COMPLAINTS = 4;

/** A guest's virtio-net driver, with traffic in both directions that tells every frame apart. */
export class NetGuest implements GuestDriver {
  readonly #options: NetGuestOptions;
  readonly #memory: GuestMemory & QueueMemory;
  readonly #parts: QueueParts[] = [];
  #queues: DriverQueue[] = [];
  #state: DriverState | null = null;
  /** Memory was lost on the way: the driver begins anew, and what it had counted is gone. */
  #isDamaged = false;

  constructor(options: NetGuestOptions) {
    this.#options = options;
    const { memory } = options.slot;
    this.#memory = {
      size: memory.size,
      read: (address, into) => memory.read(address, into),
      write: (address, bytes) => memory.write(address, bytes),
    };
    let at = options.slot.driverRam.start + LAYOUT.rings;
    const take = (bytes: number) => {
      const from = at;
      at = Math.ceil((at + bytes) / PAGE) * PAGE;
      return from;
    };
    for (let index = 0; index < this.#count; index++) {
      const { ringSize } = options;
      // Of a packed ring the parts are smaller.
      this.#parts.push({
        desc: take(splitBytes.desc(ringSize)),
        avail: take(splitBytes.avail(ringSize)),
        used: take(splitBytes.used(ringSize)),
      });
    }
  }

  get #count(): number {
    return 2 * this.#options.queuePairs + (this.#options.control ? 1 : 0);
  }

  get #packed(): boolean {
    return hasFeature(this.#options.features, VIRTIO_FEATURES.RING_PACKED);
  }

  get isUp(): boolean {
    return (this.#state?.received ?? 0) > 0 && (this.#state?.sent ?? 0) > 0;
  }

  run(): void {
    if (this.#state === null && !this.#goOn()) this.#setUp();
    const state = this.#state!;
    this.#collect(state);
    for (let pair = 0; pair < this.#options.queuePairs; pair++) {
      this.#fill(2 * pair);
      for (let n = 0; n < this.#options.framesPerRun; n++) if (!this.#send(pair, state)) break;
    }
    if (this.#options.control && state.sent >= state.commands * FRAMES_PER_COMMAND) this.#command(state);
    for (const [index, queue] of this.#queues.entries())
      if (queue.needsKick()) this.#options.slot.kick(index);
    this.#remember(state);
  }

  /** What the driver knew on another host stands in RAM. @returns false when nothing does */
  #goOn(): boolean {
    const head = new Uint8Array(8);
    const at = this.#options.slot.driverRam.start + LAYOUT.state;
    this.#memory.read(at, head);
    const view = new DataView(head.buffer);
    const length = view.getUint32(4, true);
    if (view.getUint32(0, true) !== MAGIC || length > LAYOUT.stateBytes) return false;
    const text = new Uint8Array(length);
    this.#memory.read(at + 8, text);
    try {
      const state = JSON.parse(new TextDecoder().decode(text)) as DriverState;
      this.#queues = this.#parts.map((_, index) => this.#queue(index, state.queues[index]!));
      this.#state = state;
      return true;
    } catch {
      this.#isDamaged = true;
      return false;
    }
  }

  #setUp(): void {
    const { features, queuePairs, ringSize, control, slot } = this.#options;
    this.#queues = this.#parts.map((_, index) => this.#queue(index));
    this.#state = {
      queues: [],
      next: new Array<number>(queuePairs).fill(0),
      flows: [],
      received: 0,
      sent: 0,
      corrupted: 0,
      alien: 0,
      commands: 0,
      misanswered: 0,
      complaints: this.#isDamaged ? ['what the driver knew is damaged'] : [],
    };
    const base = this.#packed ? 0x8000_8000 : 0;
    const rings: VhostRing[] = this.#parts.map((parts, index) => ({ index, size: ringSize, parts, base }));
    slot.driverOk({ features, rings, controlQueue: control ? 2 * queuePairs : null });
  }

  #queue(index: number, state?: DriverQueueState): DriverQueue {
    const { ringSize, features } = this.#options;
    return driverQueue(this.#packed, {
      memory: this.#memory,
      parts: this.#parts[index]!,
      size: ringSize,
      features: {
        eventIdx: hasFeature(features, VIRTIO_FEATURES.EVENT_IDX),
        indirect: hasFeature(features, VIRTIO_FEATURES.INDIRECT_DESC),
      },
      ...(state === undefined ? {} : { state }),
    });
  }

  /** The buffer that belongs to a token of a queue. */
  #buffer(queue: number, token: number): number {
    const { slot, ringSize } = this.#options;
    // Half a slot further on, so that one in two buffers stands across a page boundary.
    return (
      slot.driverRam.start + LAYOUT.buffers + (queue * ringSize + token) * SLOT_BYTES + SLOT_BYTES / 2 + 7
    );
  }

  /** A token that no buffer of the queue has. */
  #freeToken(queue: DriverQueue): number | null {
    if (queue.free === 0) return null;
    const used = new Set(queue.state.given.map(({ token }) => token));
    for (let token = 0; token < this.#options.ringSize; token++) if (!used.has(token)) return token;
    return null;
  }

  #fill(index: number): void {
    const queue = this.#queues[index]!;
    for (let token = this.#freeToken(queue); token !== null; token = this.#freeToken(queue))
      queue.add([], [{ address: this.#buffer(index, token), length: RECEIVE_BYTES }], token);
  }

  #send(pair: number, state: DriverState): boolean {
    const index = 2 * pair + 1;
    const queue = this.#queues[index]!;
    const token = this.#freeToken(queue);
    if (token === null) return false;
    const frame = this.#options.wire.frames.build('fromGuest', pair, state.next[pair]!);
    const packet = new Uint8Array(VirtioNetHdr.size + frame.length);
    packet.set(frame, VirtioNetHdr.size);
    const address = this.#buffer(index, token);
    this.#memory.write(address, packet);
    queue.add([{ address, length: packet.length }], [], token);
    state.next[pair]!++;
    state.sent++;
    return true;
  }

  /** Something new for the device to remember: a VLAN more, or a receive mode. */
  #command(state: DriverState): void {
    const index = 2 * this.#options.queuePairs;
    const queue = this.#queues[index]!;
    const token = this.#freeToken(queue);
    if (token === null) return;
    const draw = mix(this.#options.seed, state.commands);
    const { RX, VLAN } = VIRTIO_NET_CTRL;
    const bytes =
      draw % 2 === 0
        ? Uint8Array.of(VLAN.class, VLAN.ADD, draw & 0xff, 1)
        : Uint8Array.of(RX.class, RX.ALLMULTI, (draw >>> 8) & 1);
    const address = this.#buffer(index, token);
    this.#memory.write(address, bytes);
    this.#memory.write(address + 64, Uint8Array.of(0xff));
    queue.add([{ address, length: bytes.length }], [{ address: address + 64, length: 1 }], token);
    state.commands++;
  }

  #collect(state: DriverState): void {
    try {
      for (const index of this.#queues.keys()) this.#collectFrom(index, state);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      if (state.complaints.length < MOST_COMPLAINTS) state.complaints.push(error.message);
    }
  }

  #collectFrom(index: number, state: DriverState): void {
    const queue = this.#queues[index]!;
    const isControl = index === 2 * this.#options.queuePairs;
    let packet: Uint8Array[] = [];
    let buffers = 1;
    for (let used = queue.collect(); used !== null; used = queue.collect()) {
      const address = this.#buffer(index, used.token);
      if (isControl && this.#read(address + 64, 1)[0] !== 0) state.misanswered++;
      if (isControl || index % 2 === 1) continue;
      const bytes = this.#read(address, used.length);
      if (packet.length === 0 && bytes.length >= VirtioNetHdr.size)
        buffers = VirtioNetHdr.decode(bytes).num_buffers;
      packet.push(bytes);
      if (packet.length < buffers) continue;
      this.#receive(Buffer.concat(packet).subarray(VirtioNetHdr.size), state);
      packet = [];
    }
  }

  #receive(frame: Uint8Array, state: DriverState): void {
    const tag = this.#options.wire.frames.inspect('toGuest', frame);
    if (tag === null) state.alien++;
    else if (tag.wrong !== undefined) state.corrupted++;
    else {
      state.received++;
      const known = state.flows.find(([flow]) => flow === tag.flow);
      const sequence = known?.[1] ?? newSequence();
      enter(sequence, tag.sequence);
      if (known === undefined) state.flows.push([tag.flow, sequence]);
    }
  }

  #read(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#memory.read(address, bytes);
    return bytes;
  }

  #remember(state: DriverState): void {
    state.queues = this.#queues.map((queue) => queue.state);
    const text = new TextEncoder().encode(JSON.stringify(state));
    if (text.length + 8 > LAYOUT.stateBytes)
      throw new RangeError('the driver knows more than its memory holds');
    const bytes = new Uint8Array(8 + text.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, text.length, true);
    bytes.set(text, 8);
    this.#memory.write(this.#options.slot.driverRam.start + LAYOUT.state, bytes);
  }

  /** A flow keeps its order, so what is missing below the highest number that was seen is lost. */
  books(): GuestBooks {
    const { wire } = this.#options;
    const state = this.#state;
    const flows = [...(state?.flows ?? []).map(([, each]) => each), ...wire.fromGuest.values()];
    const sum = (count: (sequence: Sequence) => number) =>
      flows.reduce((total, sequence) => total + count(sequence), 0);
    const { taken, dropped, alien, corrupted } = wire.counts;
    return {
      framesAccepted: taken,
      framesReceived: state?.received ?? 0,
      framesSent: state?.sent ?? 0,
      framesOnWire: [...wire.fromGuest.values()].reduce((total, { seen }) => total + seen, 0),
      framesLost: Math.max(0, sum(({ next, seen }) => next - seen) - dropped),
      framesDuplicated: sum(({ duplicated }) => duplicated),
      framesReordered: sum(({ reordered }) => reordered),
      framesCorrupted: (state?.corrupted ?? 0) + (state?.alien ?? 0) + alien + corrupted,
      framesDropped: dropped,
      interruptsMissed: 0,
      mailboxRequests: state?.commands ?? 0,
      mailboxMisanswered: state?.misanswered ?? 0,
      complaints: [...(state?.complaints ?? [])],
    };
  }
}
