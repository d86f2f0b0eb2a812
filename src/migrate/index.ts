/** A live migration between two processes: machines, source, destination, RAM and dirty tracking. */
export { Chronicle, type EventSink } from './chronicle.js';
export {
  DIRTY_TRACKERS,
  type DirtyTracker,
  dirtyTracker,
  PageBitmap,
  type TrackerKind,
  type TrackerName,
} from './dirty/index.js';
export { MigrationError } from './error.js';
export { checkGuest, type GuestCheck, guestIsUp } from './guest-check.js';
export type {
  BackEndWrite,
  DeviceFactory,
  GuestBooks,
  GuestDriver,
  GuestMemory,
  GuestPci,
  MachineDevice,
  MachinePart,
  PciIdentity,
  Slot,
  VhostFactory,
  VhostMachine,
  VhostSlot,
} from './machine.js';
export { type CapabilityName, DEFAULT_PARAMETERS, type MigrationParameters } from './parameters.js';
export { PciSlot } from './pci-slot.js';
export { GuestRam, gatherPages, PAGE_SIZE, PageScan } from './ram/index.js';
export { MIGRATE_SCHEMA, type MigrateReport, type Outcome, type Progress } from './report.js';
export { blockersOf, type Prerequisite, requirementsOf } from './requirements.js';
export { type DestinationResult, type RunDestinationOptions, runDestination } from './run-destination.js';
export { type RunSourceOptions, runSource } from './run-source.js';
export type { SourceMigration } from './source.js';
export { memoryMap, VirtualMachine, type VmOptions } from './virtual-machine.js';
