import type { Linux } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import { VHOST_USER_STATE_REPLY, VHOST_USER_TRANSFER, VhostUserTransfer } from '../uapi/vhost-user.js';
import { closeFds } from './connection.js';
import type { Exchange } from './exchange.js';
import { readU64 } from './messages.js';
import { readToEnd, writeWhole } from './pipes.js';

/** The front end's side of a device state transfer: a pipe, whose other end goes to the back end. */
export class StateTransfer {
  readonly #linux: Linux;
  readonly #timeoutMs: number;
  readonly #largest: number;

  constructor(linux: Linux, { timeoutMs, largest }: { timeoutMs: number; largest: number }) {
    this.#linux = linux;
    this.#timeoutMs = timeoutMs;
    this.#largest = largest;
  }

  /** SET_DEVICE_STATE_FD, read to the end, CHECK_DEVICE_STATE. */
  async save(exchange: Exchange, direction: number): Promise<Uint8Array> {
    const [read, write] = this.#linux.pipe();
    const mine = [read];
    try {
      await this.#begin(exchange, direction, mine, write);
      const options = { largest: this.#largest, timeoutMs: this.#timeoutMs };
      const state = await readToEnd(this.#linux, mine[0]!, options);
      await this.#check(exchange);
      return state;
    } finally {
      closeFds(this.#linux, mine);
    }
  }

  /** SET_DEVICE_STATE_FD, written and closed, CHECK_DEVICE_STATE. */
  async load(exchange: Exchange, direction: number, state: Uint8Array): Promise<void> {
    const [read, write] = this.#linux.pipe();
    const mine = [write];
    try {
      await this.#begin(exchange, direction, mine, read);
      await writeWhole(this.#linux, mine[0]!, state, { timeoutMs: this.#timeoutMs });
    } finally {
      closeFds(this.#linux, mine);
    }
    await this.#check(exchange);
  }

  /** Sends the other end away. A descriptor that the back end answers with takes the place of mine. */
  async #begin(exchange: Exchange, direction: number, mine: number[], theirs: number): Promise<void> {
    const given: number[] = [];
    try {
      const payload = VhostUserTransfer.encode({ direction, phase: VHOST_USER_TRANSFER.PHASE_STOPPED });
      const reply = await exchange.ask('SET_DEVICE_STATE_FD', payload, [theirs], given);
      const word = readU64(reply, 'the answer to SET_DEVICE_STATE_FD');
      const error = Number(word & BigInt(VHOST_USER_STATE_REPLY.ERROR_MASK));
      if (error !== 0)
        throw new DeviceError('EREMOTEIO', `the back end has failed SET_DEVICE_STATE_FD (error ${error})`);
      const hasFd = (word & BigInt(VHOST_USER_STATE_REPLY.NO_FD)) === 0n;
      if (hasFd !== (given.length === 1))
        throw new DeviceError(
          'EPROTO',
          `the answer to SET_DEVICE_STATE_FD says ${hasFd ? 'a' : 'no'} descriptor and comes with ${given.length}`,
        );
      if (!hasFd) return;
      closeFds(this.#linux, mine);
      mine.push(...given.splice(0));
    } finally {
      closeFds(this.#linux, given);
      this.#linux.close(theirs);
    }
  }

  async #check(exchange: Exchange): Promise<void> {
    exchange.checkStatus('CHECK_DEVICE_STATE', await exchange.ask('CHECK_DEVICE_STATE'));
  }
}
