import type { Linux } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import type { VhostBackend } from '../uapi/vhost-backend.js';
import { VHOST_USER_FLAGS, type VhostUserRequest, vhostUserRequest } from '../uapi/vhost-user.js';
import { type Answer, BackEndRequests } from './back-end-requests.js';
import { closeFds, VhostUserConnection } from './connection.js';
import {
  checkFlags,
  encodeMessage,
  requestForm,
  requestName,
  u64,
  type VhostUserMessage,
} from './messages.js';

/** What a back end offers, and who does its work. */
export interface BackEndOptions {
  /** The answer to GET_QUEUE_NUM; the default is the device's queues. Network devices count pairs. */
  readonly queueNum?: number;
  /** How long a message or a transfer of device state may stand still, in milliseconds; the default is 5000. */
  readonly timeoutMs?: number;
  /** Most bytes of a device state; the default is 256 MiB. */
  readonly largestState?: number;
  /** Ends the session. */
  readonly signal?: AbortSignal;
  /** Sees every message, `b2f` are answers; `fds` is how many descriptors went along. */
  onMessage?(direction: 'f2b' | 'b2f', bytes: Uint8Array, fds: number): void;
  /** A request that was refused. */
  onRefused?(request: string, error: DeviceError): void;
  /** A ring that the device cannot go on with. */
  onBroken?(ring: number, error: DeviceError): void;
}

/** How a session ended. */
export interface Ended {
  /** For people. */
  readonly reason: string;
  /** The front end has closed, between messages. */
  readonly isClean: boolean;
  readonly requests: number;
  readonly refused: number;
}

/**
 * Serves a device to one front end, until that is gone: its memory is mapped, its kicks are the device's, and so are
 * its requests. Requests that break the form of the protocol end the session; so do those that the device refuses
 * where nothing can tell the front end. Guest memory that the front end makes shorter later ends the process, as it
 * does with any other back end. The device is closed at the end.
 * @param fd the connected socket, which is owned from now on
 */
export async function serveVhostUser(
  linux: Linux,
  fd: number,
  device: VhostBackend,
  options: BackEndOptions = {},
): Promise<Ended> {
  const session = new Session(linux, fd, device, options);
  try {
    return await session.run();
  } finally {
    await session.close();
  }
}

class Session {
  readonly #linux: Linux;
  readonly #connection: VhostUserConnection;
  readonly #device: VhostBackend;
  readonly #options: BackEndOptions;
  readonly #requests: BackEndRequests;
  readonly #end = (): void => this.#connection.close();
  #count = 0;
  #refused = 0;

  constructor(linux: Linux, fd: number, device: VhostBackend, options: BackEndOptions) {
    this.#linux = linux;
    this.#connection = new VhostUserConnection(linux, fd, { restMs: options.timeoutMs ?? 5000 });
    this.#device = device;
    this.#options = options;
    this.#requests = new BackEndRequests(linux, device, options);
    options.signal?.addEventListener('abort', this.#end);
    if (options.signal?.aborted) this.#end();
  }

  async run(): Promise<Ended> {
    try {
      for (let message = await this.#next(); message !== null; message = await this.#next()) {
        try {
          await this.#take(message);
        } finally {
          closeFds(this.#linux, message.fds);
        }
      }
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      return this.#ended(error.message, false);
    }
    return this.#ended('the front end has closed the connection', true);
  }

  async close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#end);
    this.#connection.close();
    await this.#requests.stop();
    await this.#device.close();
    this.#requests.unmap();
  }

  #ended(reason: string, isClean: boolean): Ended {
    return { reason, isClean, requests: this.#count, refused: this.#refused };
  }

  async #next(): Promise<VhostUserMessage | null> {
    const message = await this.#connection.next();
    if (message !== null) this.#options.onMessage?.('f2b', message.bytes, message.fds.length);
    return message;
  }

  async #take(message: VhostUserMessage): Promise<void> {
    checkFlags(message, false);
    this.#count++;
    const name = vhostUserRequest(message.request);
    try {
      if (name === undefined || requestForm(name) === undefined)
        throw new DeviceError('EOPNOTSUPP', `${requestName(message.request)} is not served`);
      const answer = await this.#requests.perform(name, message);
      if (answer !== undefined) await this.#reply(message, answer);
      else if (this.#wantsAck(message)) await this.#reply(message, { payload: u64(0) });
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#refused++;
      this.#options.onRefused?.(requestName(message.request), error);
      await this.#refuse(name, message, error);
    }
  }

  /** @throws DeviceError the same, when the front end could not be told */
  async #refuse(
    name: VhostUserRequest | undefined,
    message: VhostUserMessage,
    error: DeviceError,
  ): Promise<void> {
    // Who breaks the form, or is gone, is not answered.
    if (error.code === 'EPROTO' || error.code === 'EPIPE') throw error;
    const payload = this.#requests.refusal(name, error);
    if (payload !== undefined) return this.#reply(message, { payload });
    const answers = requestForm(name)?.answers === true;
    if (answers || !this.#wantsAck(message)) throw error;
    await this.#reply(message, { payload: u64(error.errno) });
  }

  #wantsAck({ flags }: VhostUserMessage): boolean {
    return (flags & VHOST_USER_FLAGS.NEED_REPLY) !== 0 && this.#requests.acknowledges;
  }

  /** The descriptor of an answer is closed here when it has gone. */
  async #reply({ request }: VhostUserMessage, { payload, fd }: Answer): Promise<void> {
    const fds = fd === undefined ? [] : [fd];
    const bytes = encodeMessage(request, VHOST_USER_FLAGS.REPLY, payload);
    this.#options.onMessage?.('b2f', bytes, fds.length);
    try {
      await this.#connection.send(bytes, fds);
    } finally {
      closeFds(this.#linux, fds);
    }
  }
}
