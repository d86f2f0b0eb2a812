import type { CapabilitySet } from 'stopcopy/machines';
import type { DeviceFactory } from 'stopcopy/migrate';
import { Uart } from './uart.js';

/** A UART in a machine: no DMA, no driver in the guest, and nothing around it. */
export function uartFactory(capabilities?: CapabilitySet): DeviceFactory {
  return ({ name }) => {
    const device = new Uart(name, capabilities);
    return {
      device,
      model: 'uart',
      requirements: {},
      pci: { msixVectors: 0, bars: [{ size: 4096, bits: 32 }] },
      tick: () => {},
      guest: null,
      states: [],
      macs: () => [],
      announce: () => {},
      // The FIFO, whose register would lose a byte by being read, is left out.
      digest: () => Buffer.from(device.readRegion(0, 1, 7)).toString('hex'),
    };
  };
}
