import type { Linux } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import { VHOST_USER_FLAGS, VHOST_USER_REQUESTS, type VhostUserRequest } from '../uapi/vhost-user.js';
import { closeFds, type VhostUserConnection } from './connection.js';
import { checkFlags, encodeMessage, readU64, requestName, type VhostUserMessage } from './messages.js';

/** Requests and their answers, which carry no number: one at a time, in the order of the calls. */
export class Exchange {
  /** REPLY_ACK is negotiated: requests without an answer of their own are acknowledged. */
  acknowledged = false;
  readonly #linux: Linux;
  readonly #connection: VhostUserConnection;
  readonly #timeoutMs: number;
  #last: Promise<unknown> = Promise.resolve();
  /** Why nothing more can be asked. */
  #over: DeviceError | null = null;

  constructor(linux: Linux, connection: VhostUserConnection, timeoutMs: number) {
    this.#linux = linux;
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * A request without an answer of its own.
   * @throws DeviceError EREMOTEIO when the back end acknowledges it with a failure
   */
  tell(request: VhostUserRequest, payload?: Uint8Array, fds: readonly number[] = []): Promise<void> {
    return this.#turn(async () => {
      const { acknowledged } = this;
      const flags = acknowledged ? VHOST_USER_FLAGS.NEED_REPLY : 0;
      await this.#send(request, flags, payload, fds);
      if (acknowledged) this.checkStatus(request, await this.#answer(request, []));
    });
  }

  /**
   * A request with an answer; returns its payload.
   * @param received takes the descriptors of the answer, which are the caller's then
   */
  ask(
    request: VhostUserRequest,
    payload?: Uint8Array,
    fds: readonly number[] = [],
    received?: number[],
  ): Promise<Uint8Array> {
    return this.#turn(async () => {
      await this.#send(request, 0, payload, fds);
      return this.#answer(request, received);
    });
  }

  async askU64(request: VhostUserRequest): Promise<bigint> {
    return readU64(await this.ask(request), `the answer to ${request}`);
  }

  /** @throws DeviceError EREMOTEIO when a status is not 0 */
  checkStatus(request: VhostUserRequest, payload: Uint8Array): void {
    const status = readU64(payload, `the answer to ${request}`);
    if (status !== 0n)
      throw new DeviceError('EREMOTEIO', `the back end has failed ${request} (status ${status})`);
  }

  /** @throws DeviceError EPROTO when an answer has another size */
  checkSize(request: VhostUserRequest, payload: Uint8Array, size: number): Uint8Array {
    if (payload.length === size) return payload;
    throw new DeviceError('EPROTO', `the answer to ${request} has ${payload.length} bytes, not ${size}`);
  }

  close(): void {
    this.#over ??= new DeviceError('ENOTCONN', 'the connection was closed');
    this.#connection.close();
  }

  #turn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      if (this.#over !== null) throw this.#over;
      return work();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #send(
    request: VhostUserRequest,
    flags: number,
    payload: Uint8Array | undefined,
    fds: readonly number[],
  ): Promise<void> {
    const sent = this.#connection.send(encodeMessage(request, flags, payload), fds);
    try {
      await this.#inTime(sent, `has not taken ${request}`);
    } catch (error) {
      throw this.#end(error);
    }
  }

  async #answer(request: VhostUserRequest, received: number[] | undefined): Promise<Uint8Array> {
    try {
      const message = await this.#inTime(this.#connection.next(), `has not answered ${request}`);
      if (message === null)
        throw new DeviceError('EPIPE', `the back end has gone instead of answering ${request}`);
      if (received === undefined) closeFds(this.#linux, message.fds);
      else received.push(...message.fds);
      return this.#checked(request, message);
    } catch (error) {
      throw this.#end(error);
    }
  }

  #checked(request: VhostUserRequest, message: VhostUserMessage): Uint8Array {
    checkFlags(message, true);
    if (message.request === VHOST_USER_REQUESTS[request]) return message.payload;
    throw new DeviceError('EPROTO', `${request} was answered with ${requestName(message.request)}`);
  }

  /** After a failure of the connection itself, answers and questions no longer belong together. */
  #end(error: unknown): unknown {
    if (error instanceof DeviceError) this.#over ??= error;
    this.#connection.close();
    return error;
  }

  async #inTime<T>(work: Promise<T>, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new DeviceError('ETIMEDOUT', `the back end ${what} within ${this.#timeoutMs / 1000} s`)),
        this.#timeoutMs,
      );
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
      // When it was too late, whatever comes of it is nobody's.
      work.catch(() => {});
    }
  }
}
