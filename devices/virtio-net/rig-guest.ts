import { AVAIL, DeviceError, splitBytes, USED, VIRTIO_NET_ACK, VirtioNetHdr } from 'stopcopy/uapi';
import {
  type DriverQueue,
  driverQueue,
  type QueueMemory,
  type QueueOptions,
  type QueueParts,
  type Segment,
} from 'stopcopy/virtio';
import { enter, newSequence, type Sequence } from '../e810-vf/sequence.js';
import type { RigMemory } from './rig-memory.js';
import type { RigRandom } from './rig-random.js';
import type { NetFrames } from './wire.js';

export interface RigGuestOptions {
  readonly random: RigRandom;
  readonly memory: RigMemory;
  readonly frames: NetFrames;
  readonly queuePairs: number;
  /** Behind the data queues there is a control queue. */
  readonly control: boolean;
  readonly packed: boolean;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly mergeable: boolean;
  /** Bytes of the header before each frame. */
  readonly header: number;
  /** Longest frame to the guest, and from it. */
  readonly mostToGuest: number;
  readonly mostFromGuest: number;
  /** Descriptors of each queue. */
  readonly sizes: readonly number[];
  /** Where each ring begins. */
  readonly starts: readonly number[];
  /** Used parts begin so that the edge of a page lies between index and elements. */
  readonly splitsUsed: boolean;
  /** How far the addresses in descriptors are from guest physical ones. */
  readonly iova: number;
  /** Notifies the device. */
  readonly kick: (index: number) => void;
}

/** What went wrong in a guest, and how much went right. */
export interface RigGuestCounts {
  received: number;
  sent: number;
  /** Frames with other content than their number says, and frames of nobody. */
  corrupted: number;
  alien: number;
  /** Commands of the control queue that were not acknowledged with OK. */
  refused: number;
  commands: number;
  calls: number;
}

/** A buffer of the guest: where it may lie. */
interface Slot {
  readonly address: number;
  readonly size: number;
}

interface Queue {
  readonly index: number;
  readonly parts: QueueParts;
  readonly driver: DriverQueue;
  readonly free: Slot[];
  /** Buffers that the device has, by token. */
  readonly given: Map<number, { readonly slot: Slot; readonly writable: readonly Segment[] }>;
}

const PAGE = 4096;

/** Hands out guest memory from the bottom up. */
class Heap {
  #at: number;
  readonly #end: number;

  constructor(from: number, to: number) {
    this.#at = from;
    this.#end = to;
  }

