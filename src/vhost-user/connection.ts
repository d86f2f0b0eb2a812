import type { Linux, Received, Watch } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import { VHOST_USER_MAX_FDS, VHOST_USER_MAX_PAYLOAD, VhostUserHeader } from '../uapi/vhost-user.js';
import { requestName, type VhostUserMessage } from './messages.js';

export interface ConnectionLimits {
  /** Most bytes of a payload. */
  readonly payload: number;
  /** Most descriptors with a message. */
  readonly fds: number;
  /** How long the rest of a message may take, in milliseconds. */
  readonly restMs: number;
}

const LIMITS: ConnectionLimits = { payload: VHOST_USER_MAX_PAYLOAD, fds: VHOST_USER_MAX_FDS, restMs: 5000 };
/** Messages that are taken in one go; then others have their turn. */
const IN_ONE_GO = 64;

/** Closes descriptors that nobody has taken. */
export function closeFds(linux: Linux, fds: number[]): void {
  for (const fd of fds.splice(0)) linux.close(fd);
}

/**
 * One end of a vhost-user socket: whole messages in, whole messages out. A message is read by its header and then
 * its payload, so that descriptors stay with the message that they came with.
 */
export class VhostUserConnection {
  readonly #linux: Linux;
  readonly #fd: number;
  readonly #limits: ConnectionLimits;
  readonly #watch: Watch;
  readonly #header = new Uint8Array(VhostUserHeader.size);
  /** The message at hand: bytes that are there, and descriptors. */
  #bytes = this.#header;
  #filled = 0;
  #fds: number[] = [];
  #taken = 0;
  #failure: DeviceError | null = null;
  #isClosed = false;
  #waiting: { read?: (() => void) | undefined; write?: (() => void) | undefined } = {};

  /** Owns the socket from now on. */
  constructor(linux: Linux, fd: number, limits: Partial<ConnectionLimits> = {}) {
    this.#linux = linux;
    this.#fd = fd;
    this.#limits = { ...LIMITS, ...limits };
    this.#watch = linux.watch(fd, {}, ({ readable, writable, failed }) => {
      const { read, write } = this.#waiting;
      if (readable || failed) this.#waiting.read = undefined;
      if (writable || failed) this.#waiting.write = undefined;
      this.#want();
      if (readable || failed) read?.();
      if (writable || failed) write?.();
    });
  }

  /**
   * The next message, whose descriptors the caller owns. One call at a time.
   * @returns null when the other side has closed, or this one
   * @throws DeviceError EPROTO when what comes is no message; nothing more is read then
   */
  async next(): Promise<VhostUserMessage | null> {
    if (++this.#taken % IN_ONE_GO === 0) await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      if (this.#isClosed) return null;
      if (this.#failure !== null) throw this.#failure;
      try {
        const found = this.#read();
        if (found !== undefined) return found;
      } catch (error) {
        closeFds(this.#linux, this.#fds);
        if (!(error instanceof DeviceError)) throw error;
        if (error.code === 'ECONNRESET') return null;
        this.#failure = error;
        throw error;
      }
      await this.#readable();
    }
  }

  /**
   * Sends a whole message, and waits while the other side takes no more. One call at a time.
   * @param fds go with it, and stay the caller's
   * @throws DeviceError EPIPE when the other side is gone
   */
  async send(bytes: Uint8Array, fds: readonly number[] = []): Promise<void> {
    let rest = bytes;
    let with_ = fds;
    while (rest.length > 0) {
      if (this.#isClosed) throw new DeviceError('EPIPE', 'the connection is closed');
      const sent = this.#linux.sendmsg(this.#fd, rest, with_);
      if (sent !== null) {
        rest = rest.subarray(sent);
        with_ = [];
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#waiting.write = resolve;
        this.#want();
      });
    }
  }

  /** Closes the socket; who waits is woken. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.close();
    this.#linux.close(this.#fd);
    closeFds(this.#linux, this.#fds);
    const { read, write } = this.#waiting;
    this.#waiting = {};
    read?.();
    write?.();
  }

  #want(): void {
    const { read, write } = this.#waiting;
    if (!this.#isClosed) this.#watch.want({ readable: read !== undefined, writable: write !== undefined });
  }

  /**
   * Who sends its own socket along with half of a message, and goes, would be waited for: the socket is open as long
   * as that message is.
   */
  async #readable(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const isBegun = this.#filled > 0;
    await new Promise<void>((resolve) => {
      this.#waiting.read = resolve;
      this.#want();
      if (isBegun) timer = setTimeout(() => this.#fail(resolve), this.#limits.restMs);
    });
    clearTimeout(timer);
  }

  #fail(done: () => void): void {
    const text = `the rest of a message has not come within ${this.#limits.restMs / 1000} s`;
    this.#failure = new DeviceError('EPROTO', text);
    closeFds(this.#linux, this.#fds);
    done();
  }

  /** undefined: it is not whole yet. */
  #read(): VhostUserMessage | null | undefined {
    for (;;) {
      while (this.#filled < this.#bytes.length) {
        const received = this.#linux.recvmsg(this.#fd, this.#bytes.subarray(this.#filled), this.#limits.fds);
        if (received === null) return undefined;
        this.#keep(received);
        if (received.size === 0) return this.#end();
        this.#filled += received.size;
      }
      if (this.#bytes !== this.#header) return this.#finished();
      const { size } = this.#checkedHeader();
      this.#bytes = new Uint8Array(this.#header.length + size);
      this.#bytes.set(this.#header);
    }
  }

  #keep({ fds, cut }: Received): void {
    this.#fds.push(...fds);
    if (cut || this.#fds.length > this.#limits.fds)
      throw new DeviceError('EPROTO', `a message with more than ${this.#limits.fds} descriptors`);
  }

  #end(): null {
    if (this.#filled > 0)
      throw new DeviceError(
        'EPROTO',
        `the connection ended in the midst of a message, after ${this.#filled} bytes`,
      );
    return null;
  }

  #checkedHeader(): { size: number } {
    const { request, size } = VhostUserHeader.decode(this.#header);
    if (size > this.#limits.payload)
      throw new DeviceError('EPROTO', `${requestName(request)} with ${size} bytes of payload`);
    return { size };
  }

  #finished(): VhostUserMessage {
    const [bytes, fds] = [this.#bytes, this.#fds];
    this.#bytes = this.#header;
    this.#filled = 0;
    this.#fds = [];
    const { request, flags } = VhostUserHeader.decode(bytes);
    return { request, flags, payload: bytes.subarray(this.#header.length), fds, bytes };
  }
}
