import {
  MSIX_CAPABILITY,
  MSIX_CONTROL,
  PCI_BAR,
  PCI_BARS,
  PCI_CAPABILITIES,
  PCI_COMMAND,
  PCI_CONFIG,
  PCI_STATUS_CAP_LIST,
} from '../uapi/pci.js';

/** A memory BAR. */
export interface PciBar {
  /** Bytes, a power of two from 16 on; 0: there is none at this index, or it is the upper half of the one before. */
  readonly size: number;
  readonly bits: 32 | 64;
  readonly prefetchable?: boolean;
}

/** What a function's configuration space is made of. */
export interface PciConfigShape {
  readonly vendor: number;
  readonly device: number;
  /** Base class, subclass and programming interface, such as 0x020000 for an Ethernet controller. */
  readonly classCode: number;
  /** By index; a BAR of 64 bits takes the next index too. */
  readonly bars: readonly PciBar[];
  /** Where table and pending bits are; absent: no MSI-X. */
  readonly msix?: {
    readonly vectors: number;
    readonly bar: number;
    readonly table: number;
    readonly pba: number;
  };
}

/** Configuration space of PCI Express, in bytes. */
export const CONFIG_SIZE = 4096;
const MSIX_AT = 0x40;
const EXPRESS_AT = 0x50;
/** Version 2 of the capability, an endpoint. */
const EXPRESS_FLAGS = 0x0002;

const COMMAND_BITS = Object.values(PCI_COMMAND).reduce((all, bit) => all | bit, 0);

/**
 * Configuration space as the VMM shows it to the guest: a guest may write some bits, and what it may not
 * write must be the same on both sides of a migration.
 */
export class PciConfigSpace {
  bytes: Uint8Array = new Uint8Array(CONFIG_SIZE);
  readonly #writable = new Uint8Array(CONFIG_SIZE);
  readonly #shape: PciConfigShape;

  /** @throws RangeError when a BAR cannot be */
  constructor(shape: PciConfigShape) {
    this.#shape = shape;
    const view = new DataView(this.bytes.buffer);
    view.setUint16(PCI_CONFIG.VENDOR_ID, shape.vendor, true);
    view.setUint16(PCI_CONFIG.DEVICE_ID, shape.device, true);
    view.setUint16(PCI_CONFIG.STATUS, PCI_STATUS_CAP_LIST, true);
    view.setUint32(PCI_CONFIG.REVISION_ID, shape.classCode * 0x100, true);
    view.setUint8(PCI_CONFIG.CAPABILITY_LIST, shape.msix === undefined ? EXPRESS_AT : MSIX_AT);
    view.setUint8(EXPRESS_AT, PCI_CAPABILITIES.EXPRESS);
    view.setUint16(EXPRESS_AT + 2, EXPRESS_FLAGS, true);
    const writable = new DataView(this.#writable.buffer);
    writable.setUint16(PCI_CONFIG.COMMAND, COMMAND_BITS, true);
    writable.setUint8(PCI_CONFIG.INTERRUPT_LINE, 0xff);
    this.#putBars(view, writable);
    if (shape.msix !== undefined) putMsix(view, writable, shape.msix);
  }

  /** Offset of MSI-X's message control; undefined without MSI-X. */
  get msixControl(): number | undefined {
    return this.#shape.msix === undefined ? undefined : MSIX_AT + MSIX_CAPABILITY.CONTROL;
  }

  u16(offset: number): number {
    return this.bytes[offset]! | (this.bytes[offset + 1]! << 8);
  }

  /** A write of the guest: bits that it may not write stay as they are. */
  write(offset: number, bytes: Uint8Array): void {
    for (const [index, value] of bytes.entries()) {
      const at = offset + index;
      const mask = this.#writable[at]!;
      this.bytes[at] = (this.bytes[at]! & ~mask) | (value & mask);
    }
  }

  /**
   * Takes the configuration space of the source.
   * @throws Error that names the first part of it that this function cannot have
   */
  takeOver(from: Uint8Array): void {
    for (const { what, at, size } of this.#parts()) {
      for (let index = at; index < at + size; index++) {
        const fixed = ~this.#writable[index]! & 0xff;
        if ((from[index]! & fixed) === (this.bytes[index]! & fixed)) continue;
        const show = (bytes: Uint8Array) =>
          `0x${Buffer.from(bytes.subarray(at, at + size))
            .reverse()
            .toString('hex')}`;
        throw new Error(`${what} is ${show(from)} on the source ${this.#here(what, show(this.bytes))}`);
      }
    }
    // What a guest cannot write and no part covers stays our own.
    this.write(0, from);
  }

  #here(what: string, value: string): string {
    const bar = /^BAR (\d)$/.exec(what);
    if (bar === null) return `and ${value} here`;
    const { size = 0, bits } = this.#shape.bars[Number(bar[1])] ?? {};
    return size === 0 ? 'and there is none here' : `and has ${size} bytes and ${bits} bits here`;
  }