  take(size: number, alignment: number, gap = 0): number {
    const at = Math.ceil((this.#at + gap) / alignment) * alignment;
    if (at + size > this.#end) throw new RangeError(`the guest has no ${size} bytes left`);
    this.#at = at + size;
    return at;
  }

  /** How far it is to so many bytes before the edge of a page. */
  gapBefore(bytes: number): number {
    return (2 * PAGE - (this.#at % PAGE) - bytes + PAGE) % PAGE;
  }

  get left(): number {
    return this.#end - this.#at;
  }
}

/**
 * A guest with a virtio-net driver: its rings and buffers lie anywhere, also across pages, and it checks every
 * frame that it gets.
 */
export class RigGuest {
  readonly counts: RigGuestCounts = {
    received: 0,
    sent: 0,
    corrupted: 0,
    alien: 0,
    refused: 0,
    commands: 0,
    calls: 0,
  };
  /** Of each flow of the wire, which numbers came. */
  readonly flows = new Map<number, Sequence>();
  readonly queues: readonly Queue[];
  /** Pages that the guest wrote since they were last asked for. */
  readonly dirty = new Set<number>();
  readonly #options: RigGuestOptions;
  #memory: RigMemory;
  #token = 0;
  #next: number[];

  constructor(options: RigGuestOptions) {
    this.#options = options;
    this.#memory = options.memory;
    const { random, sizes, queuePairs } = options;
    this.#next = new Array<number>(queuePairs).fill(0);
    const [rings, buffers] = options.memory.blocks;
    const heap = new Heap(rings!.gpa, rings!.gpa + rings!.size);
    const pool = new Heap(buffers!.gpa, buffers!.gpa + buffers!.size);
    const share = Math.floor(pool.left / sizes.length);
    this.queues = sizes.map((size, index) => {
      const parts = this.#place(heap, size);
      const { eventIdx, indirect } = options;
      const features = { eventIdx, indirect };
      const driver = this.#driver(index, { memory: this.#access, parts, size, features });
      const most = this.#slotSize(index);
      const count = Math.min(2 * size, Math.max(1, Math.floor(share / (most + 1024))));
      const free = Array.from({ length: count }, (_, slot) => ({
        // The end of a short frame often stands just behind the edge of a page.
        address: pool.take(
          most,
          1,
          index + slot === 0 || random.percent(20)
            ? pool.gapBefore(random.between(60, 71))
            : random.below(200),
        ),
        size: most,
      })).reverse();
      return { index, parts, driver, free, given: new Map() };
    });
  }

  /** The guest goes on in another machine. */
  moveTo(memory: RigMemory): void {
    this.#memory = memory;
  }

  /** Takes what the device has returned, and gives it new buffers, frames and commands. */
  step(frames: number): void {
    for (const queue of this.queues) this.#collect(queue);
    for (const queue of this.queues) {
      if (this.#isControl(queue)) continue;
      if (queue.index % 2 === 0) this.#fill(queue);
      else for (let n = 0; n < frames; n++) if (!this.#send(queue)) break;
    }
    for (const queue of this.queues) this.kickIfNeeded(queue);
  }

  /** Takes what the device has returned. */
  collect(): void {
    for (const queue of this.queues) this.#collect(queue);
  }

  kickIfNeeded(queue: Queue): void {
    if (queue.driver.needsKick()) this.#options.kick(queue.index);
  }

  /** Gives a command to the control queue. @returns false when there is no room */
  command(bytes: Uint8Array): boolean {
    const queue = this.queues.at(-1)!;
    const slot = queue.free.pop();
    if (slot === undefined) return false;
    const ack = { address: slot.address + bytes.length, length: 1 };
    this.#access.write(slot.address, bytes);
    this.#access.write(ack.address, Uint8Array.of(0xff));
    if (!this.#add(queue, slot, [{ address: slot.address, length: bytes.length }], [ack])) return false;
    this.counts.commands++;
    this.kickIfNeeded(queue);
    return true;
  }

  /** Buffers that the device has. */
  get outstanding(): number {
    return this.queues.reduce(
      (sum, queue) => sum + (queue.index % 2 === 1 || this.#isControl(queue) ? queue.given.size : 0),
      0,
    );
  }

  /** Commands that were not answered yet. */
  get commandsUnderWay(): number {
    const queue = this.queues.at(-1)!;
    return this.#isControl(queue) ? queue.given.size : 0;
  }

  #isControl({ index }: { index: number }): boolean {
    return index === 2 * this.#options.queuePairs;
  }

  /** Memory as the guest's driver reaches it, wherever the guest is. */
  readonly #access: QueueMemory = {
    read: (address, into) => this.#memory.guest.read(address, into),
    write: (address, bytes) => {
      this.#memory.guest.write(address, bytes);
      for (let page = address >> 12; page <= (address + bytes.length - 1) >> 12; page++) this.dirty.add(page);
    },
  };

  /** A queue that has been in use before, up to where it begins here. */
  #driver(index: number, options: QueueOptions): DriverQueue {
    const { packed, starts } = this.#options;
    const { parts, size } = options;
    const start = starts[index]!;
    const place = packed ? start | 0x8000 : start;
    if (!packed) {
      const word = Uint8Array.of(start & 0xff, start >> 8);
      const places = [AVAIL.idx, AVAIL.event(size)].map((offset) => parts.avail + offset);
      for (const at of [...places, parts.used + USED.idx, parts.used + USED.event(size)])
        this.#access.write(at, word);
    }
    const free = Array.from({ length: size }, (_, each) => each);
    const state = { free, given: [], avail: place, used: place, kicked: packed ? 0 : start, calls: true };
    return driverQueue(packed, { ...options, state });
  }

  /** Parts of a queue anywhere: a used ring may begin in any part of a page and end in the next one. */
  #place(heap: Heap, size: number): QueueParts {
    const { random, packed, splitsUsed } = this.#options;
    const desc = heap.take(splitBytes.desc(size), 16, random.below(1024));
    const avail = heap.take(packed ? 4 : splitBytes.avail(size), packed ? 4 : 2, random.below(1024));
    const bytes = packed ? 4 : splitBytes.used(size);
    // In most queues the edge of a page lies in the used part.
    const before = splitsUsed
      ? USED.ring
      : random.percent(70)
        ? 4 * random.between(1, Math.ceil(bytes / 4))
        : random.below(PAGE);
    const used = heap.take(bytes, 4, heap.gapBefore(before));
    return { desc, avail, used };
  }

  #slotSize(index: number): number {
    const { random, mergeable, header, mostToGuest, mostFromGuest } = this.#options;
    if (this.#isControl({ index })) return 512;
    if (index % 2 === 1) return header + mostFromGuest;
    return mergeable ? random.pick([600, 1530, 2048, 4200, 9000]) : header + mostToGuest;
  }

  #collect(queue: Queue): void {
    const { driver } = queue;
    const isReceive = queue.index % 2 === 0 && !this.#isControl(queue);
    let packet: Uint8Array[] = [];
    let buffers = 0;
    for (let used = driver.collect(); used !== null; used = driver.collect()) {
      const { slot, writable } = queue.given.get(used.token)!;
      queue.given.delete(used.token);
      queue.free.push(slot);
      if (this.#isControl(queue)) this.#ack(writable);
      if (!isReceive) continue;
      if (packet.length === 0) buffers = this.#buffersOf(writable, used.length);
      packet.push(this.#gather(writable, used.length));
      if (packet.length < buffers) continue;
      this.#take(Buffer.concat(packet));
      packet = [];
    }
  }

  #buffersOf(writable: readonly Segment[], length: number): number {
    const { header, mergeable } = this.#options;
    const head = this.#gather(writable, Math.min(length, header));
    return mergeable && head.length === VirtioNetHdr.size ? VirtioNetHdr.decode(head).num_buffers : 1;
  }

  #take(packet: Uint8Array): void {
    const tag = this.#options.frames.inspect('toGuest', packet.subarray(this.#options.header));
    if (tag === null) this.counts.alien++;
    else if (tag.wrong !== undefined) this.counts.corrupted++;
    else {
      this.counts.received++;
      const flow = this.flows.get(tag.flow) ?? newSequence();
      enter(flow, tag.sequence);
      this.flows.set(tag.flow, flow);
    }
  }

  #ack(writable: readonly Segment[]): void {
    if (this.#gather(writable, 1)[0] !== VIRTIO_NET_ACK.OK) this.counts.refused++;
  }

  #fill(queue: Queue): void {
    const { random } = this.#options;
    while (queue.free.length > 0 && queue.driver.free > 0) {
      const slot = queue.free.pop()!;
      if (this.#add(queue, slot, [], this.#cut(slot.address, slot.size, random.between(1, 3)))) continue;
      if (!this.#add(queue, slot, [], [{ address: slot.address, length: slot.size }])) break;
    }
  }

  #send(queue: Queue): boolean {
    const { frames, header, random } = this.#options;
    const slot = queue.free.pop();
    if (slot === undefined) return false;
    const pair = queue.index >> 1;
    const frame = frames.build('fromGuest', pair, this.#next[pair]!);
    const packet = new Uint8Array(header + frame.length);
    packet.set(frame, header);
    const cuts = this.#cut(slot.address, packet.length, random.between(1, 3));
    const whole = [{ address: slot.address, length: packet.length }];
    this.#access.write(slot.address, packet);
    if (!this.#add(queue, slot, cuts, []) && !this.#add(queue, slot, whole, [])) return false;
    this.#next[pair]!++;
    this.counts.sent++;
    return true;
  }

  /** @returns false, with the slot free again, when the queue has no room */
  #add(queue: Queue, slot: Slot, readable: readonly Segment[], writable: readonly Segment[]): boolean {
    const token = this.#token++;
    const { iova } = this.#options;
    const moved = (runs: readonly Segment[]) =>
      runs.map(({ address, length }) => ({ address: address + iova, length }));
    if (!queue.driver.add(moved(readable), moved(writable), token)) {
      if (!queue.free.includes(slot)) queue.free.push(slot);
      return false;
    }
    const at = queue.free.indexOf(slot);
    if (at >= 0) queue.free.splice(at, 1);
    queue.given.set(token, { slot, writable });
    return true;
  }

  /** A run in so many pieces, each of at least a byte. */
  #cut(address: number, size: number, pieces: number): Segment[] {
    const { random } = this.#options;
    const cuts = new Set<number>();
    for (let n = 1; n < pieces; n++) cuts.add(random.between(1, size - 1));
    const at = [0, ...[...cuts].toSorted((a, b) => a - b), size];
    return at.slice(1).map((end, n) => ({ address: address + at[n]!, length: end - at[n]! }));
  }

  #gather(runs: readonly Segment[], most: number): Uint8Array {
    const bytes = new Uint8Array(most);
    let at = 0;
    for (const { address, length } of runs) {
      const size = Math.min(length, most - at);
      if (size <= 0) break;
      this.#access.read(address, bytes.subarray(at, at + size));
      at += size;
    }
    if (at < most) throw new DeviceError('EIO', `the device returned ${most} bytes of a buffer of ${at}`);
    return bytes;
  }
}
