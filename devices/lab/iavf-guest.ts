import type { GuestBooks, Slot } from 'stopcopy/migrate';
import type { Device } from 'stopcopy/uapi';
import { controlSize } from '../e810-vf/iavf/control-block.js';
import { layOut } from '../e810-vf/iavf/ram-layout.js';
import { FLOWS_PER_QUEUE } from '../e810-vf/traffic.js';
import type { Books, Guest } from './guest.js';
import type { LabMachine } from './machine.js';
import type { PagedMemory } from './paged-memory.js';

/** Where its RAM begins. */
const RAM_START = 0x1_0000;
/** Slices of guest time in which the driver sets the VF up, and in which frames of both directions come through. */
const SET_UP = 60;
const CHECK = 60;
const FRAMES = 16;

/** RAM that the driver of so many queue pairs fills, not from address zero on. */
export function iavfRam(queuePairs: number, ringLength: number): Slot['driverRam'] {
  const control = controlSize({
    queuePairs,
    flowsOut: FLOWS_PER_QUEUE.fromVf * queuePairs,
    flowsIn: FLOWS_PER_QUEUE.toVf * queuePairs,
  });
  const { end } = layOut(
    { start: RAM_START, size: Number.MAX_SAFE_INTEGER - RAM_START },
    { controlSize: control, queuePairs, ringLength },
  );
  return { start: RAM_START, size: end - RAM_START };
}

/** The VM of the lab: the driver knows what stands in RAM, so it goes on with the VF that is there. */
export class IavfGuest implements Guest {
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

  async setUp(_device: Device, machine: LabMachine): Promise<void> {
    const { driver } = machine;
    machine.run(SET_UP);
    if (!driver.isUp) throw new Error(`the driver does not come up: ${driver.books().complaints.join()}`);
  }

  /** The driver goes on as long as its vCPU does: it rings doorbells and posts requests. Interrupts wait. */
  async touch(_device: Device, machine: LabMachine): Promise<void> {
    for (let runs = 0; runs < 4; runs++) machine.driver.run();
  }

  async check(_device: Device, machine: LabMachine): Promise<string | null> {
    const { driver } = machine;
    const before = driver.books();
    machine.run(CHECK);
    const after = driver.books();
    this.#books = after;
    if (after.complaints.length > 0) return after.complaints.join('; ');
    if (after.framesReceived - before.framesReceived < FRAMES) return 'no frame comes';
    return after.framesOnWire - before.framesOnWire < FRAMES ? 'no frame goes out' : null;
  }

  poll(_memory: PagedMemory, machine: LabMachine): void {
    machine.runGuest();
    this.#books = machine.driver.books();
  }
}
