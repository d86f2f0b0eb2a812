/**
 * The channels of one migration, told apart by their first bytes.
 * Source: QEMU `migration/migration.c` (the main channel is recognised by its first four bytes),
 * `migration/multifd.c` (the first packet of a channel).
 */
import { MULTIFD_MAGIC, MULTIFD_VERSION, MultifdInit, STREAM_MAGIC } from '../uapi/qemu-stream.js';
import type { Channel, Listener } from './channel.js';
import { TransportError } from './error.js';
import { PeekedChannel } from './peeked-channel.js';
import { nameOf } from './uri.js';

export interface AcceptOptions {
  /** Number of multifd channels; default 0. */
  channels?: number;
  /**
   * Milliseconds that a connection has to say what it is, and that all channels have once the first one is
   * there; default 30 s. There is no limit to the wait for that one.
   */
  timeLimit?: number;
  /** Ends the wait. */
  signal?: AbortSignal;
}

/** All channels of a migration. What was looked at of them is received again. */
export interface MigrationChannels {
  main: Channel;
  /** Multifd channels by id. */
  channels: Channel[];
}

const TIME_LIMIT_MS = 30_000;
const MAGIC_BYTES = 4;
/** Connections that may keep silent besides the channels; more are dropped. */
const MOST_SILENT = 64;

/**
 * Accepts connections until the main channel and all multifd channels are there, in whatever order they
 * come. A connection that says nothing, because somebody only looked whether anybody listens, is dropped
 * and does no harm. The listener stays open.
 * @throws TransportError when a connection is none of this migration: its first bytes are unknown, its
 * version is another, its id is out of range or there twice; when channels are missing at the end of the
 * time limit; when the listener is closed or `signal` fires. All connections are dropped then
 */
export function acceptMigration(listener: Listener, options: AcceptOptions = {}): Promise<MigrationChannels> {
  return new Gathering(listener, options).run();
}

class Gathering {
  readonly #listener: Listener;
  readonly #name: string;
  readonly #channels: number;
  readonly #timeLimit: number;
  readonly #signal: AbortSignal | undefined;
  /** Ends the wait for connections. */
  readonly #stop = new AbortController();
  /** Connections that have not said what they are, each with its timer. */
  readonly #silent = new Map<PeekedChannel, NodeJS.Timeout>();
  /** `main`, or an id. */
  readonly #found = new Map<'main' | number, PeekedChannel>();
  #deadline: NodeJS.Timeout | undefined;
  /** Why no more connections come. */
  #exhausted: unknown;
  #done!: { resolve: (channels: MigrationChannels) => void; reject: (error: unknown) => void };

  constructor(listener: Listener, { channels = 0, timeLimit = TIME_LIMIT_MS, signal }: AcceptOptions) {
    this.#listener = listener;
    this.#name = nameOf(listener.address);
    this.#channels = channels;
    this.#timeLimit = timeLimit;
    this.#signal = signal;
  }

