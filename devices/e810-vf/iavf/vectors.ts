import {
  E810_VF_REGISTER_ARRAYS as ARRAYS,
  E810_VF_REGISTERS as REGISTERS,
  VFINT_DYN_CTL,
  VFINT_ICR0_ADMINQ,
} from 'stopcopy/uapi';
import type { Registers } from './mailbox.js';
import { registerAt } from './ring-context.js';

/** Enabled, nothing pending, throttling left as it is. */
const ENABLE =
  VFINT_DYN_CTL.INTENA | VFINT_DYN_CTL.CLEARPBA | (VFINT_DYN_CTL.ITR_NONE << VFINT_DYN_CTL.ITR_INDX_SHIFT);

/** Interrupts as the guest handles them: vector 0 is the mailbox's, then one for each queue pair. */
export class Vectors {
  readonly #registers: Registers;
  readonly #queuePairs: number;
  /** What has come since the last run. A hint only: it does not cross with a migration. */
  readonly #came = new Set<number>();

  constructor(registers: Registers, queuePairs: number) {
    this.#registers = registers;
    this.#queuePairs = queuePairs;
  }

  note(vector: number): void {
    this.#came.add(vector);
  }

  enableMailbox(): void {
    this.#registers.writeRegister(REGISTERS.VFINT_ICR0_ENA1, VFINT_ICR0_ADMINQ);
    this.#enable(0);
  }

  enableQueues(): void {
    for (let vector = 1; vector <= this.#queuePairs; vector++) this.#enable(vector);
  }

  /** Enables again what has come; `all` looks at every vector, in case that a hint was lost. */
  serve(all: boolean): void {
    for (let vector = 0; vector <= this.#queuePairs; vector++) {
      if (this.#came.has(vector) || (all && this.#isMasked(vector))) this.#enable(vector);
    }
    this.#came.clear();
  }

  #isMasked(vector: number): boolean {
    return (this.#registers.readRegister(this.#control(vector)) & VFINT_DYN_CTL.INTENA) === 0;
  }

  #enable(vector: number): void {
    // Reading the cause clears it.
    if (vector === 0) this.#registers.readRegister(REGISTERS.VFINT_ICR01);
    this.#registers.writeRegister(this.#control(vector), ENABLE);
  }

  #control(vector: number): number {
    return vector === 0 ? REGISTERS.VFINT_DYN_CTL01 : registerAt(ARRAYS.VFINT_DYN_CTLN1, vector - 1);
  }
}
