import type { SharedMemory } from '../uapi/vhost-backend.js';
import { VHOST_LOG_PAGE, vhostLogBytes } from '../uapi/vhost-log.js';

/**
 * Sets the bits of the pages that a write touches: `length` bytes from a guest physical address on. Each byte
 * of the log is changed atomically, for several processes share it.
 * @returns false when a page has no bit in the log; the others are marked all the same
 */
export function markPages(log: Uint8Array, address: number, length: number): boolean {
  if (length <= 0) return true;
  const first = Math.floor(address / VHOST_LOG_PAGE);
  const last = Math.floor((address + length - 1) / VHOST_LOG_PAGE);
  if (last - first > 1) return markRun(log, first, last);
  // Most writes touch a page or two.
  return markPage(log, first) && (first === last || markPage(log, last));
}

/** The bit is set also when it seems to be set: only the atomic change keeps it behind the data. */
function markPage(log: Uint8Array, page: number): boolean {
  const byte = Math.floor(page / 8);
  if (byte >= log.length) return false;
  Atomics.or(log, byte, 1 << (page % 8));
  return true;
}

function markRun(log: Uint8Array, first: number, last: number): boolean {
  for (let page = first; page <= last; ) {
    const byte = Math.floor(page / 8);
    if (byte >= log.length) return false;
    const from = page % 8;
    const to = Math.min(7, from + last - page);
    Atomics.or(log, byte, (0xff >> (7 - to)) & (0xff << from) & 0xff);
    page += to - from + 1;
  }
  return true;
}

/** The dirty log as the VMM has it: memory that it shares with back ends, which only ever set bits in it. */
export class DirtyLog {
  readonly memory: SharedMemory;
  readonly #words: Int32Array;

  /** @param memory zeroed, at least as many bytes as `bytesFor` says, beginning at a multiple of 4 */
  constructor(memory: SharedMemory) {
    this.memory = memory;
    const { buffer, byteOffset, length } = memory.bytes;
    this.#words = new Int32Array(buffer, byteOffset, length >>> 2);
  }

  /** Bytes of a log that covers guest physical addresses below `end`: whole pages, which can be mapped. */
  static bytesFor(end: number): number {
    return Math.ceil(vhostLogBytes(end) / VHOST_LOG_PAGE) * VHOST_LOG_PAGE;
  }

  /**
   * Moves all bits into `into`, which has the same form and is at least as long; what is set there stays set.
   * @returns whether there was any
   */
  moveTo(into: Uint8Array): boolean {
    const words = this.#words;
    const target = new Int32Array(into.buffer, into.byteOffset, into.length >>> 2);
    let any = false;
    for (let word = 0; word < words.length; word++) {
      if (words[word] === 0) continue;
      target[word]! |= Atomics.exchange(words, word, 0);
      any = true;
    }
    return any;
  }
}

/** The pages of a log as runs: number of the first one, and how many. */
export function runsOf(log: Uint8Array): [first: number, count: number][] {
  const runs: [number, number][] = [];
  for (let byte = 0; byte < log.length; byte++) {
    const bits = log[byte]!;
    for (let bit = 0; bits >> bit !== 0; bit++) {
      if (((bits >> bit) & 1) === 0) continue;
      const page = byte * 8 + bit;
      const last = runs.at(-1);
      if (last !== undefined && last[0] + last[1] === page) last[1]++;
      else runs.push([page, 1]);
    }
  }
  return runs;
}