  async run(): Promise<MigrationChannels> {
    const aborted = () => {
      this.#fail(
        new TransportError(`${this.#name}: the wait for the migration was ended`, { code: 'ECANCELED' }),
      );
    };
    try {
      return await new Promise((resolve, reject) => {
        this.#done = { resolve, reject };
        this.#signal?.addEventListener('abort', aborted, { once: true });
        if (this.#signal?.aborted) aborted();
        else void this.#accept();
      });
    } finally {
      this.#signal?.removeEventListener('abort', aborted);
      clearTimeout(this.#deadline);
      this.#stop.abort();
      for (const channel of [...this.#silent.keys()]) this.#drop(channel);
    }
  }

  async #accept(): Promise<void> {
    try {
      while (!this.#stop.signal.aborted) {
        const channel = new PeekedChannel(await this.#listener.accept({ signal: this.#stop.signal }));
        if (this.#stop.signal.aborted || this.#silent.size > this.#channels + MOST_SILENT) channel.destroy();
        else void this.#sort(channel);
      }
    } catch (error) {
      this.#exhausted = error;
      this.#checkExhausted();
    }
  }

  async #sort(channel: PeekedChannel): Promise<void> {
    let heard = 0;
    const seconds = this.#timeLimit / 1000;
    const tooLate = () => {
      if (heard === 0) this.#drop(channel);
      else this.#fail(this.#refusal(channel, `has not said in ${seconds} s which multifd channel it is`));
    };
    this.#silent.set(channel, setTimeout(tooLate, this.#timeLimit));
    try {
      const magic = await channel.peek(MAGIC_BYTES);
      heard = magic.length;
      if (heard === 0) this.#drop(channel);
      else this.#keep(channel, await this.#identify(channel, magic));
    } catch (error) {
      // One that breaks before it has said anything is as one that says nothing.
      const waitedFor = this.#silent.has(channel);
      this.#drop(channel);
      if (heard > 0 && waitedFor) this.#fail(error);
    }
    this.#checkExhausted();
  }

  async #identify(channel: PeekedChannel, magic: Uint8Array): Promise<'main' | number> {
    const number = magic.length < MAGIC_BYTES ? undefined : u32(magic);
    if (number === STREAM_MAGIC) return 'main';
    if (number !== MULTIFD_MAGIC) {
      throw this.#refusal(
        channel,
        `begins with ${hex(magic)}, and neither a migration stream (${hex(STREAM_MAGIC)}) nor a multifd channel (${hex(MULTIFD_MAGIC)}) does`,
      );
    }
    const packet = await channel.peek(MultifdInit.size);
    if (packet.length < MultifdInit.size) {
      throw this.#refusal(
        channel,
        `ended after ${packet.length} of the ${MultifdInit.size} bytes of a multifd channel's first packet`,
      );
    }
    const { version, id } = MultifdInit.decode(packet, { order: 'big' });
    if (version !== MULTIFD_VERSION) {
      throw this.#refusal(channel, `is a multifd channel of version ${version}, expected ${MULTIFD_VERSION}`);
    }
    if (id >= this.#channels) {
      const expected =
        this.#channels === 0 ? 'no multifd channels are expected' : `expected 0 to ${this.#channels - 1}`;
      throw this.#refusal(channel, `is multifd channel ${id}, ${expected}; both sides need the same number`);
    }
    return id;
  }

  #keep(channel: PeekedChannel, what: 'main' | number): void {
    const timer = this.#silent.get(channel);
    // It was given up meanwhile.
    if (timer === undefined) return;
    clearTimeout(timer);
    if (this.#found.has(what)) {
      const which = what === 'main' ? 'main channel' : `multifd channel ${what}`;
      throw this.#refusal(channel, `is a second ${which}`);
    }
    this.#silent.delete(channel);
    this.#found.set(what, channel);
    const main = this.#found.get('main');
    if (main !== undefined && this.#found.size === this.#channels + 1) {
      const channels = Array.from({ length: this.#channels }, (_, id) => this.#found.get(id)!);
      this.#done.resolve({ main, channels });
      this.#stop.abort();
    }
    this.#deadline ??= setTimeout(() => this.#fail(this.#missing()), this.#timeLimit);
  }

  /** When no more connections come and none is left to be heard, nothing else will happen. */
  #checkExhausted(): void {
    if (this.#exhausted !== undefined && this.#silent.size === 0) this.#fail(this.#exhausted);
  }

  /** The first failure counts; after success it is none. */
  #fail(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#done.reject(error);
    for (const channel of this.#found.values()) channel.destroy();
  }

  #drop(channel: PeekedChannel): void {
    clearTimeout(this.#silent.get(channel));
    this.#silent.delete(channel);
    channel.destroy();
  }

  #missing(): TransportError {
    const ids = Array.from({ length: this.#channels }, (_, id) => id).filter((id) => !this.#found.has(id));
    const missing = [
      ...(this.#found.has('main') ? [] : ['the main channel']),
      ...(ids.length === 0 ? [] : [`multifd ${ids.length === 1 ? 'channel' : 'channels'} ${ids.join(', ')}`]),
    ];
    return new TransportError(
      `${this.#name}: after ${this.#timeLimit / 1000} s there is still no ${missing.join(' and no ').replace(/^the /, '')}; both sides need the same number of multifd channels`,
      { code: 'ETIMEDOUT' },
    );
  }

  #refusal(channel: Channel, why: string): TransportError {
    return new TransportError(`${this.#name}: a connection${from(channel, this.#name)} ${why}`);
  }
}

function from({ name }: Channel, listener: string): string {
  return name === listener ? '' : ` from ${name}`;
}

function u32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
}

function hex(value: number | Uint8Array): string {
  return `0x${typeof value === 'number' ? value.toString(16) : Buffer.from(value).toString('hex')}`;
}
