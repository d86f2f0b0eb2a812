import type { GuestMemory } from 'stopcopy/migrate';
import { STAMP } from './ram-layout.js';

const MAGIC = 0x7374616d; // "stam"

/**
 * Marks at the ends of buffers: how often the buffer was given away so far. The device never writes there, so
 * a buffer whose mark is not the one of its turn is an older copy of itself, or was overrun.
 */
export class Stamps {
  readonly #memory: GuestMemory;
  readonly #bytes = new Uint8Array(STAMP);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** Marks the buffer that ends before `end`. */
  put(end: number, turn: number): void {
    this.#view.setUint32(0, MAGIC, true);
    this.#view.setUint32(4, turn, true);
    this.#memory.write(end - STAMP, this.#bytes);
  }

  /** Whether the buffer has the mark of this turn. */
  holds(end: number, turn: number): boolean {
    this.#memory.read(end - STAMP, this.#bytes);
    return this.#view.getUint32(0, true) === MAGIC && this.#view.getUint32(4, true) === turn;
  }
}

/**
 * The turn of a slot of a ring of which `used` slots were used from the start on: 0 never used, then 1 and up.
 */
export function turnOf(slot: number, used: number, ringLength: number): number {
  return Math.floor(used / ringLength) + (slot < used % ringLength ? 1 : 0);
}
