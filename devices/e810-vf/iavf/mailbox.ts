import type { GuestMemory } from 'stopcopy/migrate';
import {
  E810MailboxDescriptor,
  E810_MAILBOX_FLAGS as FLAGS,
  VF_MAILBOX_LEN as LEN,
  E810_MAILBOX_LIMITS as LIMITS,
  E810_MAILBOX_OPCODE as OPCODE,
  E810_VF_REGISTERS as REGISTERS,
} from 'stopcopy/uapi';
import type { ControlBlock } from './control-block.js';
import { addressIn, MAILBOX, MAILBOX_DATA, type RamLayout } from './ram-layout.js';
import { Stamps, turnOf } from './stamps.js';

/** The device as the guest reaches it: BAR0, 32 bits at a time. */
export interface Registers {
  readRegister(offset: number): number;
  writeRegister(offset: number, value: number): void;
}

/** A message of the PF driver. */
export interface PfMessage {
  readonly opcode: number;
  /** virtchnl status, negative for an error. */
  readonly status: number;
  readonly payload: Uint8Array;
}

type QueueRegisters = Readonly<Record<'head' | 'tail' | 'len' | 'bal' | 'bah', number>>;

const ATQ: QueueRegisters = {
  head: REGISTERS.VF_ATQH1,
  tail: REGISTERS.VF_ATQT1,
  len: REGISTERS.VF_ATQLEN1,
  bal: REGISTERS.VF_ATQBAL1,
  bah: REGISTERS.VF_ATQBAH1,
};
const ARQ: QueueRegisters = {
  head: REGISTERS.VF_ARQH1,
  tail: REGISTERS.VF_ARQT1,
  len: REGISTERS.VF_ARQLEN1,
  bal: REGISTERS.VF_ARQBAL1,
  bah: REGISTERS.VF_ARQBAH1,
};
const ERRORS = LEN.VFE | LEN.OVFL | LEN.CRIT;

const EMPTY = {
  flags: 0,
  opcode: 0,
  datalen: 0,
  retval: 0,
  cookie_high: 0,
  cookie_low: 0,
  param0: 0,
  param1: 0,
  addr_high: 0,
  addr_low: 0,
};
const SCRUBBED = E810MailboxDescriptor.encode(EMPTY);

/** Both mailbox queues from the guest's side, in the manner of `iavf_adminq.c`. */
export class Mailbox {
  readonly #memory: GuestMemory;
  readonly #registers: Registers;
  readonly #layout: RamLayout;
  readonly #stamps: Stamps;
  readonly #descriptor = new Uint8Array(MAILBOX.descriptor);

  constructor(memory: GuestMemory, registers: Registers, layout: RamLayout) {
    this.#memory = memory;
    this.#registers = registers;
    this.#layout = layout;
    this.#stamps = new Stamps(memory);
  }

  /** Sets both queues up from their beginning. @returns false when the device did not take an address */
  init(block: ControlBlock): boolean {
    block.atqUsed = 0;
    block.atqCleaned = 0;
    block.arqCleaned = 0;
    const { atq, arq } = this.#layout;
    for (let index = 0; index < MAILBOX.length; index++) {
      this.#memory.write(addressIn(atq.ring, index), SCRUBBED);
      this.#stamps.put(addressIn(atq.buffers, index + 1), 0);
      this.#post(index, 1);
    }
    const sent = this.#setUp(ATQ, atq.ring.start);
    const received = this.#setUp(ARQ, arq.ring.start);
    this.#registers.writeRegister(ARQ.tail, MAILBOX.length - 1);
    return sent && received;
  }

