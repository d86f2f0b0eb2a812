/** A live migration between two processes. */
export type {
  DeviceFactory,
  GuestBooks,
  GuestDriver,
  GuestMemory,
  MachineDevice,
  Slot,
} from './machine.js';
