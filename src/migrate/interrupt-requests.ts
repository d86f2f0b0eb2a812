import { X86_MSI } from '../uapi/pci.js';
import type { VmStateDescription, VmStateEntry } from '../vmstate/index.js';
import type { MsixMessage } from './msix.js';

/** Vectors of a local APIC. */
const VECTORS = X86_MSI.VECTOR + 1;

const STATE: VmStateDescription = {
  name: 'interrupt-requests',
  version: 1,
  minimumVersion: 1,
  fields: [{ name: 'requests', type: { buffer: VECTORS / 8 } }],
};

/**
 * Interrupts that have reached the vCPUs and that no vCPU has taken yet, as the interrupt request register of
 * a local APIC holds them: what comes while vCPUs stand still waits here, and crosses with a migration.
 * Each device has one of its own, where an APIC is told apart by vectors that the guest gives to no two devices.
 */
export class InterruptRequests {
  #requests = new Uint8Array(VECTORS / 8);

  /**
   * A message of the device arrives.
   * @returns false when it is no interrupt: its address is not a local APIC's
   */
  accept({ address, data }: Pick<MsixMessage, 'address' | 'data'>): boolean {
    if (address < X86_MSI.BASE || address >= X86_MSI.BASE + X86_MSI.SIZE) return false;
    const vector = data & X86_MSI.VECTOR;
    this.#requests[vector >> 3]! |= 1 << (vector & 7);
    return true;
  }

  /** The vectors that wait, the lowest first; they do not wait any more. */
  take(): number[] {
    if (this.#requests.every((byte) => byte === 0)) return [];
    const waiting = Array.from({ length: VECTORS }, (_, vector) => vector).filter(
      (vector) => (this.#requests[vector >> 3]! & (1 << (vector & 7))) !== 0,
    );
    this.#requests.fill(0);
    return waiting;
  }

  /** The section that carries them. */
  state(device: string): VmStateEntry {
    return { idstr: `${device}/interrupts`, instance: 0, description: STATE, target: this };
  }

  /** A bit for each vector. */
  get requests(): Uint8Array {
    return this.#requests;
  }

  /** Those of the source come on top of what was accepted here since its configuration was loaded. */
  set requests(loaded: Uint8Array) {
    this.#requests = this.#requests.map((byte, index) => byte | (loaded[index] ?? 0));
  }
}
