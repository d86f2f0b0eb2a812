import type { Linux } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import type { VhostBackend } from '../uapi/vhost-backend.js';
import { VHOST_USER_TRANSFER, VhostUserTransfer } from '../uapi/vhost-user.js';
import { readToEnd, writeWhole } from './pipes.js';

/** The back end's side of device state transfers: one at a time, beside the requests. */
export class BackEndState {
  readonly #linux: Linux;
  readonly #device: VhostBackend;
  readonly #options: { timeoutMs: number; largest: number; signal: AbortSignal };
  readonly #closing = new AbortController();
  /** null: nothing was asked for. */
  #transfer: { readonly done: Promise<DeviceError | null>; isMoving: boolean } | null = null;

  constructor(linux: Linux, device: VhostBackend, options: { timeoutMs: number; largest: number }) {
    this.#linux = linux;
    this.#device = device;
    this.#options = { ...options, signal: this.#closing.signal };
  }

  /**
   * SET_DEVICE_STATE_FD. Takes the descriptor out of `fds`.
   * @throws DeviceError EBUSY while another transfer goes on; EINVAL: no such transfer; and the device's own
   */
  async begin(payload: Uint8Array, fds: number[]): Promise<void> {
    const { direction, phase } = VhostUserTransfer.decode(payload);
    const { SAVE, LOAD, PHASE_STOPPED } = VHOST_USER_TRANSFER;
    if (phase !== PHASE_STOPPED || (direction !== SAVE && direction !== LOAD))
      throw new DeviceError('EINVAL', `a transfer of direction ${direction} in phase ${phase}`);
    if (this.#transfer?.isMoving === true) throw new DeviceError('EBUSY', 'another state transfer goes on');
    const state = direction === SAVE ? await this.#device.saveState() : null;
    const fd = fds[0]!;
    // One that cannot be waited for is refused while that can be said.
    this.#linux.watch(fd, {}, () => {}).close();
    fds.splice(0);
    const transfer = { isMoving: true, done: Promise.resolve<DeviceError | null>(null) };
    const moved = state === null ? this.#load(fd) : writeWhole(this.#linux, fd, state, this.#options);
    transfer.done = moved
      .then(() => null, refusal)
      .finally(() => {
        transfer.isMoving = false;
        if (state !== null) this.#linux.close(fd);
      });
    transfer.done.catch(() => {});
    this.#transfer = transfer;
  }

  /** CHECK_DEVICE_STATE: waits until the transfer is done. @throws DeviceError when it failed, or there was none */
  async check(): Promise<void> {
    if (this.#transfer === null) throw new DeviceError('EINVAL', 'CHECK_DEVICE_STATE without a transfer');
    const failure = await this.#transfer.done;
    this.#transfer = null;
    if (failure !== null) throw failure;
  }

  /** Gives a transfer up. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#transfer?.done;
  }

  async #load(fd: number): Promise<void> {
    let state: Uint8Array;
    try {
      state = await readToEnd(this.#linux, fd, this.#options);
    } finally {
      this.#linux.close(fd);
    }
    await this.#device.loadState(state);
  }
}

function refusal(error: unknown): DeviceError {
  if (error instanceof DeviceError) return error;
  throw error;
}
