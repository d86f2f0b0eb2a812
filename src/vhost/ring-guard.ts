import { DeviceError } from '../uapi/device.js';

/**
 * Work on a ring that guest or device may have broken. What they did is told by a `DeviceError` (the guest's side) or
 * a `RangeError` (the device's side); from then on nothing is done any more.
 */
export class RingGuard {
  readonly #told: ((error: Error) => void) | undefined;
  #stands = false;

  /** @param told gets the error; absent: it goes on to the caller */
  constructor(told?: (error: Error) => void) {
    this.#told = told;
  }

  run(work: () => void): void {
    if (this.#stands) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof DeviceError) && !(error instanceof RangeError)) throw error;
      this.#stands = true;
      if (this.#told === undefined) throw error;
      this.#told(error);
    }
  }

  /** The ring is taken away. */
  end(): void {
    this.#stands = true;
  }
}
