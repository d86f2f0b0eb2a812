/**
 * Mistakes that drivers were seen to make, as wrappers that any device can be put into.
 *
 * Not among them, for they do not show at the boundary of a device, in its stream or in guest memory:
 *
 * | what was seen | why not |
 * |---|---|
 * | hisi: a reset that runs into the reset of the whole device takes for ever | a call without an answer; a trace ends before "for ever" |
 * | hisi, ice: interrupts that were pending at the stop are not raised again | interrupts pass by what is wrapped here; the `published` personalities of `e810-vf` lose them, and the guest's driver complains |
 * | pds, mlx5, xe, type1, ice: leaks, use after free and double free on error paths | memory of the kernel |
 * | mlx5: images above 512 MB fail outright | the smaller half of it is `pre-copy-read-fails`: the VMM has to fall back |
 * | QEMU: an error after STOP_COPY does not end the migration | a fault of the VMM; VFIO-FSM-13 and VMM-DST-05 judge it |
 * | mtty, hisi: bytes that were refused are loaded all the same | shows only to a test that leaves RESUMING after a refused write, which a VMM must not do; VFIO-SES-10 judges it |
 * | hisi: EFAULT where a header is not compatible | no text says which number it has to be |
 * | ice: Rx tail holds the offset of its register | a value inside a record of one device: the `published` personality of `e810-vf` has it |
 * | ice: VLAN list index not set, MSI-X bound, Tx head wrong when memory is short | undefined or wrong values inside the kernel; what they come to depends on what lay there |
 * | ice: lengths of records are not checked, the length of the file grows with each write | as above; what user space sees of it is `truncation-unnoticed` |
 * | ice, record and replay: requests beyond the 1000th are refused, some settings are not recorded | inside the log of one device: the `published` personality has them |
 * | ice: an image is built although the suspend has failed | `suspend-ignored` |
 */
import type { DeviceFactory, MachineDevice } from 'stopcopy/migrate';
import type { Fault } from './fault.js';
import { LOADING_FAULTS } from './loading.js';
import { MEMORY_FAULTS } from './memory.js';
import { READING_FAULTS } from './reading.js';
import { STATE_FAULTS } from './states.js';
import { WatchedMemory } from './watched-memory.js';

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
