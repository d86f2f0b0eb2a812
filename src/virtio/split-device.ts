import { AVAIL, USED, VRING_DESC_F, VRING_F, VringUsedElem } from '../uapi/virtio.js';
import {
  broken,
  ChainBuilder,
  DescriptorReader,
  indirectCount,
  MOST_DESCRIPTORS,
  passed,
  type RawDescriptor,
} from './chain.js';
import { MemoryWords } from './memory-words.js';
import type { Chain, DeviceQueue, DeviceQueueOptions } from './queue.js';

/** The device's side of a split virtqueue (VIRTIO 1.3, 2.7). */
export class SplitDeviceQueue implements DeviceQueue {
  readonly size: number;
  taken = 0;
  returned = 0;
  readonly #options: DeviceQueueOptions;
  readonly #words: MemoryWords;
  readonly #descriptors: DescriptorReader;
  /** Next index of the available ring, and of the used ring. */
  #avail: number;
  #used: number;
  /** Index of the used ring when the driver was last told. */
  #called: number;

  /** @throws RangeError when the size is no power of two up to 32768; DeviceError EFAULT when the ring is not mapped */
  constructor(options: DeviceQueueOptions) {
    const { size, memory, parts, base } = options;
    if (size < 1 || size > MOST_DESCRIPTORS || (size & (size - 1)) !== 0)
      throw new RangeError(`a split ring has a power of two of descriptors, not ${size}`);
    this.size = size;
    this.#options = options;
    this.#words = new MemoryWords(memory);
    this.#descriptors = new DescriptorReader(memory);
    this.#avail = base & 0xffff;
    this.#used = this.#words.u16(parts.used + USED.idx);
    this.#called = this.#used;
  }

  get base(): number {
    return this.#avail;
  }

  pop(): Chain | null {
    const { parts } = this.#options;
    const waiting = (this.#words.u16(parts.avail + AVAIL.idx) - this.#avail) & 0xffff;
    if (waiting === 0) return null;
    if (waiting > this.size) throw broken(`${waiting} buffers are available in a ring of ${this.size}`);
    const slot = this.#avail % this.size;
    const head = this.#words.u16(parts.avail + AVAIL.ring + 2 * slot);
    const chain = this.#chain(head);
    this.#avail = (this.#avail + 1) & 0xffff;
    this.taken++;
    return chain;
  }

  #chain(head: number): Chain {
    const segments = new ChainBuilder();
    const { desc } = this.#options.parts;
    let descriptors = 0;
    for (let next: number | null = head; next !== null; ) {
      if (next >= this.size) throw broken(`descriptor ${next} of a ring of ${this.size}`);
      if (descriptors >= this.size) throw broken('a chain of descriptors has no end');
      const descriptor = this.#descriptors.read(desc, next);
      descriptors++;
      next = nextOf(descriptor);
      if ((descriptor.third & VRING_DESC_F.INDIRECT) === 0) segments.add(descriptor, descriptor.third);
      else if (next !== null) throw broken('an indirect table has a descriptor behind it');
      else this.#indirect(descriptor, segments);
    }
    return { id: head, readable: segments.readable, writable: segments.writable, descriptors };
  }

  #indirect(table: RawDescriptor, segments: ChainBuilder): void {
    if (!this.#options.features.indirect) throw broken('an indirect table, which was not negotiated');
    const count = indirectCount(table, MOST_DESCRIPTORS);
    let steps = 0;
    for (let next: number | null = 0; next !== null; ) {
      if (next >= count) throw broken(`descriptor ${next} of an indirect table of ${count}`);
      if (steps++ >= count) throw broken('a chain of an indirect table has no end');
      const descriptor = this.#descriptors.read(table.address, next);
      if ((descriptor.third & VRING_DESC_F.INDIRECT) !== 0) throw broken('a table inside an indirect table');
      segments.add(descriptor, descriptor.third);
      next = nextOf(descriptor);
    }
  }

  unpop(count: number): void {
    this.#avail = (this.#avail - count) & 0xffff;
    this.taken -= count;
  }

  push(used: readonly { readonly chain: Chain; readonly written: number }[]): void {
    if (used.length === 0) return;
    for (let done = 0; done < used.length; ) {
      const slot = this.#used % this.size;
      const run = used.slice(done, done + this.size - slot);
      this.#elements(slot, run);
      done += run.length;
      this.#used = (this.#used + run.length) & 0xffff;
    }
    const { parts, wrote } = this.#options;
    this.#words.setU16(parts.used + USED.idx, this.#used);
    wrote?.('used_idx', USED.idx, 2);
    this.returned += used.length;
  }

  #elements(slot: number, run: readonly { readonly chain: Chain; readonly written: number }[]): void {
    const { memory, parts, wrote } = this.#options;
    const bytes = new Uint8Array(VringUsedElem.size * run.length);
    const view = new DataView(bytes.buffer);
    for (const [index, { chain, written }] of run.entries()) {
      view.setUint32(VringUsedElem.size * index, chain.id, true);
      view.setUint32(VringUsedElem.size * index + 4, written, true);
    }
    const offset = USED.ring + VringUsedElem.size * slot;
    memory.write(parts.used + offset, bytes);
    wrote?.('used', offset, bytes.length);
  }

  needsCall(): boolean {
    const { parts, features } = this.#options;
    const before = this.#called;
    this.#called = this.#used;
    if (before === this.#used) return false;
    if (!features.eventIdx)
      return (this.#words.u16(parts.avail + AVAIL.flags) & VRING_F.AVAIL_NO_INTERRUPT) === 0;
    return passed(this.#words.u16(parts.avail + AVAIL.event(this.size)), this.#used, before);
  }

  setNotification(on: boolean): void {
    const { parts, features, wrote } = this.#options;
    if (!features.eventIdx) {
      this.#words.setU16(parts.used + USED.flags, on ? 0 : VRING_F.USED_NO_NOTIFY);
      wrote?.('used_flags', USED.flags, 2);
    } else if (on) {
      // Off needs no write: the index that was waited for is passed by the next buffer, and never again.
      this.#words.setU16(parts.used + USED.event(this.size), this.#avail);
      wrote?.('avail_event', USED.event(this.size), 2);
    }
  }
}

function nextOf({ third, fourth }: RawDescriptor): number | null {
  return (third & VRING_DESC_F.NEXT) === 0 ? null : fourth;
}
