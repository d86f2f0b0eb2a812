import type { IoAddressSpace } from 'stopcopy/uapi';

/** What surrounds a VF: guest memory, the interrupt lines, and the cable. */
export interface VfEnvironment {
  /** Guest memory by DMA. */
  readonly memory: IoAddressSpace;
  /** An MSI-X message of this vector is sent. Not a write to RAM. */
  interrupt(vector: number): void;
  /** A frame leaves the VF, without preamble and FCS. The bytes are valid during the call. */
  transmit(frame: Uint8Array): void;
}

/** The hardware as PF driver and migration use it. `hardware/hardware.ts` implements it. */
export interface VfHardware {
  /** BAR0, 32 bits, at a multiple of 4. Unknown offsets read 0xdeadbeef, as E810 does [M], and ignore writes. */
  readRegister(offset: number): number;
  writeRegister(offset: number, value: number): void;
  /**
   * Lets hardware time go by: a reset takes its next stage; mailbox and Tx rings are processed, `budget`
   * descriptors of each queue and what is left of a packet begun. Does nothing while `paused`. Returns how many
   * descriptors were used.
   */
  tick(budget: number): number;
  /** A frame arrives from the cable. False: it was dropped (no filter, no buffer, not running). */
  receive(frame: Uint8Array): boolean;
  /** While true the device starts no DMA and no interrupt; registers are still readable and writable. */
  paused: boolean;
  /** Stops the rings: completes all Tx descriptors that were handed over, then neither Tx nor Rx queues run. */
  drainAndStop(): void;
  /** Rings run again where `enabled` says so. */
  restart(): void;
  /** Puts a message into the ARQ: buffer, descriptor, head, interrupt. False: no buffer is posted, or `paused`. */
  sendToVf(opcode: number, status: number, payload: Uint8Array): boolean;
}

/** The PF driver's side of the mailbox. `pf/pf.ts` implements it. */
export interface PfDriver {
  /**
   * A virtchnl message of the guest. Replies go out by `VfHardware.sendToVf`, except during `replay`, when
   * they are swallowed. Returns the virtchnl status (0 success).
   */
  handleMessage(opcode: number, payload: Uint8Array, options?: { replay?: boolean }): number;
  /** The whole VF reset sequence: afterwards the VF is as `newVfState` makes it, host settings kept. */
  resetVf(): void;
}
