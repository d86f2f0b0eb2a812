import { VFINT_DYN_CTL, VFINT_ICR0_ADMINQ } from 'stopcopy/uapi';
import type { VfEnvironment } from '../environment.js';
import type { VfState } from '../vf-state.js';

const { INTENA, CLEARPBA, SWINT_TRIG } = VFINT_DYN_CTL;
/** Bits of DYN_CTL that trigger something and hold no state. */
const TRIGGERS = CLEARPBA | SWINT_TRIG;

/**
 * Interrupts by vector; 0 is the mailbox's. A vector that sends its message masks itself until the guest
 * enables it again; what happens meanwhile is pending. A vector that is throttled sends one message in an
 * interval, and what happens in the rest of it is pending too. Time goes by in ticks, so every interval is a tick.
 */
export class Interrupts {
  readonly #state: VfState;
  readonly #environment: VfEnvironment;
  /** Vectors that have sent their message in this interval. */
  readonly #sent = new Set<number>();
  /** No message is sent; what happens is pending. */
  held = false;

  constructor(state: VfState, environment: VfEnvironment) {
    this.#state = state;
    this.#environment = environment;
  }

  /** Something has happened for this vector. A number that is no vector of the VF is nobody's. */
  raise(vector: number): void {
    if (vector >= this.#state.pf.vectors) return;
    this.#state.pending[vector] = 1;
    this.#send(vector);
  }

  /** The mailbox has news. */
  raiseMailbox(): void {
    const state = this.#state;
    state.icr01 = (state.icr01 | VFINT_ICR0_ADMINQ) >>> 0;
    if (state.icr0Ena & VFINT_ICR0_ADMINQ) this.raise(0);
  }

  /** VFINT_ICR01: reading clears it. */
  readCause(): number {
    const cause = this.#state.icr01;
    this.#state.icr01 = 0;
    return cause;
  }

  /** VFINT_ICR0_ENA1: a cause that was there already counts. */
  writeCauseEnable(value: number): void {
    this.#state.icr0Ena = value;
    if (value & this.#state.icr01 & VFINT_ICR0_ADMINQ) this.raise(0);
  }

  /** VFINT_DYN_CTL01 (vector 0) and VFINT_DYN_CTLN1. */
  writeControl(vector: number, value: number): void {
    const { dynCtl, itr, pending } = this.#state;
    dynCtl[vector] = value & ~TRIGGERS;
    const index = (value >>> VFINT_DYN_CTL.ITR_INDX_SHIFT) & VFINT_DYN_CTL.ITR_INDX_MASK;
    if (index !== VFINT_DYN_CTL.ITR_NONE)
      itr[index]![vector] = (value >>> VFINT_DYN_CTL.INTERVAL_SHIFT) & VFINT_DYN_CTL.INTERVAL_MASK;
    if (value & CLEARPBA) pending[vector] = 0;
    if (value & SWINT_TRIG) pending[vector] = 1;
    this.#send(vector);
  }

  /** An interval is over, or a stop, which is longer than any: what is pending and enabled is sent. */
  sendPending(): void {
    this.#sent.clear();
    for (let vector = 0; vector < this.#state.pending.length; vector++) this.#send(vector);
  }

  #send(vector: number): void {
    const { dynCtl, pending, pf } = this.#state;
    if (this.held || !pending[vector] || vector >= pf.vectors || !(dynCtl[vector]! & INTENA)) return;
    if (this.#sent.has(vector) && this.#isThrottled(vector)) return;
    this.#sent.add(vector);
    dynCtl[vector]! &= ~INTENA;
    pending[vector] = 0;
    this.#environment.interrupt(vector);
  }

  /** Queues and mailbox of a vector count as one, whichever ITR index each has. */
  #isThrottled(vector: number): boolean {
    return this.#state.itr.some(
      (intervals, index) => index !== VFINT_DYN_CTL.ITR_NONE && intervals[vector] !== 0,
    );
  }
}
