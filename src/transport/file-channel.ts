import type { Channel, Take } from './channel.js';
import { closedHere, quiet, TransportError, transportError } from './error.js';
import { io, writeAll } from './file-io.js';

/** Bytes that a file is read by. */
const BLOCK = 1 << 20;

/** A file as a channel: one way, in order. It owns the descriptor. */
export class FileChannel implements Channel {
  readonly duplex = false;
  readonly name: string;
  readonly #fd: number;
  readonly #mode: 'read' | 'write';
  /** Where the next bytes go or come from; null: where the descriptor stands. */
  #position: number | null;
  #bytesWritten = 0;
  #failure: TransportError | undefined;
  #ended = false;
  /** Rejects what `receive` has returned. */
  #interrupt: ((error: unknown) => void) | undefined;
  /** The operation that uses the descriptor: it is closed only after it. */
  #busy: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(name: string, fd: number, mode: 'read' | 'write', position: number | null) {
    this.name = name;
    this.#fd = fd;
    this.#mode = mode;
    this.#position = position;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  readonly write = (bytes: Uint8Array): Promise<void> => {
    if (this.#mode === 'write') return this.#next(() => this.#put(bytes));
    return quiet(Promise.reject(new TransportError(`${this.name}: it can only be read`, { code: 'EBADF' })));
  };

  async writev(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces.slice(0, -1)) void this.write(piece);
    const last = pieces.at(-1);
    if (last !== undefined) await this.write(last);
  }

  receive(take: Take): Promise<void> {
    if (this.#mode === 'write') {
      return Promise.reject(new TransportError(`${this.name}: it can only be written`, { code: 'EBADF' }));
    }
    if (this.#interrupt !== undefined) {
      return Promise.reject(new TransportError(`${this.name}: its bytes are received already`));
    }
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      this.#pump(take).then(resolve, reject);
    });
  }

  async end(): Promise<void> {
    if (this.#mode === 'read') return;
    this.#ended = true;
    await this.#busy;
    if (this.#failure !== undefined) throw this.#failure;
    await this.#close();
  }

  destroy(): void {
    this.#failure ??= closedHere(this.name);
    this.#interrupt?.(this.#failure);
    void quiet(this.#close());
  }

  async #pump(take: Take): Promise<void> {
    const block = Buffer.allocUnsafeSlow(BLOCK);
    for (;;) {
      let length = 0;
      await this.#next(async () => {
        length = (await io.read(this.#fd, block, 0, BLOCK, this.#position)).bytesRead;
      });
      if (length === 0) break;
      if (this.#position !== null) this.#position += length;
      const busy = take(block.subarray(0, length));
      if (busy !== undefined) await busy;
    }
    await this.#close();
  }

  async #put(bytes: Uint8Array): Promise<void> {
    const at = this.#position;
    await writeAll(this.#fd, bytes, at);
    if (at !== null) this.#position = at + bytes.length;
    this.#bytesWritten += bytes.length;
  }

  /** Runs an operation after those before it; none is begun after a failure or the end. */
  #next(run: () => Promise<void>): Promise<void> {
    if (this.#ended)
      return quiet(Promise.reject(new TransportError(`${this.name}: its end was written already`)));
    const now = this.#busy.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        await run();
      } catch (error) {
        this.#failure ??= transportError(this.name, error);
        throw this.#failure;
      }
    });
    this.#busy = now.catch(() => {});
    return quiet(now);
  }

  #close(): Promise<void> {
    this.#closed ??= this.#busy
      .then(() => io.close(this.#fd))
      .catch((error: unknown) => {
        throw transportError(this.name, error);
      });
    return this.#closed;
  }
}
