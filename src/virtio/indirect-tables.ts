import { DESC_BYTES } from './chain.js';
import type { DriverQueueOptions, Segment } from './queue.js';

/** Where a driver keeps its indirect tables: one for each descriptor (split) or buffer id (packed) of the queue. */
export class IndirectTables {
  readonly #options: DriverQueueOptions;

  constructor(options: DriverQueueOptions) {
    this.#options = options;
  }

  /** Whether a buffer of so many segments goes into a table. No buffer has more of them than the queue has descriptors. */
  takes(segments: number): boolean {
    const { tables, features, size } = this.#options;
    return (
      tables !== undefined &&
      features.indirect &&
      segments > 1 &&
      segments <= tables.entries &&
      segments <= size
    );
  }

  /**
   * Writes a table.
   * @param encode the descriptor of a segment, 16 bytes
   * @returns where it stands
   */
  write(
    slot: number,
    segments: readonly Segment[],
    encode: (segment: Segment, index: number) => Uint8Array,
  ): Segment {
    const { tables, memory } = this.#options;
    const address = tables!.address + slot * tables!.entries * DESC_BYTES;
    const length = segments.length * DESC_BYTES;
    const bytes = new Uint8Array(length);
    for (const [index, segment] of segments.entries()) bytes.set(encode(segment, index), index * DESC_BYTES);
    memory.write(address, bytes);
    return { address, length };
  }
}
