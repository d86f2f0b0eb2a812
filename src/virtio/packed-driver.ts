import { PackedDesc, RING_EVENT_FLAGS, VRING_DESC_F } from '../uapi/virtio.js';
import { DESC_BYTES, DescriptorReader } from './chain.js';
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
    if (segments.length === 0 || segments.length > this.#free) return false;
    const id = this.#ids.shift()!;
    const place = PackedIndex.of(this.size, this.#avail.word);
    const descriptors: number[] = [];
    const writes = segments.map(({ address, length }, index) => {
      const flags =
        (index + 1 < segments.length ? VRING_DESC_F.NEXT : 0) |
        (index < readable.length ? 0 : VRING_DESC_F.WRITE) |
        place.availableFlags;
      const at = this.#options.parts.desc + place.at * DESC_BYTES;
      descriptors.push(place.at);
      place.advance(1);
      return { at, bytes: PackedDesc.encode({ addr: BigInt(address), len: length, id, flags }) };
    });
    // The device looks at the first one: it comes last.
    for (const { at, bytes } of writes.toReversed()) this.#options.memory.write(at, bytes);
    this.#avail.advance(segments.length);
    this.#free -= segments.length;
    this.#untold += segments.length;
    const room = writable.reduce((sum, { length }) => sum + length, 0);
    this.#given.set(id, { id, token, descriptors, room });
    return true;
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
