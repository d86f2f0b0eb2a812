import type { GuestMemory, Slot } from 'stopcopy/migrate';
import {
  E810_VF_REGISTER_ARRAYS as ARRAYS,
  E810_VF_REGISTERS as REGISTERS,
  VFINT_DYN_CTL,
  VFINT_ICR0_ADMINQ,
} from 'stopcopy/uapi';
import { type ControlBlock, complain } from './control-block.js';
import type { Registers } from './mailbox.js';
import { enableMsix } from './msix.js';
import { addressIn, type RamLayout } from './ram-layout.js';
import { registerAt } from './ring-context.js';

/**
 * Enabled, throttling left as it is. What is pending stays: it may have come after the rings were looked at, and
 * an interrupt too many does no harm.
 */
const ENABLE = VFINT_DYN_CTL.INTENA | (VFINT_DYN_CTL.ITR_NONE << VFINT_DYN_CTL.ITR_INDX_SHIFT);
/** ITR indexes that `irqMapMessage` gives to Rx and Tx, and iavf's interval: 50 us, in units of 2. */
const THROTTLING = { indexes: [0, 1], interval: 25 } as const;
/** Runs that finished work may lie untold before the driver looks for it unasked, and complains. */
const LATEST = 32;

/** What there is to do for a vector. */
export interface VectorWork {
  /** Whether the device has finished something. */
  look(): boolean;
  /** Does it. False: there is more. */
  poll(): boolean;
}

export interface VectorContext {
  readonly memory: GuestMemory;
  readonly registers: Registers;
  readonly pci: Slot['pci'];
  readonly layout: RamLayout;
}

/**
 * Interrupts in the manner of NAPI: vector 0 is the mailbox's, then one for each queue pair. The handler counts
 * in guest RAM, outside of the control block, for it may come at any time. A vector whose count has gone on is
 * served in the next run, and enabled again when there is nothing left to do.
 *
 * A device writes to memory before it sends the interrupt, and everything of a slice is over before the driver
 * runs; so work that is there without an interrupt means that one has been lost.
 */
export class Vectors {
  readonly #context: VectorContext;
  readonly #count: number;
  readonly #word = new Uint8Array(4);
  readonly #view = new DataView(this.#word.buffer);

  constructor(context: VectorContext, queuePairs: number) {
    this.#context = context;
    this.#count = 1 + queuePairs;
  }

  /** The interrupt handler. A vector that the driver has not set up is nobody's. */
  handle(vector: number): void {
    if (vector >= this.#count) return;
    this.#view.setUint32(0, this.#told(vector) + 1, true);
    this.#context.memory.write(this.#at(vector), this.#word);
  }

  /** Sets the function up, and enables the mailbox's vector. @returns what keeps it from that, in words, or null */
  enableMailbox(block: ControlBlock): string | null {
    const words = enableMsix(this.#context.pci, this.#count);
    if (words === null) this.#begin(block, 0);
    return words;
  }

  enableQueues(block: ControlBlock): void {
    for (let vector = 1; vector < this.#count; vector++) {
      for (const index of THROTTLING.indexes) {
        const first = ARRAYS.VFINT_ITRN1.offset + index * ARRAYS.VFINT_ITRN1.stride;
        this.#context.registers.writeRegister(first + 4 * (vector - 1), THROTTLING.interval);
      }
      this.#begin(block, vector);
    }
  }

  /** Has the work of a vector done if its interrupt came, or should have come long ago. */
  serve(block: ControlBlock, vector: number, work: VectorWork): void {
    const words = block.vectors[vector]!;
    const told = this.#told(vector);
    // Counts wrap around.
    const behind = (words.served - told) >>> 0;
    if (behind > 0 && behind < 2 ** 31)
      complain(block, `guest RAM is damaged: interrupts of vector ${vector} were served that never came`);
    if (told === words.served && !this.#isOverdue(block, vector, work)) return;
    words.late = 0;
    if (!work.poll()) return;
    words.served = told;
    this.#enable(vector);
  }

  #isOverdue(block: ControlBlock, vector: number, work: VectorWork): boolean {
    const words = block.vectors[vector]!;
    if (!work.look()) {
      words.late = 0;
      return false;
    }
    if (words.late++ === 0) block.interruptsMissed++;
    if (words.late < LATEST) return false;
    // iavf's watchdog looks into the mailbox at any rate, so there a lost interrupt is only late.
    if (vector > 0)
      complain(
        block,
        `vector ${vector}: missed interrupt: the device has finished work and never told of it`,
      );
    return true;
  }

  /** Whatever has come so far is of an earlier life. */
  #begin(block: ControlBlock, vector: number): void {
    block.vectors[vector] = { served: this.#told(vector), late: 0 };
    this.#enable(vector);
  }

  /** Of the mailbox's vector the cause is enabled too, as iavf does it every time. */
  #enable(vector: number): void {
    const { registers } = this.#context;
    if (vector > 0) {
      registers.writeRegister(registerAt(ARRAYS.VFINT_DYN_CTLN1, vector - 1), ENABLE);
      return;
    }
    registers.writeRegister(REGISTERS.VFINT_DYN_CTL01, ENABLE);
    registers.writeRegister(REGISTERS.VFINT_ICR0_ENA1, VFINT_ICR0_ADMINQ);
  }

  /** How often the handler was called for a vector. */
  #told(vector: number): number {
    this.#context.memory.read(this.#at(vector), this.#word);
    return this.#view.getUint32(0, true);
  }

  #at(vector: number): number {
    return addressIn(this.#context.layout.interrupts, vector);
  }
}
