import { E810Vf } from '../../devices/e810-vf/e810-vf.js';
import { e810VfFactory } from '../../devices/e810-vf/factory.js';
import type { GuestBooks, GuestDriver, MachineDevice } from '../../src/migrate/index.js';
import { PciSlot } from '../../src/migrate/pci-slot.js';
import type { Device } from '../../src/uapi/index.js';
import type { PagedMemory } from './lab-dma.js';
import type { Books, Guest, Model, Subject } from './lab-guest.js';
import { moveFunction } from './machine-slot.js';

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 0x11);
/** RAM of the driver, and so all that the VF reaches. */
const DRIVER_RAM = { start: 0x1_0000, size: 0x1f_0000 };
/** Slices of guest time in which the driver sets the VF up, and in which frames of both directions come through. */
const SET_UP = 60;
const CHECK = 60;
const FRAMES = 16;

export interface LabE810Options {
  readonly generation: 'a' | 'b';
  readonly personality: 'published' | 'uapi';
  readonly dmaLogging?: boolean;
  readonly queuePairs?: number;
  /** Runs of the driver between two changes of filters. */
  readonly churn?: number;
  readonly seed?: number;
}

/** A VF in a machine of its own: wire, VF, and the driver over the RAM that is there. */
export class LabE810 implements Model {
  readonly device: E810Vf;
  readonly machine: MachineDevice;
  readonly #bus: PciSlot;

  constructor(machine: MachineDevice, bus: PciSlot) {
    if (!(machine.device instanceof E810Vf)) throw new TypeError('not an E810 VF');
    bus.plug(machine);
    this.#bus = bus;
    this.machine = machine;
    this.device = machine.device;
  }

  get driver(): GuestDriver {
    return this.machine.guest!;
  }

  tick(): void {
    this.machine.tick();
  }

  /** Time goes by for the guest too. */
  run(slices: number): void {
    for (let slice = 0; slice < slices; slice++) {
      this.tick();
      this.runGuest();
    }
  }

  /** The driver's vCPU runs, with the interrupts that have come. */
  runGuest(): void {
    this.#bus.run(this.driver);
  }

  digest(): string | null {
    return this.machine.digest();
  }

  /** The cable is put into the other host, and the VMM gives over what it has of the function. */
  async handOver(to: Model): Promise<void> {
    for (const [index, { target }] of this.machine.states.entries())
      Object.assign((to as LabE810).machine.states[index]!.target, structuredClone(target));
    await moveFunction(this.#bus, (to as LabE810).#bus);
  }
}

/** The VM of the lab: the driver knows what stands in RAM, so it goes on with the VF that is there. */
class LabIavf implements Guest {
  #books: GuestBooks | null = null;

  get books(): Books | null {
    const books = this.#books;
    return (
      books && {
        lost: books.framesLost,
        duplicated: books.framesDuplicated,
        reordered: books.framesReordered,
        corrupted: books.framesCorrupted,
        mailboxMisanswered: books.mailboxMisanswered,
      }
    );
  }

  async setUp(_device: Device, model: Model): Promise<void> {
    const { driver } = model as LabE810;
    (model as LabE810).run(SET_UP);
    if (!driver.isUp) throw new Error(`the driver does not come up: ${driver.books().complaints.join()}`);
  }

  /** The driver goes on as long as its vCPU does: it rings doorbells and posts requests. Interrupts wait. */
  async touch(_device: Device, model: Model): Promise<void> {
    for (let runs = 0; runs < 4; runs++) (model as LabE810).driver.run();
  }

  async check(_device: Device, model: Model): Promise<string | null> {
    const { driver } = model as LabE810;
    const before = driver.books();
    (model as LabE810).run(CHECK);
    const after = driver.books();
    this.#books = after;
    if (after.complaints.length > 0) return after.complaints.join('; ');
    if (after.framesReceived - before.framesReceived < FRAMES) return 'no frame comes';
    return after.framesOnWire - before.framesOnWire < FRAMES ? 'no frame goes out' : null;
  }

  poll(_memory: PagedMemory, model: Model): void {
    (model as LabE810).runGuest();
    this.#books = (model as LabE810).driver.books();
  }
}

/** E810 VFs, each on a host with another VSI number where the generation bears it. */
export function labE810({ queuePairs = 2, seed = 3, churn = 8, ...options }: LabE810Options): Subject {
  let vsiId = 1;
  return {
    name: `generation ${options.generation.toUpperCase()}, ${options.personality}`,
    dma: { iova: 0n, length: BigInt(DRIVER_RAM.start + DRIVER_RAM.size) },
    make: (name, { preCopy }, memory, ram) => {
      const factory = e810VfFactory({
        ...options,
        ...{ queuePairs, seed, churn, preCopy, hostMac: MAC, ringLength: 64, trusted: true },
        vsiId: options.generation === 'a' ? vsiId++ : 1,
      });
      const size = DRIVER_RAM.start + DRIVER_RAM.size;
      const bus = new PciSlot(name);
      const machine = factory({
        name,
        ...bus.lent,
        memory: { size, read: (at, into) => ram.read(at, into), write: (at, bytes) => ram.store(at, bytes) },
        ioas: memory,
        driverRam: DRIVER_RAM,
      });
      return new LabE810(machine, bus);
    },
    newGuest: () => new LabIavf(),
  };
}
