/**
 * Mistakes that drivers were seen to make, as wrappers that any device can be put into. `KNOWN_BUGS` says what
 * stands for which, and what nothing stands for.
 */
import type { DeviceFactory, MachineDevice } from 'stopcopy/migrate';
import type { Fault } from './fault.js';
import { LOADING_FAULTS } from './loading.js';
import { MEMORY_FAULTS } from './memory.js';
import { READING_FAULTS } from './reading.js';
import { STATE_FAULTS } from './states.js';
import { WatchedMemory } from './watched-memory.js';

export { KNOWN_BUGS, type KnownBug } from './bugs.js';
export type { Fault, FaultNeed, FaultTools } from './fault.js';
export {
  allClean,
  lostAtPageEdge,
  type ReportFault,
  shiftedByOffset,
  shiftedByStart,
} from './memory.js';
export { WatchedMemory } from './watched-memory.js';

/** Every fault, by the part of a device that has it. */
export const FAULTS: readonly Fault[] = [
  ...READING_FAULTS,
  ...LOADING_FAULTS,
  ...STATE_FAULTS,
  ...MEMORY_FAULTS,
];

/** The fault with this name, or undefined. */
export function faultNamed(name: string): Fault | undefined {
  return FAULTS.find((fault) => fault.name === name);
}

/** Whole numbers from 0 on, below `below`: the same for the same seed (mulberry32). */
export function faultRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Devices of this factory, each with the fault. The guest's driver keeps the device that it knows. */
export function faulty(factory: DeviceFactory, fault: Fault, seed = 1): DeviceFactory {
  return (slot) => {
    const memory = new WatchedMemory(slot.ioas);
    const machine = factory({ ...slot, ioas: memory });
    const device = fault.apply(machine.device, { random: faultRandom(seed), memory });
    return withDevice(machine, device);
  };
}

function withDevice(machine: MachineDevice, device: MachineDevice['device']): MachineDevice {
  return {
    device,
    model: machine.model,
    requirements: machine.requirements,
    pci: machine.pci,
    tick: () => machine.tick(),
    get guest() {
      return machine.guest;
    },
    get states() {
      return machine.states;
    },
    macs: () => machine.macs(),
    announce: (mac) => machine.announce(mac),
    digest: () => machine.digest(),
  };
}
