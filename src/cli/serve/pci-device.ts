import type { MachineDevice } from '../../migrate/machine.js';
import { PciFunction } from '../../migrate/pci-function.js';
import { type Awaitable, type DataFd, type Device, DeviceError, type DmaLogging } from '../../uapi/device.js';
import {
  MSIX_CAPABILITY,
  MSIX_ENTRY,
  PCI_BARS,
  PCI_CAPABILITIES,
  PCI_CONFIG,
  VFIO_PCI_CONFIG_REGION,
} from '../../uapi/pci.js';
import type { MigState } from '../../uapi/vfio.js';
import { VFIO_PCI_IRQS, VFIO_PCI_MSIX_IRQ, VFIO_PCI_REGIONS } from '../../uapi/vfio-user-device.js';

/** Configuration space of PCI Express. */
const CONFIG_SIZE = 4096;
/** Widest access that registers take. */
const WIDEST = 4;

/**
 * A mock device as a whole PCI function: what is emulated by the VMM where the device is passed through, is part
 * of it here. That is configuration space with its BARs and capabilities, and the table of MSI-X, whose messages
 * go nowhere: only a descriptor could bring an interrupt to the client.
 */
export class PciDevice implements Device {
  readonly name: string;
  readonly flags: number;
  readonly offersReset: boolean;
  readonly dmaLogging: DmaLogging | null;
  /** Sizes by VFIO region index. */
  readonly regions: readonly number[];
  readonly irqs: readonly number[];
  readonly #machine: MachineDevice;
  #function: PciFunction;

  constructor(machine: MachineDevice) {
    const { device, pci } = machine;
    this.#machine = machine;
    this.name = device.name;
    this.flags = device.flags;
    this.offersReset = device.offersReset;
    this.dmaLogging = device.dmaLogging;
    this.#function = new PciFunction(machine);
    this.regions = Array.from({ length: VFIO_PCI_REGIONS }, (_, index) =>
      index < PCI_BARS ? (pci.bars[index]?.size ?? 0) : index === VFIO_PCI_CONFIG_REGION ? CONFIG_SIZE : 0,
    );
    this.irqs = Array.from({ length: VFIO_PCI_IRQS }, (_, index) =>
      index === VFIO_PCI_MSIX_IRQ ? pci.msixVectors : 0,
    );
  }

  /** The device raises a vector of MSI-X. */
  interrupt(vector: number): void {
    this.#function.trigger(vector);
  }

  setState(state: MigState | number): Awaitable<DataFd | null> {
    return this.#machine.device.setState(state);
  }

  getState(): Awaitable<MigState> {
    return this.#machine.device.getState();
  }

  dataSize(): Awaitable<bigint> {
    return this.#machine.device.dataSize();
  }

  optInPrecopyInfoV2(): Awaitable<void> {
    return this.#machine.device.optInPrecopyInfoV2();
  }

  async reset(): Promise<void> {
    await this.#machine.device.reset();
    this.#function = new PciFunction(this.#machine);
  }

  /** At once where the registers of the device answer at once. */
  readRegion(region: number, offset: number, size: number): Awaitable<Uint8Array> {
    const parts = Array.from(accesses(offset, size), ({ at, width }) => this.#read(region, at, width));
    if (parts.every((part) => part instanceof Uint8Array)) return Buffer.concat(parts);
    return Promise.all(parts).then((bytes) => Buffer.concat(bytes));
  }

  async writeRegion(region: number, offset: number, bytes: Uint8Array): Promise<void> {
    for (const { at, width } of accesses(offset, bytes.length))
      await this.#write(region, at, bytes.subarray(at - offset, at - offset + width));
  }

  #read(region: number, at: number, width: Width): Awaitable<Uint8Array> {
    if (region === VFIO_PCI_CONFIG_REGION) {
      const bytes = Buffer.alloc(width);
      bytes.writeUIntLE(this.#function.readConfig(at, width), 0, width);
      return bytes;
    }
    const place = this.#msixPlace();
    if (place?.bar !== region) return this.#machine.device.readRegion(region, at, width);
    const { table, pba } = this.#function.msix!;
    const bytes = new Uint8Array(width);
    for (let index = 0; index < width; index++) {
      const offset = at + index;
      bytes[index] = table[offset - place.table] ?? pba[offset - place.pba] ?? 0;
    }
    return bytes;
  }

  async #write(region: number, at: number, bytes: Uint8Array): Promise<void> {
    if (region === VFIO_PCI_CONFIG_REGION) {
      const value = Buffer.from(bytes).readUIntLE(0, bytes.length);
      await this.#function.writeConfig(at, bytes.length as Width, value);
      return;
    }
    const place = this.#msixPlace();
    if (place?.bar !== region) return this.#machine.device.writeRegion(region, at, bytes);
    const msix = this.#function.msix!;
    // Pending bits are the function's own, and behind table and bits there is nothing.
    if (at >= place.table && at + bytes.length <= place.table + MSIX_ENTRY.SIZE * msix.vectors)
      msix.write(at - place.table, bytes);
  }

  /** Where the function says that table and pending bits are: in one BAR. */
  #msixPlace(): { bar: number; table: number; pba: number } | null {
    if (this.#function.msix === undefined) return null;
    const config = (at: number, size: Width) => this.#function.readConfig(at, size);
    let at = config(PCI_CONFIG.CAPABILITY_LIST, 1);
    while (at !== 0 && config(at, 1) !== PCI_CAPABILITIES.MSIX) at = config(at + 1, 1);
    const [table, pba] = [config(at + MSIX_CAPABILITY.TABLE, 4), config(at + MSIX_CAPABILITY.PBA, 4)];
    return { bar: table & 7, table: table & ~7, pba: pba & ~7 };
  }
}

type Width = 1 | 2 | 4;

/** Cuts an access of any size into such as a bus has: at a multiple of their width, of at most four bytes. */
function* accesses(offset: number, size: number): Generator<{ at: number; width: Width }> {
  if (!Number.isInteger(offset) || offset < 0) throw new DeviceError('EINVAL', `an access at ${offset}`);
  for (let at = offset; at < offset + size; ) {
    let width: Width = WIDEST;
    while (at % width !== 0 || at + width > offset + size) width = (width / 2) as Width;
    yield { at, width };
    at += width;
  }
}
