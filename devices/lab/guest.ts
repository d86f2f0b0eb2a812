import type { Device } from 'stopcopy/uapi';
import type { LabMachine } from './machine.js';
import type { PagedMemory } from './paged-memory.js';

/** What the guest's driver counts. */
export interface Books {
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  mailboxMisanswered: number;
}

/**
 * The guest's driver of a device; what it knows moves with the VM. It reaches the device as the VMM offers it:
 * with the fault, if there is one.
 */
export interface Guest {
  /** Sets up a device after power-on. */
  setUp(device: Device, machine: LabMachine): Promise<void>;
  /** Does something with the device while it may start no DMA. */
  touch(device: Device, machine: LabMachine): Promise<void>;
  /** Tries what the device is for; says what does not work, or null. */
  check(device: Device, machine: LabMachine, memory: PagedMemory): Promise<string | null>;
  /** Takes what has come. */
  poll(memory: PagedMemory, machine: LabMachine): void;
  readonly books: Books | null;
}
