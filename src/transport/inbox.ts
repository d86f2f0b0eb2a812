import type { Socket } from 'node:net';
import type { Take } from './channel.js';
import { TransportError } from './error.js';

/** Bytes of the buffer that a socket is read into. */
const BLOCK = 1 << 18;

/**
 * What comes in over one socket. Node reads straight into one buffer (`onread`): several times as fast as
 * `data` events, which get a new buffer of 64 KiB each.
 */
export class Inbox {
  /** For the options of a socket that is to be made. */
  readonly onread: { buffer: Uint8Array; callback: (length: number, buffer: Uint8Array) => boolean };
  readonly #name: string;
  #socket: Socket | undefined;
  #take: Take | undefined;
  #settle: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  /** How it has ended: with `null` in good order. */
  #over: { error: unknown } | undefined;

  constructor(name: string) {
    this.#name = name;
    this.onread = {
      buffer: Buffer.allocUnsafeSlow(BLOCK),
      callback: (length, buffer) => this.#give(buffer.subarray(0, length)),
    };
  }

  /** Follows a paused socket; `plain` when it was made without `onread`. */
  attach(socket: Socket, plain = false): void {
    this.#socket = socket;
    if (plain) {
      socket.on('data', (block: Buffer) => {
        if (!this.#give(block)) socket.pause();
      });
      // A listener of 'data' starts the flow.
      socket.pause();
    }
    socket.on('end', () => this.over(null));
  }

  /** Ends `receive`: with `null` in good order. The first time counts. */
  over(error: unknown): void {
    if (this.#over !== undefined) return;
    this.#over = { error };
    this.#tell();
  }

  receive(take: Take): Promise<void> {
    if (this.#take !== undefined) {
      return Promise.reject(new TransportError(`${this.#name}: its bytes are received already`));
    }
    this.#take = take;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      if (this.#over !== undefined) this.#tell();
      else this.#socket?.resume();
    });
  }

  #tell(): void {
    if (this.#over === undefined || this.#settle === undefined) return;
    const { resolve, reject } = this.#settle;
    this.#settle = undefined;
    if (this.#over.error === null) resolve();
    else reject(this.#over.error);
  }

  /** False: the socket is to pause. */
  #give(block: Uint8Array): boolean {
    if (this.#over !== undefined || this.#take === undefined) return false;
    try {
      const busy = this.#take(block);
      if (busy === undefined) return true;
      busy.then(
        () => {
          if (this.#over === undefined) this.#socket?.resume();
        },
        (error: unknown) => this.over(error),
      );
    } catch (error) {
      this.over(error);
    }
    return false;
  }
}
