import { MAX_LINE } from '../lines.js';
import type { Fill } from '../reader.js';
import { CHUNK, PAD, RECORD, type ScanKernel } from './kernel.js';
import { PlainKernel } from './scan-plain.js';
import { SimdKernel } from './scan-simd.js';

/** A line that was asked for. Positions are into `text`, which holds it only during the call. */
export type TakeLine = (
  text: Buffer,
  /** Where the line starts, and where its event name ends. */
  start: number,
  args: number,
  /** The line's end, without newline; at most `MAX_LINE` after its start. */
  end: number,
  /** Line number from 1. */
  number: number,
  /** Index of the name in the list that the scanner was made with. */
  name: number,
) => void;

/** A name to look for, and whether its lines are wanted or only known. */
export interface ScanName {
  readonly name: string;
  readonly wanted: boolean;
}

/** The fastest kernel that this runtime can run. */
export function bestKernel(): ScanKernel {
  return SimdKernel.create() ?? new PlainKernel();
}

/**
 * Cuts blocks of bytes into lines and hands out those whose event name is wanted.
 * Holds at most one line (cut at `MAX_LINE`) and one chunk, whatever the input.
 */
export class LineScanner {
  /** Lines seen so far. */
  lines = 0;
  readonly #kernel: ScanKernel;
  readonly #take: TakeLine;
  readonly #known: number;
  readonly #before: Float64Array;
  /** Bytes of the unfinished line, at the start of the kernel's text. */
  #held = 0;
  /** The unfinished line is too long: what follows is dropped up to the next newline. */
  #dropping = false;

  constructor(names: readonly ScanName[], take: TakeLine, kernel = bestKernel()) {
    this.#kernel = kernel;
    this.#take = take;
    this.#known = names.length;
    this.#learn(names.map(({ name }) => name));
    this.#before = new Float64Array(names.length).map((_, index) => kernel.count(index));
    for (const [index, { wanted }] of names.entries()) kernel.want(index, wanted);
  }

  write(block: Uint8Array): void {
    for (let at = 0; at < block.length; at += CHUNK) this.#chunk(block.subarray(at, at + CHUNK));
  }

  /** Takes the next bytes from `fill`, which puts them where they are scanned. Returns how many there were. */
  pull(fill: Fill): number {
    const { text } = this.#kernel;
    const length = fill(text, this.#held, CHUNK);
    let end = this.#held + length;
    if (this.#dropping) {
      const kept = fromNewline(text.subarray(this.#held, end));
      text.copyWithin(this.#held, end - kept.length, end);
      end = this.#held + kept.length;
    }
    if (end > this.#held) this.#filled(end);
    return length;
  }

  /** The input has ended: a last line without newline is taken now. Returns whether there was one. */
  end(): boolean {
    const open = this.#held > 0;
    if (open) this.#chunk(Uint8Array.of(10));
    return open;
  }

  /** The input has ended: a last line without newline is counted, not taken. Returns whether there was one. */
  drop(): boolean {
    const open = this.#held > 0;
    this.#held = 0;
    if (open) this.lines++;
    return open;
  }

  /** Lines with the name number `index`. */
  count(index: number): number {
    return this.#kernel.count(index) - this.#before[index]!;
  }

  /** Names that look like events and are not in the list, with how many lines have them. */
  *others(): Iterable<[name: string, count: number]> {
    for (let name = this.#known; name < this.#kernel.names; name++) {
      yield [this.#kernel.name(name), this.#kernel.count(name)];
    }
  }

  /** A kernel numbers names in the order in which it meets them, so it is shown the list first. */
  #learn(names: readonly string[]): void {
    const length = this.#kernel.text.write(names.map((name) => `${name}\n`).join(''), 'latin1');
    this.#pad(length);
    this.#kernel.scan(0, length);
    if (this.#kernel.names !== names.length) throw new Error('a scan name is doubled or malformed');
  }

  #pad(end: number): void {
    this.#kernel.text.fill(10, end, end + PAD);
  }

  #chunk(chunk: Uint8Array): void {
    const kept = this.#dropping ? fromNewline(chunk) : chunk;
    if (kept.length === 0) return;
    const { text } = this.#kernel;
    text.set(kept, this.#held);
    this.#filled(this.#held + kept.length);
  }

  /** Scans the text, which ends at `end`, and keeps the unfinished line. */
  #filled(end: number): void {
    const { text } = this.#kernel;
    this.#pad(end);
    const rest = this.#scan(end);
    this.#dropping = end - rest > MAX_LINE;
    this.#held = Math.min(end - rest, MAX_LINE);
    if (rest > 0) text.copyWithin(0, rest, rest + this.#held);
  }

  /** Hands out the lines of the text up to `end`; returns where the unfinished line starts. */
  #scan(end: number): number {
    const kernel = this.#kernel;
    const { text, records } = kernel;
    const take = this.#take;
    for (let from = 0; ; ) {
      const next = kernel.scan(from, end);
      const last = kernel.found * RECORD;
      const line = this.lines + 1;
      for (let at = 0; at < last; at += RECORD) {
        const start = records[at]!;
        const stop = Math.min(records[at + 2]!, start + MAX_LINE);
        take(text, start, records[at + 1]!, stop, line + records[at + 3]!, records[at + 4]!);
      }
      this.lines += kernel.lines;
      if (next === from || next >= end) return next;
      from = next;
    }
  }
}

/** The part from the first newline on. */
function fromNewline(chunk: Uint8Array): Uint8Array {
  const newline = chunk.indexOf(10);
  return chunk.subarray(newline < 0 ? chunk.length : newline);
}
