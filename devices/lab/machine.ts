import {
  type DeviceFactory,
  type GuestDriver,
  type MachineDevice,
  PciSlot,
  type Slot,
} from 'stopcopy/migrate';
import { parseWhole } from 'stopcopy/stream';
import type { Device, IoAddressSpace } from 'stopcopy/uapi';
import type { PagedMemory } from './paged-memory.js';

/** RAM of the driver in the guest where nobody says how much: enough for any VF. */
const DRIVER_RAM: Slot['driverRam'] = { start: 0x1_0000, size: 0x7f_0000 };

/** A machine of nothing but RAM and a PCI bus with one device. */
export class LabMachine {
  readonly machine: MachineDevice;
  readonly #bus: PciSlot;

  /**
   * @param dma guest memory as the device reaches it
   * @param ram the same as vCPUs reach it
   */
  constructor(
    name: string,
    factory: DeviceFactory,
    dma: IoAddressSpace,
    ram: PagedMemory,
    driverRam = DRIVER_RAM,
  ) {
    this.#bus = new PciSlot(name);
    this.machine = factory({
      name,
      ...this.#bus.lent,
      memory: {
        size: driverRam.start + driverRam.size,
        read: (at, into) => ram.read(at, into),
        write: (at, bytes) => ram.store(at, bytes),
      },
      ioas: dma,
      driverRam,
    });
    this.#bus.plug(this.machine);
  }

  get device(): Device {
    return this.machine.device;
  }

  /** @throws TypeError when the guest has none */
  get driver(): GuestDriver {
    const { guest, model } = this.machine;
    if (guest === null) throw new TypeError(`a ${model} has no driver`);
    return guest;
  }

  /** Time goes by for the hardware. */
  tick(): void {
    this.machine.tick();
  }

  /** The vCPU of the guest's driver runs, with the interrupts that have come. */
  runGuest(): void {
    this.#bus.run(this.driver);
  }

  /** Time goes by for the hardware and the guest's driver. */
  run(slices: number): void {
    for (let slice = 0; slice < slices; slice++) {
      this.tick();
      this.runGuest();
    }
  }

  /** The cable is put into the other host, and the VMM gives over what it has of the function. */
  async handOver(to: LabMachine): Promise<void> {
    for (const [index, { target }] of this.machine.states.entries())
      Object.assign(to.machine.states[index]!.target, structuredClone(target));
    parseWhole(this.#bus.function.saveConfig(), to.#bus.function.configParser());
    await to.#bus.function.replay();
    to.#bus.requests.requests = this.#bus.requests.requests;
  }
}
