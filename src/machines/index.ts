import type { Party } from '../uapi/party.js';
import { CAPABILITY_SETS, type CapabilitySet } from './capabilities.js';
import { dmaLogging } from './dma-logging.js';
import { migrationStatus } from './migration-status.js';
import { runState } from './run-state.js';
import { switchoverAck, switchoverAckLegacy } from './switchover-ack.js';
import { vfioDevice } from './vfio-device.js';
import { vfioDriver } from './vfio-driver.js';
import { vmPhases } from './vm-phases.js';
import { vmmDestination } from './vmm-destination.js';
import { vmmSetState } from './vmm-set-state.js';
import { vmmSource } from './vmm-source.js';
import type { Machine } from './xstate.js';

export * from './capabilities.js';
export { CLAUSES, type Clause, type ClauseId } from './clauses.js';
export { migrationStatus } from './migration-status.js';
export { runState } from './run-state.js';
export { switchoverAck } from './switchover-ack.js';
export * from './vfio-arcs.js';
export { SESSION_STATES, type SessionState, statesOf } from './vfio-device.js';
export { vmPhases } from './vm-phases.js';
export { vmmDestination } from './vmm-destination.js';
export { CALL_SITES, type CallSite, callEvent, vmmSetState } from './vmm-set-state.js';
export { vmmSource } from './vmm-source.js';
export {
  type ChartActor,
  ChartError,
  type ChartRegion,
  type ChartTransition,
  type Configuration,
  chartStep,
  initialConfiguration,
  type Machine,
  regionsOf,
  startChart,
} from './xstate.js';

/** A machine by name. */
export interface MachineEntry {
  readonly name: string;
  readonly title: string;
  /** Who is bound by it. */
  readonly party: Party;
  /** Makes the chart; machines that do not depend on capabilities ignore them. */
  make(caps: CapabilitySet): Machine;
  /** The capability sets for which the chart differs. */
  readonly capabilitySets: readonly CapabilitySet[];
}

const FULL = CAPABILITY_SETS.slice(-1);
const BY_P2P = [CAPABILITY_SETS[2]!, CAPABILITY_SETS[3]!];

/** Every machine of the protocol. */
export const MACHINES: readonly MachineEntry[] = [
  {
    name: 'vfio-device',
    title: 'VFIO device, requested view, with its data transfer session',
    party: 'driver',
    make: vfioDevice,
    capabilitySets: CAPABILITY_SETS,
  },
  {
    name: 'vfio-driver',
    title: 'VFIO device, arc view',
    party: 'driver',
    make: vfioDriver,
    capabilitySets: CAPABILITY_SETS,
  },
  {
    name: 'dma-logging',
    title: 'Device DMA logging',
    party: 'driver',
    make: dmaLogging,
    capabilitySets: FULL,
  },
  {
    name: 'vmm-set-state',
    title: 'QEMU sets a device state',
    party: 'vmm',
    make: vmmSetState,
    capabilitySets: FULL,
  },
  {
    name: 'vmm-source',
    title: 'VMM as source, and in VM stops and starts',
    party: 'vmm',
    make: (caps) => vmmSource(caps.p2p),
    capabilitySets: BY_P2P,
  },
  {
    name: 'vmm-destination',
    title: 'VMM as destination',
    party: 'vmm',
    make: vmmDestination,
    capabilitySets: FULL,
  },
  {
    name: 'vm-phases',
    title: 'Two-phase VM stop and start',
    party: 'vmm',
    make: vmPhases,
    capabilitySets: FULL,
  },
  {
    name: 'switchover-ack',
    title: 'Switchover-ack, source',
    party: 'vmm',
    make: switchoverAck,
    capabilitySets: FULL,
  },
  {
    name: 'switchover-ack-legacy',
    title: 'Switchover-ack up to QEMU 11.0, destination',
    party: 'vmm',
    make: switchoverAckLegacy,
    capabilitySets: FULL,
  },
  {
    name: 'migration-status',
    title: 'MigrationStatus',
    party: 'vmm',
    make: migrationStatus,
    capabilitySets: FULL,
  },
  { name: 'run-state', title: 'RunState', party: 'vmm', make: runState, capabilitySets: FULL },
];

/** The machine with this name, or undefined. */
export function machineNamed(name: string): MachineEntry | undefined {
  return MACHINES.find((machine) => machine.name === name);
}