  /** What must be the same on both sides, in its bits that a guest cannot write. */
  *#parts(): Generator<{ what: string; at: number; size: number }> {
    yield { what: 'the vendor id', at: PCI_CONFIG.VENDOR_ID, size: 2 };
    yield { what: 'the device id', at: PCI_CONFIG.DEVICE_ID, size: 2 };
    yield { what: 'the class code', at: PCI_CONFIG.CLASS, size: 3 };
    yield { what: 'the header type', at: PCI_CONFIG.HEADER_TYPE, size: 1 };
    for (let index = 0; index < PCI_BARS; index++) {
      const at = PCI_CONFIG.BASE_ADDRESS + 4 * index;
      const wide = this.#shape.bars[index]?.bits === 64 && this.#shape.bars[index]!.size > 0;
      yield { what: `BAR ${index}`, at, size: wide ? 8 : 4 };
      if (wide) index++;
    }
    yield { what: 'the list of capabilities', at: PCI_CONFIG.CAPABILITY_LIST, size: 1 };
    if (this.msixControl === undefined) return;
    yield { what: 'the size of the MSI-X table', at: this.msixControl, size: 2 };
    yield { what: 'the place of the MSI-X table', at: MSIX_AT + MSIX_CAPABILITY.TABLE, size: 4 };
    yield { what: 'the place of the MSI-X pending bits', at: MSIX_AT + MSIX_CAPABILITY.PBA, size: 4 };
  }

  #putBars(view: DataView, writable: DataView): void {
    const { bars } = this.#shape;
    for (let index = 0; index < bars.length; index++) {
      const { size, bits, prefetchable = false } = bars[index]!;
      if (size === 0) continue;
      if (!Number.isSafeInteger(size) || size < 16 || !Number.isInteger(Math.log2(size))) {
        throw new RangeError(`BAR ${index}: expected a power of 2 from 16 on, got ${size}`);
      }
      const taken = bits === 64 ? (bars[index + 1]?.size ?? 0) > 0 : size > 2 ** 31;
      if (taken || index + bits / 32 > PCI_BARS)
        throw new RangeError(`BAR ${index}: no room for its ${bits} bits`);
      const at = PCI_CONFIG.BASE_ADDRESS + 4 * index;
      const address = -BigInt(size);
      writable.setUint32(at, Number(BigInt.asUintN(32, address)), true);
      if (bits === 64) writable.setUint32(at + 4, Number(BigInt.asUintN(32, address >> 32n)), true);
      view.setUint32(at, (bits === 64 ? PCI_BAR.MEM_64 : 0) | (prefetchable ? PCI_BAR.PREFETCH : 0), true);
    }
  }
}

function putMsix(
  view: DataView,
  writable: DataView,
  { vectors, bar, table, pba }: NonNullable<PciConfigShape['msix']>,
): void {
  view.setUint8(MSIX_AT, PCI_CAPABILITIES.MSIX);
  view.setUint8(MSIX_AT + 1, EXPRESS_AT);
  view.setUint16(MSIX_AT + MSIX_CAPABILITY.CONTROL, vectors - 1, true);
  writable.setUint16(MSIX_AT + MSIX_CAPABILITY.CONTROL, MSIX_CONTROL.ENABLE | MSIX_CONTROL.MASK_ALL, true);
  // The low three bits of both are the BAR.
  view.setUint32(MSIX_AT + MSIX_CAPABILITY.TABLE, table + bar, true);
  view.setUint32(MSIX_AT + MSIX_CAPABILITY.PBA, pba + bar, true);
}
