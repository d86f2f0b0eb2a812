import { type Channel, type Take, TransportError } from '../../src/transport/index.js';

/** One end of a channel in memory: no socket, and all that is written can be seen. */
export class FakeChannel implements Channel {
  readonly name = 'memory';
  readonly duplex: boolean;
  bytesWritten = 0;
  /** Hears of what is written at this end. */
  onWrite: (bytes: Uint8Array) => void = () => {};
  peer: FakeChannel | null = null;
  readonly #inbox: { bytes: Uint8Array; taken: () => void }[] = [];
  #wake: () => void = () => {};
  #ended = false;
  #broken = false;

  constructor({ duplex = true } = {}) {
    this.duplex = duplex;
  }

  readonly write = (bytes: Uint8Array): Promise<void> => {
    if (this.#broken) return Promise.reject(new TransportError('memory: it is closed'));
    this.bytesWritten += bytes.length;
    this.onWrite(bytes);
    return this.peer?.deliver(bytes.slice()) ?? new Promise((resolve) => setImmediate(resolve));
  };

  async writev(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) await this.write(piece);
  }

  /** What the other end has written; done when it was taken. */
  deliver(bytes: Uint8Array): Promise<void> {
    return new Promise((taken) => {
      this.#inbox.push({ bytes, taken });
      this.#wake();
    });
  }

  /** The other end sends no more. */
  close(): void {
    this.#ended = true;
    this.#wake();
  }

  async receive(take: Take): Promise<void> {
    for (;;) {
      if (this.#broken) throw new TransportError('memory: the connection broke');
      const next = this.#inbox.shift();
      if (next !== undefined) {
        await take(next.bytes);
        next.taken();
        await new Promise((resolve) => setImmediate(resolve));
      } else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  async end(): Promise<void> {
    this.peer?.close();
  }

  destroy(): void {
    if (this.#broken) return;
    this.#broken = true;
    for (const { taken } of this.#inbox.splice(0)) taken();
    this.#wake();
    this.peer?.destroy();
  }
}

/** Two ends of a channel. */
export function fakeChannels(): [FakeChannel, FakeChannel] {
  const [near, far] = [new FakeChannel(), new FakeChannel()];
  near.peer = far;
  far.peer = near;
  return [near, far];
}

/** An end at which these bytes arrive, in pieces, and then the end. What is answered goes nowhere. */
export function replay(bytes: Uint8Array, piece = 65536): FakeChannel {
  const channel = new FakeChannel();
  for (let at = 0; at < bytes.length; at += piece) void channel.deliver(bytes.slice(at, at + piece));
  channel.close();
  return channel;
}
