import type { Awaitable } from '../../uapi/device.js';
import type { Answer, Call } from './messages.js';

/** What calls that come at a bad time are answered with. */
export interface PostedCallsOptions {
  /** Reads registers; at once, or with a promise, which is of no use here. */
  read(region: number, offset: number, size: number): Awaitable<Uint8Array>;
  say(answer: Answer): void;
}

type WriteArgs = readonly [region: number, offset: number, bytes: Uint8Array];

/**
 * Calls that come while the device stands still for its DMA. A register is read at once, as the hardware has it
 * in the midst of its work; a write is posted: answered, and made when the work is done, and reads see it
 * already. Like that a client gets what its CPU waits for before it has answered the DMA. Everything else waits,
 * and all that comes behind it.
 */
export class PostedCalls {
  readonly #options: PostedCallsOptions;
  readonly #calls: { readonly call: Call; readonly answered: boolean }[] = [];

  constructor(options: PostedCallsOptions) {
    this.#options = options;
  }

  /** Takes a call while the device stands still. */
  take(call: Call): void {
    const onlyWrites = this.#calls.every(({ answered }) => answered);
    if (onlyWrites && call.operation === 'readRegion' && this.#read(call)) return;
    const posted = onlyWrites && call.operation === 'writeRegion';
    this.#calls.push({ call, answered: posted });
    if (posted) this.#options.say({ id: call.id, result: undefined });
  }

  /** The next call whose time has come, when the device works no more; undefined: there is none. */
  next(): { readonly call: Call; readonly answered: boolean } | undefined {
    return this.#calls.shift();
  }

  #read({ id, args }: Call): boolean {
    const [region, offset, size] = args as [number, number, number];
    let found: Awaitable<Uint8Array>;
    try {
      found = this.#options.read(region, offset, size);
    } catch {
      // What is wrong with it is found again, and told, when its turn comes.
      return false;
    }
    if (!(found instanceof Uint8Array)) return false;
    const bytes = Uint8Array.from(found);
    for (const { call } of this.#calls) overlay(bytes, region, offset, call.args as WriteArgs);
    this.#options.say({ id, result: bytes });
    return true;
  }
}

/** Puts what was written over what was read, where both meet. */
function overlay(bytes: Uint8Array, region: number, offset: number, [where, at, written]: WriteArgs): void {
  if (where !== region) return;
  for (const [index, byte] of written.entries()) {
    const place = at + index - offset;
    if (place >= 0 && place < bytes.length) bytes[place] = byte;
  }
}
