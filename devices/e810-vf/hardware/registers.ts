import {
  E810_VF_REGISTER_ARRAYS as ARRAYS,
  E810_NO_REGISTER,
  E810_TAIL_MASK,
  E810_VF_REGISTERS as ONCE,
  VF_MAILBOX_INDEX_MASK,
  VF_MAILBOX_LEN,
  VFGEN_RSTAT,
} from 'stopcopy/uapi';
import type { MailboxQueue, VfState } from '../vf-state.js';
import type { Interrupts } from './interrupts.js';

/** One register; without `write` it is read-only. */
interface Register {
  read(): number;
  write?(value: number): void;
}

/** Bits of VF_ATQLEN1 and VF_ARQLEN1 that exist. */
const LEN_BITS =
  (VF_MAILBOX_LEN.LEN_MASK |
    VF_MAILBOX_LEN.VFE |
    VF_MAILBOX_LEN.OVFL |
    VF_MAILBOX_LEN.CRIT |
    VF_MAILBOX_LEN.ENABLE) >>>
  0;

/**
 * BAR 0: 32-bit registers by byte offset. A register holds what was written; hardware acts on it later.
 * Nothing of the state is kept here, so a migration may put new objects into it.
 */
export class Registers {
  readonly #state: VfState;
  readonly #registers = new Map<number, Register>();

  constructor(state: VfState, interrupts: Interrupts) {
    this.#state = state;
    this.#addMailbox();
    this.#addInterrupts(interrupts);
    this.#addTails();
    this.#registers.set(ONCE.VFGEN_RSTAT, { read: () => state.rstat });
  }

  read(offset: number): number {
    return (this.#registers.get(offset)?.read() ?? E810_NO_REGISTER) >>> 0;
  }

  /** While a reset is in progress, no write arrives. */
  write(offset: number, value: number): void {
    if (this.#state.rstat === VFGEN_RSTAT.IN_PROGRESS) return;
    this.#registers.get(offset)?.write?.(value >>> 0);
  }

  #addMailbox(): void {
    const add = (queue: 'atq' | 'arq', field: keyof MailboxQueue, offset: number, mask = 0xffff_ffff) =>
      this.#registers.set(offset, {
        read: () => this.#state[queue][field],
        write: (value) => {
          this.#state[queue][field] = (value & mask) >>> 0;
        },
      });
    add('atq', 'bal', ONCE.VF_ATQBAL1);
    add('atq', 'bah', ONCE.VF_ATQBAH1);
    add('atq', 'len', ONCE.VF_ATQLEN1, LEN_BITS);
    add('atq', 'head', ONCE.VF_ATQH1, VF_MAILBOX_INDEX_MASK);
    add('atq', 'tail', ONCE.VF_ATQT1, VF_MAILBOX_INDEX_MASK);
    add('arq', 'bal', ONCE.VF_ARQBAL1);
    add('arq', 'bah', ONCE.VF_ARQBAH1);
    add('arq', 'len', ONCE.VF_ARQLEN1, LEN_BITS);
    add('arq', 'head', ONCE.VF_ARQH1, VF_MAILBOX_INDEX_MASK);
    add('arq', 'tail', ONCE.VF_ARQT1, VF_MAILBOX_INDEX_MASK);
  }

  #addInterrupts(interrupts: Interrupts): void {
    const state = this.#state;
    const control = (vector: number): Register => ({
      read: () => state.dynCtl[vector]!,
      write: (value) => interrupts.writeControl(vector, value),
    });
    const interval = (index: number, vector: number): Register => ({
      read: () => state.itr[index]![vector]!,
      write: (value) => {
        state.itr[index]![vector] = value;
      },
    });
    this.#registers.set(ONCE.VFINT_ICR01, { read: () => interrupts.readCause() });
    this.#registers.set(ONCE.VFINT_ICR0_ENA1, {
      read: () => state.icr0Ena,
      write: (value) => interrupts.writeCauseEnable(value),
    });
    this.#registers.set(ONCE.VFINT_DYN_CTL01, control(0));
    this.#addArray(ARRAYS.VFINT_DYN_CTLN1, (index) => control(index + 1));
    this.#addArray(ARRAYS.VFINT_ITR01, (index) => interval(index, 0));
    const { offset, count, stride, vectors } = ARRAYS.VFINT_ITRN1;
    for (let index = 0; index < count; index++)
      this.#addArray({ offset: offset + index * stride, count: vectors, stride: 4 }, (vector) =>
        interval(index, vector + 1),
      );
  }

  /** The Tx doorbell cannot be read: 0. Both are 13 bits wide. */
  #addTails(): void {
    const state = this.#state;
    this.#addArray(ARRAYS.QTX_TAIL1, (index) => ({
      read: () => 0,
      write: (value) => {
        state.tx[index]!.tail = value & E810_TAIL_MASK;
      },
    }));
    this.#addArray(ARRAYS.QRX_TAIL1, (index) => ({
      read: () => state.rx[index]!.tail,
      write: (value) => {
        state.rx[index]!.tail = value & E810_TAIL_MASK;
      },
    }));
  }

  #addArray(
    { offset, count, stride }: { offset: number; count: number; stride: number },
    make: (index: number) => Register,
  ): void {
    for (let index = 0; index < count; index++) this.#registers.set(offset + index * stride, make(index));
  }
}
