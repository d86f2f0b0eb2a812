import { AVAIL, USED, VRING_DESC_F, VRING_F, VringDesc } from '../uapi/virtio.js';
import { DESC_BYTES, passed } from './chain.js';
import { IndirectTables } from './indirect-tables.js';
import { MemoryWords } from './memory-words.js';
import type { DriverQueue, DriverQueueOptions, DriverQueueState, GivenBuffer, Segment } from './queue.js';

/** The driver's side of a split virtqueue. */
export class SplitDriverQueue implements DriverQueue {
  readonly size: number;
  readonly #options: DriverQueueOptions;
  readonly #words: MemoryWords;
  readonly #free: number[];
  readonly #tables: IndirectTables;
  readonly #given = new Map<number, GivenBuffer>();
  #avail = 0;
  #kicked = 0;
  #used = 0;
  #calls = true;

  constructor(options: DriverQueueOptions) {
    const { size, memory, state } = options;
    this.size = size;
    this.#options = options;
    this.#words = new MemoryWords(memory);
    this.#tables = new IndirectTables(options);
    this.#free = state ? [...state.free] : Array.from({ length: size }, (_, index) => index);
    if (state === undefined) return;
    for (const given of state.given) this.#given.set(given.id, given);
    this.#avail = state.avail;
    this.#used = state.used;
    this.#kicked = state.kicked;
    this.#calls = state.calls;
  }

  get state(): DriverQueueState {
    return {
      free: [...this.#free],
      given: [...this.#given.values()],
      avail: this.#avail,
      used: this.#used,
      kicked: this.#kicked,
      calls: this.#calls,
    };
  }

  get free(): number {
    return this.#free.length;
  }

  add(readable: readonly Segment[], writable: readonly Segment[], token: number): boolean {
    const segments = [...readable, ...writable];
    const isIndirect = this.#tables.takes(segments.length);
    const count = isIndirect ? 1 : segments.length;
    if (count === 0 || count > this.#free.length) return false;
    const descriptors = this.#free.splice(0, count);
    const head = descriptors[0]!;
    const write = (index: number) => (index < readable.length ? 0 : VRING_DESC_F.WRITE);
    if (isIndirect) {
      const table = this.#tables.write(head, segments, (segment, index) =>
        encode(segment, write(index), index + 1 < segments.length ? index + 1 : null),
      );
      this.#put(head, encode(table, VRING_DESC_F.INDIRECT, null));
    } else {
      for (const [index, segment] of segments.entries())
        this.#put(descriptors[index]!, encode(segment, write(index), descriptors[index + 1] ?? null));
    }
    const room = writable.reduce((sum, { length }) => sum + length, 0);
    this.#given.set(head, { id: head, token, descriptors, room });
    this.#offer(head);
    return true;
  }

  #put(descriptor: number, bytes: Uint8Array): void {
    this.#options.memory.write(this.#options.parts.desc + descriptor * DESC_BYTES, bytes);
  }

  #offer(head: number): void {
    const { avail } = this.#options.parts;
    this.#words.setU16(avail + AVAIL.ring + 2 * (this.#avail % this.size), head);
    this.#avail = (this.#avail + 1) & 0xffff;
    this.#words.setU16(avail + AVAIL.idx, this.#avail);
  }

  needsKick(): boolean {
    const { parts, features } = this.#options;
    const before = this.#kicked;
    this.#kicked = this.#avail;
    if (before === this.#avail) return false;
    if (!features.eventIdx) return (this.#words.u16(parts.used + USED.flags) & VRING_F.USED_NO_NOTIFY) === 0;
    return passed(this.#words.u16(parts.used + USED.event(this.size)), this.#avail, before);
  }

  collect(): { token: number; length: number } | null {
    const { used } = this.#options.parts;
    const waiting = (this.#words.u16(used + USED.idx) - this.#used) & 0xffff;
    if (waiting === 0) return null;
    if (waiting > this.#given.size)
      throw new RangeError(`the device has returned ${waiting} buffers, and was given ${this.#given.size}`);
    const element = used + USED.ring + 8 * (this.#used % this.size);
    const head = this.#words.u32(element);
    const length = this.#words.u32(element + 4);
    const given = this.#given.get(head);
    if (given === undefined)
      throw new RangeError(`the device has returned buffer ${head}, which it was not given`);
    if (length > given.room)
      throw new RangeError(`the device says it wrote ${length} bytes into a buffer of ${given.room}`);
    this.#given.delete(head);
    this.#free.push(...given.descriptors);
    this.#used = (this.#used + 1) & 0xffff;
    if (this.#calls && this.#options.features.eventIdx) this.#waitForNext();
    return { token: given.token, length };
  }

  #waitForNext(): void {
    this.#words.setU16(this.#options.parts.avail + AVAIL.event(this.size), this.#used);
  }

  setCalls(on: boolean): void {
    this.#calls = on;
    const { parts, features } = this.#options;
    if (!features.eventIdx)
      this.#words.setU16(parts.avail + AVAIL.flags, on ? 0 : VRING_F.AVAIL_NO_INTERRUPT);
    else if (on) this.#waitForNext();
    // An index that was just passed is not passed again for a whole round.
    else this.#words.setU16(parts.avail + AVAIL.event(this.size), (this.#used - 1) & 0xffff);
  }
}

function encode({ address, length }: Segment, flags: number, next: number | null): Uint8Array {
  const more = next === null ? 0 : VRING_DESC_F.NEXT;
  return VringDesc.encode({ addr: BigInt(address), len: length, flags: flags | more, next: next ?? 0 });
}