  #setUp(at: QueueRegisters, base: number): boolean {
    const { addr_high, addr_low } = addressWords(base);
    this.#registers.writeRegister(at.head, 0);
    this.#registers.writeRegister(at.tail, 0);
    this.#registers.writeRegister(at.len, (MAILBOX.length | LEN.ENABLE) >>> 0);
    this.#registers.writeRegister(at.bal, addr_low);
    this.#registers.writeRegister(at.bah, addr_high);
    return this.#registers.readRegister(at.bal) === addr_low;
  }

  /** iavf's reset detector: the device has cleared ENABLE of the receive queue. */
  get isDown(): boolean {
    return (this.#registers.readRegister(ARQ.len) & LEN.ENABLE) === 0;
  }

  /** Takes error bits of either queue away, as iavf does. @returns the queues that had any, in words, or null */
  takeErrors(): string | null {
    const names = [{ name: 'send', at: ATQ } as const, { name: 'receive', at: ARQ } as const].flatMap(
      ({ name, at }) => {
        const length = this.#registers.readRegister(at.len);
        if ((length & ERRORS) === 0) return [];
        this.#registers.writeRegister(at.len, (length & ~ERRORS) >>> 0);
        return [`${name} queue (0x${(length & ERRORS).toString(16)})`];
      },
    );
    return names.length === 0 ? null : `the mailbox tells an error of its ${names.join(' and its ')}`;
  }

  /** Sends a message. There is never more than one under way, so the queue always has room. */
  send(block: ControlBlock, opcode: number, payload: Uint8Array): void {
    const { ring, buffers } = this.#layout.atq;
    const index = block.atqUsed % MAILBOX.length;
    const buffer = addressIn(buffers, index);
    if (payload.length > 0) this.#memory.write(buffer, payload);
    block.atqUsed = (block.atqUsed + 1) >>> 0;
    this.#stamps.put(buffer + MAILBOX.buffer, turnOf(index, block.atqUsed, MAILBOX.length));
    const large = payload.length > LIMITS.smallBuffer ? FLAGS.LB : 0;
    this.#memory.write(
      addressIn(ring, index),
      E810MailboxDescriptor.encode({
        ...EMPTY,
        flags: FLAGS.SI | (payload.length > 0 ? FLAGS.BUF | FLAGS.RD | large : 0),
        opcode: OPCODE.SEND_MSG_TO_PF,
        datalen: payload.length,
        cookie_high: opcode,
        ...(payload.length > 0 ? addressWords(buffer) : {}),
      }),
    );
    this.#registers.writeRegister(ATQ.tail, block.atqUsed % MAILBOX.length);
  }

  /** Takes back what the device has sent. @returns words when the device went on and the descriptor did not */
  cleanSent(block: ControlBlock): string | null {
    while (block.atqCleaned !== block.atqUsed) {
      const index = block.atqCleaned % MAILBOX.length;
      const at = addressIn(this.#layout.atq.ring, index);
      this.#memory.read(at, this.#descriptor);
      if ((E810MailboxDescriptor.decode(this.#descriptor).flags & FLAGS.DD) === 0) {
        const head = this.#registers.readRegister(ATQ.head) % MAILBOX.length;
        return head === index ? null : `the mailbox has sent message ${index} and not written it back`;
      }
      this.#memory.write(at, SCRUBBED);
      block.atqCleaned = (block.atqCleaned + 1) >>> 0;
    }
    return null;
  }

  /** Whether there is a message of the PF driver to take. */
  hasMessage(block: ControlBlock): boolean {
    this.#memory.read(addressIn(this.#layout.arq.ring, block.arqCleaned % MAILBOX.length), this.#descriptor);
    return (E810MailboxDescriptor.decode(this.#descriptor).flags & FLAGS.DD) !== 0;
  }

  /** Takes the next message of the PF driver and gives its buffer back; words when it cannot be had. */
  receive(block: ControlBlock): PfMessage | string | null {
    const { ring, buffers } = this.#layout.arq;
    const index = block.arqCleaned % MAILBOX.length;
    this.#memory.read(addressIn(ring, index), this.#descriptor);
    const { flags, datalen, cookie_high, cookie_low } = E810MailboxDescriptor.decode(this.#descriptor);
    if ((flags & FLAGS.DD) === 0) {
      const head = this.#registers.readRegister(ARQ.head) % MAILBOX.length;
      return head === index ? null : `the mailbox has received message ${index} and it is not in guest RAM`;
    }
    const payload = new Uint8Array(Math.min(datalen, MAILBOX_DATA));
    this.#memory.read(addressIn(buffers, index), payload);
    block.arqCleaned = (block.arqCleaned + 1) >>> 0;
    this.#post(index, 1 + turnOf(index, block.arqCleaned, MAILBOX.length));
    this.#registers.writeRegister(ARQ.tail, index);
    return { opcode: cookie_high, status: cookie_low | 0, payload };
  }

  #post(index: number, turn: number): void {
    const buffer = addressIn(this.#layout.arq.buffers, index);
    this.#stamps.put(buffer + MAILBOX.buffer, turn);
    this.#memory.write(
      addressIn(this.#layout.arq.ring, index),
      E810MailboxDescriptor.encode({
        ...EMPTY,
        flags: FLAGS.BUF | FLAGS.LB,
        datalen: MAILBOX_DATA,
        ...addressWords(buffer),
      }),
    );
  }

  /** What differs from what the driver left in either queue, in words; null when nothing does. */
  audit(block: ControlBlock): string | null {
    const { atq, arq } = this.#layout;
    for (let index = 0; index < MAILBOX.length; index++) {
      const before = (block.atqUsed - 1 - index + MAILBOX.length) % MAILBOX.length;
      const under = before < block.atqUsed - block.atqCleaned;
      this.#memory.read(addressIn(atq.ring, index), this.#descriptor);
      if ((Buffer.compare(this.#descriptor, SCRUBBED) !== 0) !== under)
        return `mailbox send descriptor ${index}`;
      const sent = turnOf(index, block.atqUsed, MAILBOX.length);
      if (!this.#stamps.holds(addressIn(atq.buffers, index + 1), sent)) return `mailbox send buffer ${index}`;
      const posted = 1 + turnOf(index, block.arqCleaned, MAILBOX.length);
      if (!this.#stamps.holds(addressIn(arq.buffers, index + 1), posted))
        return `mailbox receive buffer ${index}`;
    }
    return null;
  }
}

const addressWords = (address: number) => ({
  addr_high: Math.floor(address / 2 ** 32),
  addr_low: address % 2 ** 32,
});
