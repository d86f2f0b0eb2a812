import type { Party } from '../uapi/party.js';
import { CAPABILITY_SETS, type CapabilitySet } from './capabilities.js';
import { dmaLogging } from './dma-logging.js';
import { iommufdDirty } from './iommufd-dirty.js';
import { kvmDirtyRing } from './kvm-dirty-ring.js';
import { kvmMemslot } from './kvm-memslot.js';
import { kvmVm } from './kvm-vm.js';
import { migrationStatus } from './migration-status.js';
import { runState } from './run-state.js';
import { switchoverAck, switchoverAckLegacy } from './switchover-ack.js';
import { type1Dirty } from './type1-dirty.js';
import { vdpaDevice } from './vdpa-device.js';
import { vdpaShadow } from './vdpa-shadow.js';
import { vdpaVring } from './vdpa-vring.js';
import { vfioDevice } from './vfio-device.js';
import { vfioDriver } from './vfio-driver.js';
import { vhostDevice } from './vhost-device.js';
import { vhostUser } from './vhost-user.js';
import { vhostUserPostcopy } from './vhost-user-postcopy.js';
import { vhostUserTransfer } from './vhost-user-transfer.js';
import { vhostUserVring } from './vhost-user-vring.js';
import { vhostVmm } from './vhost-vmm.js';
import { vhostVring } from './vhost-vring.js';
import { vmPhases } from './vm-phases.js';
import { vmmDestination } from './vmm-destination.js';
import { vmmSetState } from './vmm-set-state.js';
import { vmmSource } from './vmm-source.js';
import type { Machine } from './xstate.js';

export * from './capabilities.js';
export { CLAUSES, type Clause, type ClauseId } from './clauses.js';
export * from './kvm-dirty-calls.js';
export * from './kvm-dirty-model.js';
export { migrationStatus } from './migration-status.js';
export { runState } from './run-state.js';
export { switchoverAck } from './switchover-ack.js';
export { VDPA_STATUS_STATES, type VdpaStatusState } from './vdpa-device.js';
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
  type DataAction,
  dataMachine,
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

/** An entry of a machine that does not depend on capabilities. */
const plain = (name: string, title: string, party: Party, make: () => Machine): MachineEntry => ({
  name,
  title,
  party,
  make,
  capabilitySets: FULL,
});

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
  plain('vhost-device', 'Device of kernel vhost', 'driver', vhostDevice),
  plain('vhost-vring', 'Virtqueue of kernel vhost', 'driver', vhostVring),
  plain('vhost-vmm', 'VMM that drives kernel vhost', 'vmm', vhostVmm),
  plain('vdpa-device', 'vDPA device behind vhost-vdpa', 'driver', vdpaDevice),
  plain('vdpa-vring', 'Virtqueue of a vDPA device', 'driver', vdpaVring),
  plain('vdpa-shadow', 'Shadow virtqueues of a vDPA device', 'vmm', vdpaShadow),
  plain('iommufd-dirty', 'Dirty tracking of an I/O page table', 'kernel', iommufdDirty),
  plain('type1-dirty', 'Dirty pages of a type1 container', 'kernel', type1Dirty),
  plain('kvm-vm', 'Dirty logging of a VM of KVM', 'kernel', kvmVm),
  plain('kvm-memslot', 'Dirty log of a memory slot of KVM', 'kernel', kvmMemslot),
  plain('kvm-dirty-ring', 'Entries of dirty rings of KVM', 'kernel', kvmDirtyRing),
  {
    name: 'vhost-user',
    title: 'Session of a vhost-user connection',
    party: 'vmm',
    make: vhostUser,
    capabilitySets: FULL,
  },
  {
    name: 'vhost-user-vring',
    title: 'Ring of a vhost-user back end',
    party: 'driver',
    make: vhostUserVring,
    capabilitySets: FULL,
  },
  {
    name: 'vhost-user-transfer',
    title: 'Device state transfer of a vhost-user back end',
    party: 'vmm',
    make: vhostUserTransfer,
    capabilitySets: FULL,
  },
  {
    name: 'vhost-user-postcopy',
    title: 'Post-copy with a vhost-user back end',
    party: 'vmm',
    make: vhostUserPostcopy,
    capabilitySets: FULL,
  },
];

/** The machine with this name, or undefined. */
export function machineNamed(name: string): MachineEntry | undefined {
  return MACHINES.find((machine) => machine.name === name);
}
