import { Socket, type SocketConstructorOpts } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Channel, Take } from './channel.js';
import { closedHere, quiet, TransportError, transportError } from './error.js';
import { Inbox } from './inbox.js';

/** Bytes that may be sent without a pause before all others get a turn. */
const TURN = 1 << 23;

/** A channel over one socket, or over one for each direction. */
export class SocketChannel implements Channel {
  readonly name: string;
  readonly #inbox: Inbox;
  readonly #input: Socket | undefined;
  readonly #output: Socket | undefined;
  #bytesWritten = 0;
  #failure: TransportError | undefined;
  #ended: Promise<void> | undefined;
  /** Bytes sent at once since others had a turn. */
  #streak = 0;
  #pending = new Set<(error: TransportError) => void>();

  /**
   * @param inbox of `input`
   * @param input paused, half-open allowed; absent for a channel that only writes
   * @param output absent for a channel that only reads
   */
  constructor(name: string, inbox: Inbox, input: Socket | undefined, output: Socket | undefined) {
    this.name = name;
    this.#inbox = inbox;
    this.#input = input;
    this.#output = output;
    for (const socket of new Set([input, output])) {
      // An 'error' without a listener would end the process. 'close' follows it, and destroy().
      socket?.on('error', (error) => this.#broken(socket, error));
      socket?.on('close', () => this.#closed(socket));
    }
    // A pipe has no other half that would close it.
    if (input !== output) input?.on('end', () => input.destroy());
  }

  get duplex(): boolean {
    return this.#input !== undefined && this.#output !== undefined;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  readonly write = (bytes: Uint8Array): void | Promise<void> => {
    if (bytes.length === 0 && this.#failure === undefined) return;
    return this.#send(bytes.length, (socket, done) => socket.write(bytes, done));
  };

  writev(pieces: readonly Uint8Array[]): void | Promise<void> {
    const parts = pieces.filter(({ length }) => length > 0);
    const last = parts.pop();
    if (last === undefined) return;
    const size = parts.reduce((sum, { length }) => sum + length, last.length);
    return this.#send(size, (socket, done) => {
      socket.cork();
      for (const part of parts) socket.write(part);
      socket.write(last, done);
      socket.uncork();
    });
  }

  receive(take: Take): Promise<void> {
    if (this.#input === undefined) {
      return Promise.reject(new TransportError(`${this.name}: it can only be written`, { code: 'EBADF' }));
    }
    return this.#inbox.receive(take);
  }

  end(): Promise<void> {
    this.#ended ??= quiet(this.#end());
    return this.#ended;
  }

  destroy(): void {
    const error = closedHere(this.name);
    this.#fail(error);
    this.#inbox.over(error);
    this.#input?.destroy();
  }

  #end(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const socket = this.#output;
    if (socket === undefined) return Promise.resolve();
    return this.#tracked((done) => socket.end(done)).then(() => {
      if (socket !== this.#input) socket.destroy();
    });
  }

  #send(
    size: number,
    write: (socket: Socket, done: (error?: Error | null) => void) => void,
  ): void | Promise<void> {
    if (this.#failure !== undefined) return quiet(Promise.reject(this.#failure));
    const socket = this.#output;
    if (socket === undefined) {
      return quiet(
        Promise.reject(new TransportError(`${this.name}: it can only be read`, { code: 'EBADF' })),
      );
    }
    if (this.#ended !== undefined) {
      return quiet(Promise.reject(new TransportError(`${this.name}: its end was sent already`)));
    }
    const sent = this.#tracked((done) => write(socket, done));
    if (socket.writableLength > 0 || socket.destroyed || this.#failure !== undefined) {
      return quiet(
        sent.then(() => {
          this.#bytesWritten += size;
        }),
      );
    }
    // The system took all of it in the same call: there is nothing to wait for.
    this.#bytesWritten += size;
    this.#streak += size;
    if (this.#streak < TURN) return;
    this.#streak = 0;
    return nextTurn();
  }

  /** Runs an operation with a callback; its promise also rejects when the channel fails meanwhile. */
  #tracked(run: (done: (error?: Error | null) => void) => void): Promise<void> {
    return quiet(
      new Promise<void>((resolve, reject) => {
        this.#pending.add(reject);
        run((error) => {
          this.#pending.delete(reject);
          // After destroy() Node reports success for what was on its way.
          if (error) this.#fail(error);
          if (this.#failure !== undefined) reject(this.#failure);
          else resolve();
        });
      }),
    );
  }

  /** The first failure ends all that is sent. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = transportError(this.name, error);
    for (const reject of this.#pending) reject(this.#failure);
    this.#pending.clear();
    this.#output?.destroy();
  }

  #broken(socket: Socket, error: Error): void {
    if (socket === this.#output) this.#fail(error);
    if (socket === this.#input) this.#inbox.over(transportError(this.name, error));
  }

  #closed(socket: Socket): void {
    if (socket === this.#output && this.#ended === undefined) this.#fail(closedHere(this.name));
    if (socket === this.#input) this.#inbox.over(this.#failure ?? closedHere(this.name));
  }
}

/** The part of a socket's insides that is needed to give it a read buffer after it was made. */
interface Insides {
  _handle?: { useUserBuffer?: unknown; reading?: boolean; readStop?: () => number } | null;
}

/**
 * A channel over a socket that Node made, of a server or of a child process, which nobody has read from.
 * Only a new socket can be given a read buffer, so the connection is moved to one; where a Node should
 * not allow that, the socket is read as it is, which is slower.
 */
export function adopt(name: string, made: Socket): { inbox: Inbox; socket: Socket } {
  const inbox = new Inbox(name);
  const insides = made as unknown as Insides;
  const handle = insides._handle;
  if (typeof handle?.useUserBuffer !== 'function' || typeof handle.readStop !== 'function') {
    inbox.attach(made, true);
    return { inbox, socket: made };
  }
  handle.readStop();
  handle.reading = false;
  insides._handle = null;
  made.destroy();
  const options = { handle, allowHalfOpen: true, onread: inbox.onread };
  const socket = new Socket(options as SocketConstructorOpts).pause();
  inbox.attach(socket);
  return { inbox, socket };
}
