import type { ByteSink } from '../stream/output.js';

/** What may go out at once: the share of this much time (QEMU counts in windows of 100 ms). */
const BURST_SECONDS = 0.1;
/** Least piece that bytes are cut into. */
const LEAST_PIECE = 4096;

/** The time, and how to be called later. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Calls `run` once after `ms`; the returned function prevents it. */
  after(ms: number, run: () => void): () => void;
}

const SYSTEM: Clock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * A limit of bytes per second (`max-bandwidth`), shared by all channels that take from it.
 *
 * Whoever comes passes while anything is left of the allowance, and may overdraw it; those who come next
 * wait until that is made up for. So the long-term rate is exact whatever the size of the pieces.
 */
export class RateLimit {
  readonly #clock: Clock;
  #bytesPerSecond: number;
  /** What may still go out at `#at`; negative when overdrawn. */
  #allowance: number;
  #at: number;
  #queue: { size: number; pass: () => void }[] = [];
  #cancel: (() => void) | undefined;

  /** @param bytesPerSecond 0 is no limit */
  constructor(bytesPerSecond: number, clock: Clock = SYSTEM) {
    this.#clock = clock;
    this.#bytesPerSecond = checked(bytesPerSecond);
    this.#at = clock.now();
    this.#allowance = this.burst;
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** Holds from now on, for those who wait too; 0 lets all of them go. */
  set bytesPerSecond(value: number) {
    const unlimited = this.#bytesPerSecond === 0;
    this.#refill();
    this.#bytesPerSecond = checked(value);
    this.#allowance = unlimited ? this.burst : Math.min(this.#allowance, this.burst);
    this.#serve();
  }

  /** Bytes that may go out at once. */
  get burst(): number {
    return this.#bytesPerSecond * BURST_SECONDS;
  }

  /** Asks to send `bytes` bytes; nothing when they may go now, else a promise of the time when they may. */
  take(bytes: number): void | Promise<void> {
    if (this.#bytesPerSecond === 0) return;
    this.#refill();
    if (this.#queue.length === 0 && this.#allowance > 0) {
      this.#allowance -= bytes;
      return;
    }
    return new Promise((pass) => {
      this.#queue.push({ size: bytes, pass });
      this.#serve();
    });
  }

  #refill(): void {
    const now = this.#clock.now();
    const earned = ((now - this.#at) / 1000) * this.#bytesPerSecond;
    this.#allowance = Math.min(this.#allowance + earned, this.burst);
    this.#at = now;
  }

  /** Lets those go who may, and comes back for the next. */
  #serve(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#refill();
    while (this.#queue.length > 0 && (this.#bytesPerSecond === 0 || this.#allowance > 0)) {
      const { size, pass } = this.#queue.shift()!;
      if (this.#bytesPerSecond !== 0) this.#allowance -= size;
      pass();
    }
    if (this.#queue.length === 0) return;
    const wait = (-this.#allowance / this.#bytesPerSecond) * 1000;
    // At least a millisecond: timers are no finer, and the allowance has to get above zero.
    this.#cancel = this.#clock.after(Math.max(1, Math.ceil(wait)), () => this.#serve());
  }
}

/**
 * A sink that keeps to a limit. Long pieces go on in parts, so that the flow is even and a new limit holds
 * at once. To end a wait early, as when the migration is cancelled, lift the limit.
 */
export function limited(sink: ByteSink, limit: RateLimit): ByteSink {
  let before: Promise<void> | undefined;
  return (bytes) => {
    if (before === undefined && limit.bytesPerSecond === 0) return sink(bytes);
    const now =
      before === undefined ? paced(sink, limit, bytes) : before.then(() => paced(sink, limit, bytes));
    const mine = now.finally(() => {
      if (before === mine) before = undefined;
    });
    mine.catch(() => {});
    before = mine;
    return mine;
  };
}

async function paced(sink: ByteSink, limit: RateLimit, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const piece = limit.bytesPerSecond === 0 ? bytes.length : Math.max(LEAST_PIECE, Math.floor(limit.burst));
    const part = bytes.subarray(at, at + piece);
    await limit.take(part.length);
    await sink(part);
    at += part.length;
  }
}

function checked(bytesPerSecond: number): number {
  if (Number.isFinite(bytesPerSecond) && bytesPerSecond >= 0) return bytesPerSecond;
  throw new RangeError(`expected a rate of 0 (no limit) or more bytes per second, got ${bytesPerSecond}`);
}
