import { decodePackedBase, encodePackedBase } from '../uapi/vhost.js';
import { PackedDesc, RING_EVENT_FLAGS, VRING_DESC_F } from '../uapi/virtio.js';
import {
  broken,
  ChainBuilder,
  DESC_BYTES,
  DescriptorReader,
  indirectCount,
  MOST_DESCRIPTORS,
  type RawDescriptor,
} from './chain.js';
import { MemoryWords } from './memory-words.js';
import { PackedIndex } from './packed-index.js';
import type { Chain, DeviceQueue, DeviceQueueOptions } from './queue.js';

/** The device's side of a packed virtqueue (VIRTIO 1.3, 2.8). Buffers are returned in the order they are pushed. */
export class PackedDeviceQueue implements DeviceQueue {
  readonly size: number;
  taken = 0;
  returned = 0;
  readonly #options: DeviceQueueOptions;
  readonly #words: MemoryWords;
  readonly #descriptors: DescriptorReader;
  readonly #avail: PackedIndex;
  readonly #used: PackedIndex;
  /** Buffers that were popped and not pushed, oldest first. */
  readonly #popped: Chain[] = [];
  /** Descriptors that were returned since the driver was last told. */
  #untold = 0;

  /** @throws RangeError when the size is not 1 to 32768, or the base lies outside */
  constructor(options: DeviceQueueOptions) {
    const { size, memory, base } = options;
    if (!Number.isInteger(size) || size < 1 || size > MOST_DESCRIPTORS)
      throw new RangeError(`a packed ring has 1 to ${MOST_DESCRIPTORS} descriptors, not ${size}`);
    const { avail, availWrap, used, usedWrap } = decodePackedBase(base);
    this.size = size;
    this.#options = options;
    this.#words = new MemoryWords(memory);
    this.#descriptors = new DescriptorReader(memory);
    this.#avail = new PackedIndex(size, avail, availWrap);
    this.#used = new PackedIndex(size, used, usedWrap);
  }

  get base(): number {
    const [avail, used] = [this.#avail, this.#used];
    return encodePackedBase({ avail: avail.at, availWrap: avail.wrap, used: used.at, usedWrap: used.wrap });
  }

  pop(): Chain | null {
    const { desc } = this.#options.parts;
    const first = this.#descriptors.read(desc, this.#avail.at);
    if (!this.#avail.isAvailable(first.fourth)) return null;
    const segments = new ChainBuilder();
    let descriptors = 0;
    for (let descriptor = first; ; ) {
      const flags = descriptor.fourth;
      const more = (flags & VRING_DESC_F.NEXT) !== 0;
      descriptors++;
      if ((flags & VRING_DESC_F.INDIRECT) === 0) segments.add(descriptor, flags);
      else if (more || descriptors > 1) throw broken('an indirect table in a chain of descriptors');
      else this.#indirect(descriptor, segments);
      if (!more) return this.#take(descriptor.third, segments, descriptors);
      if (descriptors >= this.size) throw broken('a chain of descriptors has no end');
      descriptor = this.#descriptors.read(desc, this.#avail.after(descriptors));
    }
  }

  #take(id: number, { readable, writable }: ChainBuilder, descriptors: number): Chain {
    const chain = { id, readable, writable, descriptors };
    this.#avail.advance(descriptors);
    this.#popped.push(chain);
    this.taken++;
    return chain;
  }

  #indirect(table: RawDescriptor, segments: ChainBuilder): void {
    if (!this.#options.features.indirect) throw broken('an indirect table, which was not negotiated');
    const count = indirectCount(table, MOST_DESCRIPTORS);
    for (let index = 0; index < count; index++) {
      const descriptor = this.#descriptors.read(table.address, index);
      if ((descriptor.fourth & VRING_DESC_F.INDIRECT) !== 0) throw broken('a table inside an indirect table');
      segments.add(descriptor, descriptor.fourth);
    }
  }

  unpop(count: number): void {
    for (const { descriptors } of this.#popped.splice(this.#popped.length - count)) {
      this.#avail.retreat(descriptors);
      this.taken--;
    }
  }

  /** Each buffer takes as many descriptors of the used side as it had; the first one is written last. */
  push(used: readonly { readonly chain: Chain; readonly written: number }[]): void {
    if (used.length === 0) return;
    const places = used.map(({ chain }) => {
      const place = { at: this.#used.at, wrap: this.#used.wrap };
      this.#used.advance(chain.descriptors);
      return place;
    });
    for (let index = used.length - 1; index >= 0; index--) this.#descriptor(used[index]!, places[index]!);
    for (const { chain } of used) {
      this.#untold += chain.descriptors;
      this.#popped.splice(this.#popped.indexOf(chain), 1);
    }
    this.returned += used.length;
  }

  #descriptor(
    { chain, written }: { readonly chain: Chain; readonly written: number },
    { at, wrap }: { readonly at: number; readonly wrap: boolean },
  ): void {
    const { memory, parts, wrote } = this.#options;
    const flags =
      (wrap ? VRING_DESC_F.AVAIL | VRING_DESC_F.USED : 0) |
      (chain.writable.length > 0 ? VRING_DESC_F.WRITE : 0);
    const bytes = PackedDesc.encode({ addr: 0n, len: written, id: chain.id, flags });
    memory.write(parts.desc + at * DESC_BYTES, bytes);
    wrote?.('desc', at * DESC_BYTES, bytes.length);
  }

  needsCall(): boolean {
    const { parts, features } = this.#options;
    const untold = this.#untold;
    this.#untold = 0;
    if (untold === 0) return false;
    const flags = this.#words.u16(parts.avail + 2);
    if (flags !== RING_EVENT_FLAGS.DESC || !features.eventIdx) return flags !== RING_EVENT_FLAGS.DISABLE;
    return this.#used.hasPassed(this.#words.u16(parts.avail), untold);
  }

  setNotification(on: boolean): void {
    const { parts, features, wrote } = this.#options;
    if (on && features.eventIdx) {
      this.#words.setU16(parts.used, this.#avail.word);
      wrote?.('device_event', 0, 2);
    }
    const wanted = features.eventIdx ? RING_EVENT_FLAGS.DESC : RING_EVENT_FLAGS.ENABLE;
    this.#words.setU16(parts.used + 2, on ? wanted : RING_EVENT_FLAGS.DISABLE);
    wrote?.('device_event', 2, 2);
  }
}
