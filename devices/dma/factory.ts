import type { CapabilitySet } from 'stopcopy/machines';
import type { DeviceFactory } from 'stopcopy/migrate';
import { DmaDevice } from './dma.js';

/** The device in a machine: no driver in the guest, and nothing around it. */
export function dmaFactory(capabilities?: CapabilitySet): DeviceFactory {
  return ({ name, ioas }) => {
    const device = new DmaDevice(name, capabilities, ioas);
    return {
      device,
      model: 'dma',
      requirements: {},
      pci: { msixVectors: 0, bars: [{ size: 4096, bits: 32 }] },
      tick: () => device.tick(),
      guest: null,
      states: [],
      macs: () => [],
      announce: () => {},
      digest: () => Buffer.from(device.readRegion(0, 0, 16)).toString('hex'),
    };
  };
}
