import type { ByteSink } from '../stream/output.js';
import type { Channel, Take } from './channel.js';
import { quiet, TransportError } from './error.js';

const NOTHING = new Uint8Array(0);

/** A channel whose first bytes can be looked at; `receive` gives them again. */
export class PeekedChannel implements Channel {
  readonly #channel: Channel;
  /** What the channel's own `receive` has returned. */
  #received: Promise<void> | undefined;
  /** What was looked at, as a copy. */
  #head: Uint8Array = NOTHING;
  /** What follows it in the channel's block, which stays as it is until the release. */
  #rest: Uint8Array = NOTHING;
  #release: (() => void) | undefined;
  #wanted = 0;
  #enough: (() => void) | undefined;
  #take: Take | undefined;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  get name(): string {
    return this.#channel.name;
  }

  get duplex(): boolean {
    return this.#channel.duplex;
  }

  get bytesWritten(): number {
    return this.#channel.bytesWritten;
  }

  readonly write: ByteSink = (bytes) => this.#channel.write(bytes);

  writev(pieces: readonly Uint8Array[]): void | Promise<void> {
    return this.#channel.writev(pieces);
  }

  end(): Promise<void> {
    return this.#channel.end();
  }

  destroy(): void {
    this.#channel.destroy();
  }

  /**
   * The first `size` bytes; fewer only when the peer ends before. Nothing more is read until `receive`, or
   * until more is asked for.
   * @throws TransportError when the connection breaks before
   */
  async peek(size: number): Promise<Uint8Array> {
    this.#wanted = size;
    const enough = new Promise<void>((resolve) => {
      this.#enough = resolve;
    });
    const rest = this.#rest;
    this.#rest = NOTHING;
    if (!this.#look(rest)) this.#goOn();
    await Promise.race([enough, this.#start()]);
    return this.#head.subarray(0, size);
  }

  receive(take: Take): Promise<void> {
    if (this.#take !== undefined) {
      return Promise.reject(new TransportError(`${this.name}: its bytes are received already`));
    }
    this.#take = take;
    return new Promise((resolve, reject) => {
      // A connection that breaks ends it also while `take` still works on the first bytes.
      this.#received?.catch(reject);
      this.#replay(take).then(resolve, reject);
    });
  }

  async #replay(take: Take): Promise<void> {
    for (const bytes of [this.#head, this.#rest]) {
      if (bytes.length > 0) await take(bytes);
    }
    this.#head = NOTHING;
    this.#rest = NOTHING;
    this.#goOn();
    await this.#start();
  }

  #start(): Promise<void> {
    this.#received ??= quiet(this.#channel.receive((block) => this.#give(block)));
    return this.#received;
  }

  #give(block: Uint8Array): void | Promise<void> {
    if (this.#take !== undefined) return this.#take(block);
    if (!this.#look(block)) return;
    return new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  /** Takes over what is still wanted; true when that is all. */
  #look(block: Uint8Array): boolean {
    const missing = this.#wanted - this.#head.length;
    if (missing > 0) this.#head = Buffer.concat([this.#head, block.subarray(0, missing)]);
    this.#rest = block.subarray(Math.max(0, missing));
    const enough = this.#head.length >= this.#wanted;
    if (enough) this.#enough?.();
    return enough;
  }

  #goOn(): void {
    this.#release?.();
    this.#release = undefined;
  }
}
