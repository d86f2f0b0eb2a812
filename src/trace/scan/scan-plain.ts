import { MAX_LINE } from '../lines.js';
import { CHUNK, MAX_NAME, MAX_NAMES, MAX_RECORDS, PAD, RECORD, type ScanKernel } from './kernel.js';
import { prefixLength } from './prefix.js';

const BUCKETS = 4096;
const SPACE = 32;
const UNDERSCORE = 95;

/** The kernel in plain TypeScript: the reference for `scan.wat`, and its stand-in where SIMD is missing. */
export class PlainKernel implements ScanKernel {
  readonly text = Buffer.alloc(MAX_LINE + CHUNK + PAD);
  readonly records = new Int32Array(MAX_RECORDS * RECORD);
  found = 0;
  lines = 0;
  names = 0;
  /** Number of the name in each bucket plus one; 0 is empty. */
  readonly #buckets = new Int32Array(BUCKETS);
  readonly #bytes = new Uint8Array(MAX_NAMES * MAX_NAME);
  readonly #lengths = new Uint8Array(MAX_NAMES);
  readonly #wanted = new Uint8Array(MAX_NAMES);
  readonly #counts = new Float64Array(MAX_NAMES);

  scan(from: number, to: number): number {
    this.found = 0;
    this.lines = 0;
    let start = from;
    while (start < to && this.found < MAX_RECORDS) {
      const newline = this.text.indexOf(10, start);
      if (newline < 0 || newline >= to) break;
      this.#line(start, newline);
      this.lines++;
      start = newline + 1;
    }
    return start;
  }

  want(name: number, wanted: boolean): void {
    this.#wanted[name] = wanted ? 1 : 0;
  }

  name(name: number): string {
    const from = name * MAX_NAME;
    return Buffer.from(this.#bytes.subarray(from, from + this.#lengths[name]!)).toString('latin1');
  }

  count(name: number): number {
    return this.#counts[name]!;
  }

  #line(start: number, newline: number): void {
    const { text } = this;
    const from = start + prefixLength(text, start);
    let end = from;
    let hash = 0;
    for (let byte = text[end]!; byte > SPACE; byte = text[end]!) {
      hash = Math.imul(hash ^ byte, 0x01000193);
      end++;
      if (end - from === MAX_NAME) return;
    }
    const name = this.#find(hash ^ (hash >>> 15), from, end - from);
    if (name < 0) return;
    this.#counts[name]!++;
    if (this.#wanted[name] === 0) return;
    const { records } = this;
    const at = this.found++ * RECORD;
    records[at] = start;
    records[at + 1] = end;
    records[at + 2] = newline;
    records[at + 3] = this.lines;
    records[at + 4] = name;
  }

  /** The number of a name, which is given out here when the name is new; -1 when it is none. */
  #find(hash: number, from: number, length: number): number {
    for (let bucket = hash & (BUCKETS - 1); ; bucket = (bucket + 1) & (BUCKETS - 1)) {
      const name = this.#buckets[bucket]! - 1;
      if (name < 0) return this.#add(bucket, from, length);
      if (this.#same(name, from, length)) return name;
    }
  }

  #same(name: number, from: number, length: number): boolean {
    if (this.#lengths[name] !== length) return false;
    const own = name * MAX_NAME;
    for (let i = 0; i < length; i++) if (this.#bytes[own + i] !== this.text[from + i]) return false;
    return true;
  }

  #add(bucket: number, from: number, length: number): number {
    if (this.names === MAX_NAMES || !isEventName(this.text, from, length)) return -1;
    const name = this.names++;
    this.#buckets[bucket] = name + 1;
    this.#bytes.set(this.text.subarray(from, from + length), name * MAX_NAME);
    this.#lengths[name] = length;
    return name;
  }
}

/** Whether the word is `[a-z][a-z0-9_]*_[a-z0-9_]+`. */
function isEventName(text: Uint8Array, from: number, length: number): boolean {
  let underscore = false;
  for (let i = 0; i < length; i++) {
    const byte = text[from + i]!;
    if (byte === UNDERSCORE) {
      if (i === 0) return false;
      underscore ||= i < length - 1;
    } else if (byte >= 48 && byte <= 57) {
      if (i === 0) return false;
    } else if (byte < 97 || byte > 122) return false;
  }
  return underscore;
}
