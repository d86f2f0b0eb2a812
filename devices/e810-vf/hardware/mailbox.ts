import {
  E810MailboxDescriptor as Descriptor,
  E810_MAILBOX_FLAGS as FLAGS,
  VF_MAILBOX_LEN as LEN,
  E810_MAILBOX_LIMITS as LIMITS,
  E810_MAILBOX_OPCODE as OPCODE,
  E810_MAILBOX_RETVAL as RETVAL,
} from 'stopcopy/uapi';
import type { MailboxQueue, VfState } from '../vf-state.js';
import { addressOf, type GuestMemory } from './guest-memory.js';
import type { Interrupts } from './interrupts.js';

const NO_BYTES = new Uint8Array(0);

/**
 * The mailbox: two rings of descriptors in guest memory. On the ATQ, from VF to PF, the device completes each
 * descriptor by its flags. On the ARQ, from PF to VF, the guest has posted buffers, and the device writes
 * buffer and descriptor. A ring that cannot be used gets CRIT into its length register and stands still
 * until the guest writes that register; a message without a buffer is lost, with OVFL.
 */
export class Mailbox {
  readonly #state: VfState;
  readonly #memory: GuestMemory;
  readonly #interrupts: Interrupts;
  readonly #descriptor = new Uint8Array(Descriptor.size);
  readonly #buffer = new Uint8Array(LIMITS.bufferBytes);
  /** Takes the messages of the guest. The payload is its own. */
  onMessage: (opcode: number, payload: Uint8Array) => void = () => {};

  constructor(state: VfState, memory: GuestMemory, interrupts: Interrupts) {
    this.#state = state;
    this.#memory = memory;
    this.#interrupts = interrupts;
  }

  /** Takes at most `budget` messages of the guest. Returns how many descriptors were used. */
  process(budget: number): number {
    let used = 0;
    // The PF may answer, and may reset the VF: the ring is looked at anew for each message.
    while (used < budget && this.#takeOne()) used++;
    return used;
  }

  /** Puts a message into the ARQ. False: there is no buffer for it, or the ring is off. */
  send(opcode: number, status: number, payload: Uint8Array): boolean {
    const { arq } = this.#state;
    if (!isOn(arq)) return false;
    if (arq.head === arq.tail) return fail(arq, LEN.OVFL);
    const at = addressOf(arq.bah, arq.bal) + arq.head * Descriptor.size;
    if (!this.#memory.read(at, this.#descriptor)) return fail(arq, LEN.CRIT);
    const posted = Descriptor.decode(this.#descriptor);
    const room = posted.flags & FLAGS.BUF ? posted.datalen : 0;
    if (payload.length > room) return fail(arq, LEN.OVFL);
    const buffer = addressOf(posted.addr_high, posted.addr_low);
    if (payload.length > 0 && !this.#memory.write(buffer, payload)) return fail(arq, LEN.CRIT);
    const large = payload.length > LIMITS.smallBuffer ? FLAGS.LB : 0;
    const written = Descriptor.encode({
      ...posted,
      flags: FLAGS.DD | FLAGS.CMP | large | (payload.length > 0 ? FLAGS.BUF : 0),
      opcode: OPCODE.SEND_MSG_TO_VF,
      datalen: payload.length,
      retval: RETVAL.OK,
      cookie_high: opcode >>> 0,
      cookie_low: status >>> 0,
    });
    if (!this.#memory.write(at, written)) return fail(arq, LEN.CRIT);
    arq.head = next(arq);
    this.#interrupts.raiseMailbox();
    return true;
  }

  /** Takes one descriptor of the ATQ: completes it, then hands its message over. */
  #takeOne(): boolean {
    const { atq } = this.#state;
    if (!isOn(atq) || atq.head === atq.tail) return false;
    const at = addressOf(atq.bah, atq.bal) + atq.head * Descriptor.size;
    if (!this.#memory.read(at, this.#descriptor)) return fail(atq, LEN.CRIT);
    const { flags, opcode, datalen, cookie_high, addr_high, addr_low } = Descriptor.decode(this.#descriptor);
    const size = flags & FLAGS.BUF ? datalen : 0;
    const payload = size > 0 && size <= LIMITS.bufferBytes ? this.#buffer.subarray(0, size) : NO_BYTES;
    const retval = this.#refusal(opcode, flags, size, addressOf(addr_high, addr_low), payload);
    this.#complete(at, flags, retval);
    atq.head = next(atq);
    if (retval === RETVAL.OK) this.onMessage(cookie_high, payload.slice());
    return true;
  }

  /** Fetches the message of a descriptor, or says why it is refused. */
  #refusal(opcode: number, flags: number, size: number, address: number, payload: Uint8Array): number {
    if (opcode !== OPCODE.SEND_MSG_TO_PF) return RETVAL.EINVAL;
    if (size > LIMITS.bufferBytes) return RETVAL.E2BIG;
    if (size > LIMITS.smallBuffer && !(flags & FLAGS.LB)) return RETVAL.EINVAL;
    return size === 0 || this.#memory.read(address, payload) ? RETVAL.OK : RETVAL.EFAULT;
  }

  /** Writes flags and retval back; the rest of the descriptor stays as the guest wrote it. */
  #complete(at: number, flags: number, retval: number): void {
    const done = flags | FLAGS.DD | FLAGS.CMP | (retval === RETVAL.OK ? 0 : FLAGS.ERR);
    const view = new DataView(this.#descriptor.buffer);
    view.setUint16(Descriptor.offsets.flags, done, true);
    view.setUint16(Descriptor.offsets.retval, retval, true);
    if (!this.#memory.write(at, this.#descriptor)) fail(this.#state.atq, LEN.CRIT);
  }
}

const length = (queue: MailboxQueue): number => queue.len & LEN.LEN_MASK;

const next = (queue: MailboxQueue): number => (queue.head + 1) % length(queue);

/** Whether the ring runs. Indexes outside of it stop it. */
function isOn(queue: MailboxQueue): boolean {
  if (!(queue.len & LEN.ENABLE) || queue.len & LEN.CRIT) return false;
  const count = length(queue);
  return (queue.head < count && queue.tail < count) || fail(queue, LEN.CRIT);
}

/** Notes an error in the length register. */
function fail(queue: MailboxQueue, bit: number): false {
  queue.len = (queue.len | bit) >>> 0;
  return false;
}
