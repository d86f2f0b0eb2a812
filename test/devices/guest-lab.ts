import { E810_VF_FUNCTION } from '../../devices/e810-vf/hardware/config-space.js';
import { E810Hardware } from '../../devices/e810-vf/hardware/hardware.js';
import { IavfDriver, type IavfOptions } from '../../devices/e810-vf/iavf/driver.js';
import { E810Pf } from '../../devices/e810-vf/pf/pf.js';
import { newVfState } from '../../devices/e810-vf/vf-state.js';
import { Wire } from '../../devices/e810-vf/wire.js';
import type { GuestBooks } from '../../src/migrate/index.js';
import { type Device, DeviceError } from '../../src/uapi/index.js';
import { MAC } from './e810-fixture.js';
import { machineSlot } from './machine-slot.js';

export interface GuestLabOptions {
  readonly queuePairs?: number;
  readonly seed?: number;
  readonly framesPerTick?: number;
  readonly driver?: Partial<IavfOptions>;
}

/** A VF without migration, its guest driver and its wire. */
export function guestLab({ queuePairs = 4, seed = 1, framesPerTick = 4, driver = {} }: GuestLabOptions = {}) {
  const slot = machineSlot((1 << 20) + queuePairs * (288 << 10), 1 << 16);
  const wire = new Wire({ seed, queuePairs, vfMac: MAC, framesPerTick });
  const state = newVfState({ queuePairs, hostMac: MAC, vsiId: 9 });
  const hardware = new E810Hardware(state, {
    memory: slot.ioas,
    interrupt: (vector) => slot.interrupt(vector),
    transmit: (frame) => lab.onTransmit(frame),
  });
  const pf = new E810Pf(state, hardware);
  slot.bus.plug({
    device: bareDevice(slot.name),
    pci: { identity: E810_VF_FUNCTION, bars: E810_VF_FUNCTION.bars, msixVectors: queuePairs + 1 },
  });
  const makeDriver = () =>
    new IavfDriver({
      slot,
      registers: hardware,
      wire,
      queuePairs,
      mac: MAC,
      seed,
      ringLength: 64,
      ...driver,
    });
  const lab = {
    slot,
    wire,
    state,
    hardware,
    pf,
    driver: makeDriver(),
    onTransmit: (frame: Uint8Array) => wire.take(frame),
    onReceive: (frame: Uint8Array) => hardware.receive(frame),
    /** A driver object that knows nothing but guest RAM takes over. */
    renew: () => {
      lab.driver = makeDriver();
    },
    /** Time goes by: for the cable, for the hardware, for the guest. */
    run: (slices: number) => {
      for (let count = 0; count < slices; count++) {
        wire.tick((frame) => lab.onReceive(frame));
        hardware.tick(64);
        slot.bus.run(lab.driver);
      }
    },
    /** Runs until the driver is up; returns how many slices it took. */
    bringUp: (most = 200) => {
      let slices = 0;
      for (; !lab.driver.isUp && slices < most; slices++) lab.run(1);
      return slices;
    },
    books: () => lab.driver.books(),
  };
  return lab;
}

/** What stands for the device at the VFIO boundary, which nobody crosses here. */
const bareDevice = (name: string) =>
  ({
    name,
    readRegion: () => {
      throw new DeviceError('EINVAL', 'no configuration space');
    },
  }) as unknown as Device;

/** Books in which nothing is wrong. */
export const CLEAN: Partial<GuestBooks> = {
  framesLost: 0,
  framesDuplicated: 0,
  framesReordered: 0,
  framesCorrupted: 0,
  mailboxMisanswered: 0,
  interruptsMissed: 0,
  complaints: [],
};
