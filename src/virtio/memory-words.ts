import type { QueueMemory } from './queue.js';

/** Reads and writes of single little-endian words of a queue, without a new buffer each time. */
export class MemoryWords {
  readonly #memory: QueueMemory;
  readonly #bytes = [2, 4, 8].map((size) => new Uint8Array(size));
  readonly #views = this.#bytes.map((bytes) => new DataView(bytes.buffer));

  constructor(memory: QueueMemory) {
    this.#memory = memory;
  }

  u16(address: number): number {
    this.#memory.read(address, this.#bytes[0]!);
    return this.#views[0]!.getUint16(0, true);
  }

  u32(address: number): number {
    this.#memory.read(address, this.#bytes[1]!);
    return this.#views[1]!.getUint32(0, true);
  }

  setU16(address: number, value: number): void {
    this.#views[0]!.setUint16(0, value, true);
    this.#memory.write(address, this.#bytes[0]!);
  }

  setU32(address: number, value: number): void {
    this.#views[1]!.setUint32(0, value, true);
    this.#memory.write(address, this.#bytes[1]!);
  }
}
