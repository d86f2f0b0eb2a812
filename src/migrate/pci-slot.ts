import type { VmStateEntry } from '../vmstate/index.js';
import { InterruptRequests } from './interrupt-requests.js';
import type { GuestDriver, GuestPci, MachineDevice, Slot } from './machine.js';
import { PciFunction } from './pci-function.js';

/**
 * A slot of the PCI bus. A factory gets what is lent to the device and to the guest's driver; the function that
 * stands behind it is made of the device that the factory returns. An interrupt goes from the device through
 * the function's MSI-X to the interrupt requests, and from there to the driver when its vCPU runs.
 */
export class PciSlot {
  readonly lent: Pick<Slot, 'pci' | 'interrupt'>;
  readonly requests = new InterruptRequests();
  readonly #name: string;
  #function: PciFunction | null = null;

  /** @param name such as `0000:00:04.0` */
  constructor(name: string) {
    this.#name = name;
    const pci: GuestPci = {
      readConfig: (offset, size) => this.function.readConfig(offset, size),
      writeConfig: (offset, size, value) => this.function.postConfig(offset, size, value),
      writeMsixTable: (offset, bytes) => {
        const { msix } = this.function;
        if (msix === undefined) throw new RangeError(`${this.#name} has no MSI-X table`);
        msix.write(offset, bytes);
      },
    };
    // A device that is still being made has no guest that could have enabled its interrupts.
    this.lent = { pci, interrupt: (vector) => void this.#function?.trigger(vector) };
  }

  /**
   * Puts the device of a factory into the slot.
   * @throws RangeError when its BARs cannot be, or have no room for the MSI-X table
   */
  plug(machine: Pick<MachineDevice, 'device' | 'pci'>): PciFunction {
    const made = new PciFunction(machine);
    made.deliver = (message) => void this.requests.accept(message);
    this.#function = made;
    return made;
  }

  /** @throws Error before a device was put in */
  get function(): PciFunction {
    if (this.#function === null) throw new Error(`${this.#name}: there is no device in this slot yet`);
    return this.#function;
  }

  /** What of it crosses as sections of its own, beside the function's configuration. */
  get states(): readonly VmStateEntry[] {
    return this.#function?.msix === undefined ? [] : [this.requests.state(this.#name)];
  }

  /** A slice of a vCPU: its interrupts come first, then the driver runs. */
  run(guest: GuestDriver): void {
    for (const vector of this.requests.take()) guest.interrupt?.(vector);
    guest.run();
  }
}
