import type { Device } from 'stopcopy/uapi';
import type { Guest } from './guest.js';
import { holds } from './registers.js';

/** Uses the scratch register of a UART. */
export class UartGuest implements Guest {
  readonly books = null;
  #value = 0x11;

  async setUp(device: Device): Promise<void> {
    await device.writeRegion(0, 3, Uint8Array.of(3));
    await this.touch(device);
  }

  async touch(device: Device): Promise<void> {
    this.#value = (this.#value + 0x2b) & 0xff;
    await device.writeRegion(0, 7, Uint8Array.of(this.#value));
  }

  async check(device: Device): Promise<string | null> {
    const [kept] = await device.readRegion(0, 7, 1);
    if (kept !== this.#value) return `the scratch register is ${kept}, and was ${this.#value}`;
    this.#value = (this.#value + 1) & 0xff;
    return (await holds(device, 7, Uint8Array.of(this.#value))) ? null : 'registers cannot be written';
  }

  poll(): void {}
}
