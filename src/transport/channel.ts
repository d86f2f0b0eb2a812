/** What all kinds of channel have in common. */
import type { ByteSink } from '../stream/output.js';
import { TransportError } from './error.js';
import type { MigrationUri } from './uri.js';

/** Takes received bytes. They are valid until it returns, or its promise is done. */
export type Take = (block: Uint8Array) => void | Promise<void>;

/** A way for bytes to another process, or into or out of a file. */
export interface Channel {
  /** For messages: the URI, or the address of the peer. */
  readonly name: string;
  /** Whether bytes can go both ways; only then there can be a return path. */
  readonly duplex: boolean;
  /** Bytes that the system has taken over. */
  readonly bytesWritten: number;
  /**
   * Sends bytes. Returns nothing when the system took them at once, else a promise; the bytes must stay
   * as they are until then. Whoever waits bounds the memory: nothing is copied, and what was not waited
   * for queues up. Works without `this`.
   *
   * The promise rejects with a `TransportError` when the peer is gone or the channel is closed; one that
   * nobody waits for is not an unhandled rejection, the next write tells again.
   */
  readonly write: ByteSink;
  /** Sends several pieces in one system call where the system can; the promise is as that of `write`. */
  writev(pieces: readonly Uint8Array[]): void | Promise<void>;
  /**
   * Gives all that the peer sends to `take`, in a buffer that is used again. While a promise of `take` is
   * pending nothing is read, and so the peer has to wait. May be called once.
   *
   * Resolves at the end of what the peer sends. Rejects with a `TransportError` when the connection
   * breaks or the channel is destroyed, and with what `take` throws; nothing more is read then.
   */
  receive(take: Take): Promise<void>;
  /**
   * Sends what is still due and tells the peer that no more comes; its bytes can still be received.
   * Of `exec:` it also waits for the end of the command, so that what it has to say of a failure is heard.
   */
  end(): Promise<void>;
  /**
   * Closes at once and for good; what was not sent is lost, and what is pending rejects. A peer that still
   * sends may then lose also what it has not read yet: a side that gives up and has told why ends first,
   * and receives until the peer has ended too.
   */
  destroy(): void;
}

/** Waits for channels. */
export interface Listener {
  /** Where it listens, with the actual port. */
  readonly address: MigrationUri;
  /**
   * The next channel, in order of arrival. `exec:`, `fd:` and `file:` have one only.
   * @throws TransportError when the listener is closed, has no more, or `signal` fires
   */
  accept(options?: { signal?: AbortSignal }): Promise<Channel>;
  /** Stops to listen. Channels that were accepted live on, those that were not are dropped. */
  close(): Promise<void>;
}

/** The listener of a kind that has one channel, which is there already. */
export class OneChannelListener implements Listener {
  readonly address: MigrationUri;
  readonly #name: string;
  #channel: Channel | undefined;
  #closed = false;

  constructor(address: MigrationUri, channel: Channel) {
    this.address = address;
    this.#channel = channel;
    this.#name = channel.name;
  }

  async accept({ signal }: { signal?: AbortSignal } = {}): Promise<Channel> {
    if (this.#closed) throw listenerClosed(this.#name);
    if (signal?.aborted) throw waitEnded(this.#name);
    const channel = this.#channel;
    if (channel === undefined) {
      throw new TransportError(
        `${this.#name}: it has a single channel, which is in use; several channels need tcp: or unix:`,
      );
    }
    this.#channel = undefined;
    return channel;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#channel?.destroy();
    this.#channel = undefined;
  }
}

export function listenerClosed(name: string): TransportError {
  return new TransportError(`${name}: the listener is closed`, { code: 'ECANCELED' });
}

export function waitEnded(name: string): TransportError {
  return new TransportError(`${name}: the wait for a connection was ended`, { code: 'ECANCELED' });
}
