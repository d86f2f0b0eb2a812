import type { DeviceFactory } from 'stopcopy/migrate';
import { digestOfVfState } from './digest.js';
import { E810Vf, type E810VfOptions } from './e810-vf.js';
import { E810_VF_FUNCTION } from './hardware/config-space.js';
import { IavfDriver, type IavfOptions } from './iavf/driver.js';
import { rarpAnnouncement, Wire, wireDescription } from './wire.js';

/** Rates of a machine's VF. */
export interface E810VfRates {
  /** Frames that the wire sends in a tick; default 4. */
  readonly framesPerTick?: number;
  /** Frames that the guest sends in a run of its driver; default 4. */
  readonly framesPerRun?: number;
  /** Descriptors that the hardware takes from each queue in a tick; default 64. */
  readonly descriptorsPerTick?: number;
}

/** What the VFs of a factory have in common. */
export interface E810VfFactoryOptions
  extends Omit<E810VfOptions, 'name' | 'environment'>,
    Pick<IavfOptions, 'ringLength' | 'patience' | 'churn'> {
  /** Of the traffic in both directions, and of the guest; the same on source and destination. */
  readonly seed: number;
  readonly rates?: E810VfRates;
  /** Whether the guest has a driver for the VF; default true. */
  readonly guest?: boolean;
}

const { bars, ...identity } = E810_VF_FUNCTION;

/**
 * A VF in a machine: the device, a wire at its port, and iavf in the guest.
 * @throws RangeError for options that no VF has; the factory, when the slot has too little RAM for the driver
 */
export function e810VfFactory(options: E810VfFactoryOptions): DeviceFactory {
  const { seed, queuePairs, hostMac, generation, personality, rates = {}, guest: hasGuest = true } = options;
  const { framesPerTick = 4, framesPerRun = 4, descriptorsPerTick = 64 } = rates;
  return (slot) => {
    const wire = new Wire({ seed, queuePairs, vfMac: hostMac, framesPerTick });
    const vf = new E810Vf({
      ...options,
      name: slot.name,
      environment: {
        memory: slot.ioas,
        interrupt: (vector) => slot.interrupt(vector),
        transmit: (frame) => wire.take(frame),
      },
    });
    // The guest's accesses to BAR 0 are mapped: they pass by whatever wraps the device at the VFIO boundary.
    const registers = vf.hardware;
    const guest = hasGuest
      ? new IavfDriver({ ...options, slot, registers, wire, mac: hostMac, framesPerRun })
      : null;
    return {
      device: vf,
      model: 'e810-vf',
      requirements: { model: 'e810-vf', generation, 'queue pairs': queuePairs, vectors: queuePairs + 1 },
      pci: { identity, bars, msixVectors: queuePairs + 1 },
      tick: () => {
        wire.tick((frame) => vf.hardware.receive(frame));
        vf.tick(descriptorsPerTick);
      },
      guest,
      states: [
        { idstr: `${slot.name}/wire`, instance: 0, description: wireDescription(wire), target: wire.state },
      ],
      macs: () => [hostMac],
      announce: (mac) => wire.take(rarpAnnouncement(mac)),
      // A published driver undoes a part of the VF by suspending it, and loads no earlier than the VF starts:
      // there is no moment at which both sides hold the same.
      digest: () => (personality === 'uapi' ? digestOfVfState(vf.state) : null),
    };
  };
}
