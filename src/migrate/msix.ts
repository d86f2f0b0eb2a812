import { MSIX_CONTROL, MSIX_ENTRY } from '../uapi/pci.js';
import { pbaBytes } from '../vmstate/pci-device.js';

/** A message that the guest has set up for a vector. */
export interface MsixMessage {
  readonly vector: number;
  readonly address: bigint;
  readonly data: number;
}

/** What became of an interrupt: sent, kept until the vector is unmasked, or lost because MSI-X is off. */
export type MsixOutcome = 'sent' | 'pending' | 'dropped';

/** MSI-X of one function: table, pending bits, and what masks do. */
export class Msix {
  /** Entries of 16 bytes, little-endian; after a reset every vector is masked. */
  readonly table: Uint8Array;
  /** A bit for each vector. */
  readonly pba: Uint8Array;
  readonly vectors: number;
  readonly #view: DataView;
  readonly #send: (message: MsixMessage) => void;
  #control = 0;

  constructor(vectors: number, send: (message: MsixMessage) => void) {
    this.vectors = vectors;
    this.table = new Uint8Array(MSIX_ENTRY.SIZE * vectors);
    this.pba = new Uint8Array(pbaBytes(vectors));
    this.#view = new DataView(this.table.buffer);
    this.#send = send;
    for (let vector = 0; vector < vectors; vector++)
      this.#view.setUint32(control(vector), MSIX_ENTRY.MASKED, true);
  }

  /**
   * The device raises a vector.
   * @throws RangeError when there is no such vector
   */
  trigger(vector: number): MsixOutcome {
    if (!Number.isInteger(vector) || vector < 0 || vector >= this.vectors) {
      throw new RangeError(`vector ${vector}: the MSI-X table has ${this.vectors}`);
    }
    if ((this.#control & MSIX_CONTROL.ENABLE) === 0) return 'dropped';
    if (this.#isMasked(vector)) {
      this.pba[vector >> 3]! |= 1 << (vector & 7);
      return 'pending';
    }
    this.#fire(vector);
    return 'sent';
  }

  /** Message control has this value now. What is pending and no longer masked is sent. */
  setControl(value: number): void {
    this.#control = value;
    this.#sendPending();
  }

  /**
   * A write of the guest to the table. What is pending and no longer masked is sent.
   * @throws RangeError outside the table
   */
  write(offset: number, bytes: Uint8Array): void {
    if (offset < 0 || offset + bytes.length > this.table.length) {
      throw new RangeError(`${bytes.length} bytes at ${offset}: the MSI-X table has ${this.table.length}`);
    }
    this.table.set(bytes, offset);
    this.#sendPending();
  }

  /** Takes table and pending bits of the source, with MSI-X off until `setControl`. */
  takeOver(table: Uint8Array, pba: Uint8Array): void {
    this.#control = 0;
    this.table.set(table);
    this.pba.set(pba);
  }

  #sendPending(): void {
    if ((this.#control & MSIX_CONTROL.ENABLE) === 0) return;
    for (let vector = 0; vector < this.vectors; vector++) {
      const bit = 1 << (vector & 7);
      if ((this.pba[vector >> 3]! & bit) === 0 || this.#isMasked(vector)) continue;
      this.pba[vector >> 3]! &= ~bit;
      this.#fire(vector);
    }
  }

  #isMasked(vector: number): boolean {
    if ((this.#control & MSIX_CONTROL.MASK_ALL) !== 0) return true;
    return (this.#view.getUint32(control(vector), true) & MSIX_ENTRY.MASKED) !== 0;
  }

  #fire(vector: number): void {
    const at = MSIX_ENTRY.SIZE * vector;
    const address = this.#view.getBigUint64(at + MSIX_ENTRY.ADDRESS, true);
    this.#send({ vector, address, data: this.#view.getUint32(at + MSIX_ENTRY.DATA, true) });
  }
}

/** Offset of a vector's control. */
function control(vector: number): number {
  return MSIX_ENTRY.SIZE * vector + MSIX_ENTRY.CONTROL;
}
