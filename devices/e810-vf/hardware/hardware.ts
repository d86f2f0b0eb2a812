import { VFGEN_RSTAT } from 'stopcopy/uapi';
import type { VfEnvironment, VfHardware } from '../environment.js';
import { VF_LIMITS, type VfState } from '../vf-state.js';
import { GuestMemory } from './guest-memory.js';
import { Interrupts } from './interrupts.js';
import { Mailbox } from './mailbox.js';
import { Registers } from './registers.js';
import { isFrame, RxRing } from './rx-ring.js';
import { isForVf } from './switch.js';
import { TxRing } from './tx-ring.js';

/**
 * The hardware of an E810 VF: registers, mailbox, Tx and Rx queues, interrupts, and the switch in front of
 * them. All that it knows of the VF is in `VfState`; here are only scratch memory and whether it runs.
 * The PF driver that belongs to it sets `onMessage` and `onResetDone`.
 */
export class E810Hardware implements VfHardware {
  readonly #state: VfState;
  readonly #interrupts: Interrupts;
  readonly #registers: Registers;
  readonly #mailbox: Mailbox;
  readonly #tx: TxRing;
  readonly #rx: RxRing;
  #paused = false;
  #stopped = false;
  #ticking = false;
  /** VFGEN_RSTAT has said for one tick that the reset is complete: what is left is the PF driver's. */
  onResetDone: () => void = () => {};

  constructor(state: VfState, environment: VfEnvironment) {
    const memory = new GuestMemory(environment.memory);
    this.#state = state;
    this.#interrupts = new Interrupts(state, environment);
    this.#registers = new Registers(state, this.#interrupts);
    this.#mailbox = new Mailbox(state, memory, this.#interrupts);
    this.#tx = new TxRing(state, memory, this.#interrupts, environment);
    this.#rx = new RxRing(state, memory, this.#interrupts);
  }

  /** Takes the messages of the guest. The payload is its own. */
  set onMessage(take: (opcode: number, payload: Uint8Array) => void) {
    this.#mailbox.onMessage = take;
  }

  get paused(): boolean {
    return this.#paused;
  }

  set paused(paused: boolean) {
    this.#paused = paused;
    this.#interrupts.held = paused;
    if (!paused) this.#interrupts.sendPending();
  }

  /** The rings were stopped by `drainAndStop`. */
  get stopped(): boolean {
    return this.#stopped;
  }

  readRegister(offset: number): number {
    return this.#registers.read(offset);
  }

  writeRegister(offset: number, value: number): void {
    this.#registers.write(offset, value);
  }

  tick(budget: number): number {
    if (this.#paused || this.#ticking) return 0;
    this.#ticking = true;
    try {
      this.#interrupts.sendPending();
      this.#advanceReset();
      return this.#mailbox.process(budget) + this.#processTx(budget);
    } finally {
      this.#ticking = false;
    }
  }

  receive(frame: Uint8Array): boolean {
    if (this.#paused || this.#stopped || !isFrame(frame) || !isForVf(this.#state, frame)) return false;
    return this.#rx.receive(frame);
  }

  drainAndStop(): void {
    if (this.#stopped) return;
    this.#processTx(Number.POSITIVE_INFINITY);
    this.#stopped = true;
  }

  restart(): void {
    this.#stopped = false;
  }

  sendToVf(opcode: number, status: number, payload: Uint8Array): boolean {
    return !this.#paused && this.#mailbox.send(opcode, status, payload);
  }

  /** The guest sees a reset in stages, one a tick: in progress, completed, and active when the PF is done. */
  #advanceReset(): void {
    if (this.#state.rstat === VFGEN_RSTAT.IN_PROGRESS) this.#state.rstat = VFGEN_RSTAT.COMPLETED;
    else if (this.#state.rstat === VFGEN_RSTAT.COMPLETED) this.onResetDone();
  }

  #processTx(budget: number): number {
    let used = 0;
    for (let index = 0; index < VF_LIMITS.queues && !this.#stopped; index++)
      used += this.#tx.process(this.#state.tx[index]!, budget);
    return used;
  }
}
