import type { AllocatedMemory } from '../../target/vhost-target.js';
import { DeviceError } from '../../uapi/device.js';
import type { VhostRegion } from '../../uapi/vhost-backend.js';
import { VHOST_LOG_PAGE } from '../../uapi/vhost-log.js';
import type { QueueMemory } from '../../virtio/index.js';
import { addPage, type PageRun } from './page-runs.js';

/** Where the regions of guest memory stand: one below 1 MiB, one above a hole, as on a PC with more memory. */
const LAYOUT = [
  { gpa: 0, size: 1 << 20 },
  { gpa: 0x4000_0000, size: 4 << 20 },
] as const;

/**
 * Guest memory that only a driver and a back end write. All that is written through `write` is written into a
 * copy too, so what differs from the copy was written by the back end.
 */
export class GuestMemory implements QueueMemory {
  readonly regions: readonly VhostRegion[];
  /** The first address behind guest memory. */
  readonly end = LAYOUT[1].gpa + LAYOUT[1].size;
  readonly #copies: readonly Uint8Array[];
  #next: number = LAYOUT[1].gpa;

  constructor(memory: AllocatedMemory) {
    let offset = 0;
    this.regions = LAYOUT.map(({ gpa, size }) => {
      const region = { gpa, size, uaddr: memory.address + offset, offset, memory };
      offset += size;
      return region;
    });
    this.#copies = this.regions.map(({ size }) => new Uint8Array(size));
  }

  /** Bytes of memory that are needed. */
  static readonly bytes = LAYOUT.reduce((sum, { size }) => sum + size, 0);

  /** Takes memory of the guest that nothing else uses. @throws RangeError when there is no more */
  take(bytes: number, alignment = 16): number {
    const at = Math.ceil(this.#next / alignment) * alignment;
    if (at + bytes > this.end) throw new RangeError('the test has no more guest memory');
    this.#next = at + bytes;
    return at;
  }

  /**
   * Takes memory of the guest so that its bytes from `before` on stand at a multiple of `multiple`.
   * @throws RangeError when there is no more
   */
  takeAcross(multiple: number, before: number, bytes: number): number {
    const at = Math.ceil((this.#next + before) / multiple) * multiple - before;
    this.#next = at;
    return this.take(bytes, 1);
  }

  read(address: number, into: Uint8Array): void {
    const { bytes, at } = this.#place(address, into.length);
    into.set(bytes.subarray(at, at + into.length));
  }

  write(address: number, bytes: Uint8Array): void {
    const place = this.#place(address, bytes.length);
    place.bytes.set(bytes, place.at);
    place.copy.set(bytes, place.at - place.start);
  }

  /** The user address of a guest physical one, as ring addresses are given. */
  uaddr(address: number): number {
    const region = this.regions.find(({ gpa, size }) => address >= gpa && address < gpa + size)!;
    return region.uaddr + address - region.gpa;
  }

  /** The pages that the back end has changed since the last look. */
  changes(): PageRun[] {
    return this.regions.flatMap((region, index) => {
      const copy = this.#copies[index]!;
      const now = region.memory.bytes.subarray(region.offset, region.offset + region.size);
      const runs: PageRun[] = [];
      for (let at = 0; at < region.size; at += VHOST_LOG_PAGE) {
        const page = Buffer.from(now.buffer, now.byteOffset + at, VHOST_LOG_PAGE);
        if (page.compare(copy, at, at + VHOST_LOG_PAGE) === 0) continue;
        copy.set(page, at);
        addPage(runs, (region.gpa + at) / VHOST_LOG_PAGE);
      }
      return runs;
    });
  }

  #place(
    address: number,
    length: number,
  ): { bytes: Uint8Array; at: number; start: number; copy: Uint8Array } {
    const index = this.regions.findIndex(({ gpa, size }) => address >= gpa && address + length <= gpa + size);
    const region = this.regions[index];
    if (region === undefined)
      throw new DeviceError('EFAULT', `no guest memory holds ${length} bytes at 0x${address.toString(16)}`);
    const at = region.offset + address - region.gpa;
    return { bytes: region.memory.bytes, at, start: region.offset, copy: this.#copies[index]! };
  }
}
