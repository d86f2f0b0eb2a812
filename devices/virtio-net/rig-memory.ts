import { DeviceError, type SharedMemory, VHOST_LOG_PAGE, type VhostRegion } from 'stopcopy/uapi';
import type { QueueMemory } from 'stopcopy/virtio';

/** A run of guest physical addresses with memory of its own. */
export interface RamBlock {
  readonly gpa: number;
  readonly size: number;
  readonly uaddr: number;
  /** The same memory stands at this address, too. */
  readonly aliasGpa?: number;
}

/**
 * Guest memory of a rig. What the guest writes is written down, so that what else has changed was the back end.
 * All addresses and sizes are multiples of a page.
 */
export class RigMemory {
  readonly blocks: readonly RamBlock[];
  /** One behind the highest guest physical address. */
  readonly end: number;
  readonly #bytes: readonly Uint8Array[];
  readonly #expected: readonly Uint8Array[];

  constructor(blocks: readonly RamBlock[]) {
    this.blocks = blocks;
    this.end = Math.max(...blocks.map(({ gpa, aliasGpa, size }) => Math.max(gpa, aliasGpa ?? 0) + size));
    this.#bytes = blocks.map(({ size }) => new Uint8Array(size));
    this.#expected = blocks.map(({ size }) => new Uint8Array(size));
  }

  /** The memory table. */
  get regions(): VhostRegion[] {
    return this.blocks.flatMap(({ gpa, size, uaddr, aliasGpa }, n) => {
      const memory: SharedMemory = { bytes: this.#bytes[n]! };
      const region = { gpa, size, uaddr, offset: 0, memory };
      return aliasGpa === undefined ? [region] : [region, { ...region, gpa: aliasGpa }];
    });
  }

  /** User address of a guest physical one. */
  uaddrOf(gpa: number): number {
    const block = this.blocks[this.#blockOf(gpa)]!;
    return block.uaddr + (gpa - block.gpa);
  }

  /** The other guest physical address of the same byte, or the same one where there is none. */
  aliasOf(gpa: number): number {
    const { gpa: from, aliasGpa } = this.blocks[this.#blockOf(gpa)]!;
    return aliasGpa === undefined ? gpa : aliasGpa + (gpa - from);
  }

  /** Memory as the guest reaches it. */
  readonly guest: QueueMemory = {
    read: (address, into) => into.set(this.#run(address, into.length, this.#bytes)),
    write: (address, bytes) => {
      this.#run(address, bytes.length, this.#bytes).set(bytes);
      this.#run(address, bytes.length, this.#expected).set(bytes);
    },
  };

  /** The first guest physical page of the same memory. */
  primaryOf(page: number): number {
    for (const { gpa, size, aliasGpa } of this.blocks) {
      const inside = page * VHOST_LOG_PAGE - (aliasGpa ?? Number.POSITIVE_INFINITY);
      if (inside >= 0 && inside < size) return (gpa + inside) / VHOST_LOG_PAGE;
    }
    return page;
  }

  /** Whether a page has a second guest physical address. */
  hasAlias(page: number): boolean {
    const at = this.#find(page * VHOST_LOG_PAGE);
    return at !== null && this.blocks[at.block]!.aliasGpa !== undefined;
  }

  /** Bytes of the guest, as they are. */
  view(address: number, length: number): Uint8Array {
    return this.#run(address, length, this.#bytes);
  }

  /** Pages that somebody else has changed since the last look, by guest physical address. */
  changes(): number[] {
    const pages: number[] = [];
    this.blocks.forEach(({ gpa, size }, n) => {
      const [bytes, expected] = [this.#bytes[n]!, this.#expected[n]!];
      for (let at = 0; at < size; at += VHOST_LOG_PAGE) {
        const [page, known] = [
          bytes.subarray(at, at + VHOST_LOG_PAGE),
          expected.subarray(at, at + VHOST_LOG_PAGE),
        ];
        if (Buffer.compare(page, known) === 0) continue;
        known.set(page);
        pages.push((gpa + at) / VHOST_LOG_PAGE);
      }
    });
    return pages;
  }

  /** Takes everything over from another machine, guest and all. */
  copyFrom(other: RigMemory): void {
    this.#bytes.forEach((bytes, n) => {
      bytes.set(other.#bytes[n]!);
      this.#expected[n]!.set(bytes);
    });
  }

  /** Copies a page by its guest physical address, as a migration does. */
  copyPage(from: RigMemory, page: number): void {
    const address = page * VHOST_LOG_PAGE;
    const at = this.#find(address);
    if (at === null) return;
    const bytes = from.#bytes[at.block]!.subarray(at.offset, at.offset + VHOST_LOG_PAGE);
    this.#bytes[at.block]!.set(bytes, at.offset);
    this.#expected[at.block]!.set(bytes, at.offset);
  }

  /** Pages whose bytes are not those of another machine. */
  differences(other: RigMemory): number[] {
    return this.blocks.flatMap(({ gpa, size }, n) => {
      const [mine, theirs] = [this.#bytes[n]!, other.#bytes[n]!];
      if (Buffer.compare(mine, theirs) === 0) return [];
      const pages: number[] = [];
      for (let at = 0; at < size; at += VHOST_LOG_PAGE) {
        const end = at + VHOST_LOG_PAGE;
        if (Buffer.compare(mine.subarray(at, end), theirs.subarray(at, end)) !== 0)
          pages.push((gpa + at) / VHOST_LOG_PAGE);
      }
      return pages;
    });
  }

  #run(address: number, length: number, of: readonly Uint8Array[]): Uint8Array {
    const at = this.#find(address);
    if (at === null || at.offset + length > this.blocks[at.block]!.size)
      throw new DeviceError('EFAULT', `no guest memory of ${length} bytes at 0x${address.toString(16)}`);
    return of[at.block]!.subarray(at.offset, at.offset + length);
  }

  #blockOf(gpa: number): number {
    const at = this.#find(gpa);
    if (at === null) throw new RangeError(`no guest memory at 0x${gpa.toString(16)}`);
    return at.block;
  }

  #find(address: number): { block: number; offset: number } | null {
    for (const [block, { gpa, size, aliasGpa }] of this.blocks.entries()) {
      if (address >= gpa && address < gpa + size) return { block, offset: address - gpa };
      if (aliasGpa !== undefined && address >= aliasGpa && address < aliasGpa + size)
        return { block, offset: address - aliasGpa };
    }
    return null;
  }
}
