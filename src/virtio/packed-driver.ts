import { PackedDesc, RING_EVENT_FLAGS, VRING_DESC_F } from '../uapi/virtio.js';
import { DESC_BYTES, DescriptorReader } from './chain.js';
import { IndirectTables } from './indirect-tables.js';
import { MemoryWords } from './memory-words.js';
import { PackedIndex } from './packed-index.js';
import type { DriverQueue, DriverQueueOptions, DriverQueueState, GivenBuffer, Segment } from './queue.js';

/** The driver's side of a packed virtqueue. */
export class PackedDriverQueue implements DriverQueue {
  readonly size: number;
  readonly #options: DriverQueueOptions;
  readonly #words: MemoryWords;
  readonly #descriptors: DescriptorReader;
  readonly #avail: PackedIndex;
  readonly #used: PackedIndex;
  readonly #ids: number[];
  readonly #tables: IndirectTables;
  readonly #given = new Map<number, GivenBuffer>();
  #free: number;
  /** Descriptors that were made available since the device was last notified. */
  #untold = 0;
  #calls = true;

  constructor(options: DriverQueueOptions) {
    const { size, memory, state } = options;
    this.size = size;
    this.#options = options;
    this.#words = new MemoryWords(memory);
    this.#tables = new IndirectTables(options);
    this.#descriptors = new DescriptorReader(memory);
    this.#avail = PackedIndex.of(size, state?.avail ?? 0x8000);
    this.#used = PackedIndex.of(size, state?.used ?? 0x8000);
    this.#ids = state ? [...state.free] : Array.from({ length: size }, (_, id) => id);
    this.#free = size;
    if (state === undefined) return;
    for (const given of state.given) {
      this.#given.set(given.id, given);
      this.#free -= given.descriptors.length;
    }
    this.#untold = state.kicked;
    this.#calls = state.calls;
  }

  get state(): DriverQueueState {
    return {
      free: [...this.#ids],
      given: [...this.#given.values()],
      avail: this.#avail.word,
      used: this.#used.word,
      kicked: this.#untold,
      calls: this.#calls,
    };
  }

  get free(): number {
    return this.#free;
  }

  add(readable: readonly Segment[], writable: readonly Segment[], token: number): boolean {
    const segments = [...readable, ...writable];
    const isIndirect = this.#tables.takes(segments.length);
    const count = isIndirect ? 1 : segments.length;
    if (count === 0 || count > this.#free) return false;
    const id = this.#ids.shift()!;
    const write = (index: number) => (index < readable.length ? 0 : VRING_DESC_F.WRITE);
    if (isIndirect) {
      const table = this.#tables.write(id, segments, (segment, index) => encode(segment, 0, write(index)));
      this.#put([encode(table, id, VRING_DESC_F.INDIRECT | this.#avail.availableFlags)]);
    } else {
      const place = PackedIndex.of(this.size, this.#avail.word);
      const bytes = segments.map((segment, index) => {
        const next = index + 1 < count ? VRING_DESC_F.NEXT : 0;
        const flags = next | write(index) | place.availableFlags;
        place.advance(1);
        return encode(segment, id, flags);
      });
      this.#put(bytes);
    }
    const descriptors = Array.from({ length: count }, (_, index) => this.#avail.after(index));
    this.#avail.advance(count);
    this.#free -= count;
    this.#untold += count;
    const room = writable.reduce((sum, { length }) => sum + length, 0);
    this.#given.set(id, { id, token, descriptors, room });
    return true;
  }

  /** Puts descriptors into the ring. The device looks at the first one: it comes last. */
  #put(descriptors: readonly Uint8Array[]): void {
    for (const [index, bytes] of [...descriptors.entries()].toReversed())
      this.#options.memory.write(this.#options.parts.desc + this.#avail.after(index) * DESC_BYTES, bytes);
  }

  needsKick(): boolean {
    const { parts, features } = this.#options;
    const untold = this.#untold;
    this.#untold = 0;
    if (untold === 0) return false;
    const flags = this.#words.u16(parts.used + 2);
    if (flags !== RING_EVENT_FLAGS.DESC || !features.eventIdx) return flags !== RING_EVENT_FLAGS.DISABLE;
    return this.#avail.hasPassed(this.#words.u16(parts.used), untold);
  }

  collect(): { token: number; length: number } | null {
    const { length, third: id, fourth } = this.#descriptors.read(this.#options.parts.desc, this.#used.at);
    if (!this.#used.isUsed(fourth) || this.#free === this.size) return null;
    const given = this.#given.get(id);
    if (given === undefined)
      throw new RangeError(`the device has returned buffer ${id}, which it was not given`);
    if (length > given.room && given.room > 0)
      throw new RangeError(`the device says it wrote ${length} bytes into a buffer of ${given.room}`);
    this.#given.delete(id);
    this.#ids.push(id);
    this.#free += given.descriptors.length;
    this.#used.advance(given.descriptors.length);
    if (this.#calls && this.#options.features.eventIdx)
      this.#words.setU16(this.#options.parts.avail, this.#used.word);
    return { token: given.token, length: given.room === 0 ? 0 : length };
  }

  setCalls(on: boolean): void {
    this.#calls = on;
    const { parts, features } = this.#options;
    if (on && features.eventIdx) this.#words.setU16(parts.avail, this.#used.word);
    const wanted = features.eventIdx ? RING_EVENT_FLAGS.DESC : RING_EVENT_FLAGS.ENABLE;
    this.#words.setU16(parts.avail + 2, on ? wanted : RING_EVENT_FLAGS.DISABLE);
  }
}

function encode({ address, length }: Segment, id: number, flags: number): Uint8Array {
  return PackedDesc.encode({ addr: BigInt(address), len: length, id, flags });
}
