import { DeviceError, PCI_COMMAND, PCI_CONFIG } from 'stopcopy/uapi';
import { E810_VF_FUNCTION } from './hardware/config-space.js';

const SIZE = 4096;
const COMMAND_BITS = Object.values(PCI_COMMAND).reduce((all, bit) => all | bit, 0);

/**
 * PCI configuration space of the VF itself: who it is, and the command register. All else is emulated by the
 * VMM, which after a migration writes here again what the guest had written; writes to it change nothing.
 */
export class ConfigRegion {
  readonly #bytes = new Uint8Array(SIZE);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor() {
    this.#view.setUint16(PCI_CONFIG.VENDOR_ID, E810_VF_FUNCTION.vendor, true);
    this.#view.setUint16(PCI_CONFIG.DEVICE_ID, E810_VF_FUNCTION.device, true);
    this.#view.setUint32(PCI_CONFIG.REVISION_ID, E810_VF_FUNCTION.classCode * 0x100, true);
  }

  /** @throws DeviceError EINVAL outside configuration space */
  read(offset: number, size: number): Uint8Array {
    check(offset, size);
    return this.#bytes.slice(offset, offset + size);
  }

  /** @throws DeviceError EINVAL outside configuration space */
  write(offset: number, bytes: Uint8Array): void {
    check(offset, bytes.length);
    for (const [index, value] of bytes.entries()) {
      const at = offset + index - PCI_CONFIG.COMMAND;
      if (at === 0 || at === 1) this.#bytes[PCI_CONFIG.COMMAND + at] = value & (COMMAND_BITS >> (8 * at));
    }
  }

  reset(): void {
    this.#view.setUint16(PCI_CONFIG.COMMAND, 0, true);
  }
}

function check(offset: number, size: number): void {
  if (Number.isInteger(offset) && offset >= 0 && offset + size <= SIZE) return;
  throw new DeviceError('EINVAL', `${size} bytes at ${offset}: configuration space has ${SIZE}`);
}
