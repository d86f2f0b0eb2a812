import { DeviceError } from '../uapi/device.js';
import { VRING_DESC_F } from '../uapi/virtio.js';
import type { QueueMemory, Segment } from './queue.js';

/** Bytes of a descriptor of either form of ring. */
export const DESC_BYTES = 16;

/** A descriptor as it stands in memory: what the last two words are depends on the form of the ring. */
export interface RawDescriptor {
  readonly address: number;
  readonly length: number;
  /** `flags` of a split descriptor, `id` of a packed one. */
  readonly third: number;
  /** `next` of a split descriptor, `flags` of a packed one. */
  readonly fourth: number;
}

/** Reads descriptors of a table, one at a time, without a new buffer for each. */
export class DescriptorReader {
  readonly #memory: QueueMemory;
  readonly #bytes = new Uint8Array(DESC_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(memory: QueueMemory) {
    this.#memory = memory;
  }

  /** @throws DeviceError EINVAL when the address is beyond what can be */
  read(table: number, index: number): RawDescriptor {
    this.#memory.read(table + index * DESC_BYTES, this.#bytes);
    const view = this.#view;
    const address = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
    if (!Number.isSafeInteger(address)) throw broken('a descriptor has an address above 2^53');
    return {
      address,
      length: view.getUint32(8, true),
      third: view.getUint16(12, true),
      fourth: view.getUint16(14, true),
    };
  }
}

/** The segments of a buffer in the making: readable ones first, then writable ones. */
export class ChainBuilder {
  readonly readable: Segment[] = [];
  readonly writable: Segment[] = [];

  add({ address, length }: RawDescriptor, flags: number): void {
    if ((flags & VRING_DESC_F.WRITE) !== 0) this.writable.push({ address, length });
    else if (this.writable.length > 0) throw broken('a readable descriptor follows a writable one');
    else this.readable.push({ address, length });
  }
}

/** What the device says of a ring that a driver has broken. */
export function broken(what: string): DeviceError {
  return new DeviceError('EINVAL', `the driver's ring is broken: ${what}`);
}

/** Descriptors of an indirect table. @throws DeviceError EINVAL when its length is none */
export function indirectCount({ length }: RawDescriptor, most: number): number {
  const count = length / DESC_BYTES;
  if (!Number.isInteger(count) || count === 0) throw broken(`an indirect table of ${length} bytes`);
  if (count > most) throw broken(`an indirect table of ${count} descriptors, more than a ring may have`);
  return count;
}

/** Most descriptors of a ring, and of an indirect table. */
export const MOST_DESCRIPTORS = 32_768;

/** Whether an index has gone past the one that the other side waits for (`vring_need_event`). */
export function passed(event: number, now: number, before: number): boolean {
  return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
}
