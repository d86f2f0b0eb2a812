import { DeviceError, type IoAddressSpace } from 'stopcopy/uapi';

/** The first address that a number no longer holds exactly: nothing is mapped from there on. */
const END = 2 ** 53;

/**
 * Guest memory as the rings use it. Where the guest has given an address that is not mapped, the device sees
 * a failed transfer, and no error of the machine.
 */
export class GuestMemory {
  readonly #memory: IoAddressSpace;

  constructor(memory: IoAddressSpace) {
    this.#memory = memory;
  }

  /** DMA read: fills all of `into`. False: the transfer failed, and `into` holds anything. */
  read(address: number, into: Uint8Array): boolean {
    if (address + into.length > END) return false;
    try {
      this.#memory.read(address, into);
      return true;
    } catch (error) {
      return failed(error);
    }
  }

  /** DMA write of all bytes. False: the transfer failed. */
  write(address: number, bytes: Uint8Array): boolean {
    if (address + bytes.length > END) return false;
    try {
      this.#memory.write(address, bytes);
      return true;
    } catch (error) {
      return failed(error);
    }
  }
}

function failed(error: unknown): false {
  if (error instanceof DeviceError) return false;
  throw error;
}

/** An address from its halves. Not exact from 2^53 on, where every transfer fails. */
export const addressOf = (high: number, low: number): number => (high >>> 0) * 2 ** 32 + (low >>> 0);
