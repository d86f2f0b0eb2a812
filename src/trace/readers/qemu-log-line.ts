import { MIGRATION_STATUSES } from '../../uapi/qemu.js';
import { MIG_STATES } from '../../uapi/vfio.js';
import { ISO_LONG } from '../scan/prefix.js';
import type { Literal, Mark, Step } from './qemu-log-format.js';
import { WordCache } from './word-cache.js';

const SPACE = 32;
const OPEN = 40;
const CLOSE = 41;
const COMMA = 44;
const MINUS = 45;
const ZERO = 48;
const RETURN = 13;
const LETTER_X = 120;
const MICROSECONDS = 1_000_000;

/** What a mark gives. */
export type Field = string | number | boolean | undefined;

/**
 * One line of a QEMU log, read by bytes. Text is made only for words that come again and again, and
 * those are remembered, so a line costs no garbage but the event that it gives.
 */
export class LogLine {
  /** Where the line comes from; the same for all lines of a parser. */
  readonly host: string;
  readonly file: string;
  /** Line number from 1. */
  number = 0;
  /** Microseconds since 1970, absent without a time prefix. */
  t: number | undefined;
  /** Thread id, absent where the prefix has none. */
  thread: number | undefined;
  /** What the marks of the last format that fitted gave. */
  readonly fields: Field[] = [];
  #text: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #args = 0;
  #at = 0;
  #end = 0;
  #day = -1;
  #dayStart = 0;
  readonly #devices = new WordCache();
  readonly #words = new WordCache();

  constructor(host: string, file: string) {
    this.host = host;
    this.file = file;
  }

  /**
   * Sets this on a line: `args` is where the event name, which has `nameLength` bytes, ends.
   * Bytes of `text` are read until the next call only.
   */
  open(text: Buffer, start: number, args: number, end: number, nameLength: number): void {
    if (text !== this.#text) {
      this.#text = text;
      this.#view = new DataView(text.buffer, text.byteOffset, text.length);
    }
    this.#end = end > args && text[end - 1] === RETURN ? end - 1 : end;
    this.#at = start;
    this.#prefix(args - nameLength - start);
    this.#args = Math.min(args + 1, this.#end);
  }

  /** Reads the arguments by a format; `fields` are valid when it fits. */
  fits(steps: readonly Step[]): boolean {
    this.#at = this.#args;
    let field = 0;
    for (let n = 0; n < steps.length; n++) {
      const step = steps[n]!;
      if (step.literal !== undefined) {
        if (!this.#literal(step.literal)) return false;
        continue;
      }
      const value = this.#mark(step.mark, steps[n + 1]?.literal);
      if (value === MISFIT) return false;
      this.fields[field++] = value as Field;
    }
    return true;
  }

  #literal(literal: Literal): boolean {
    if (this.#at + literal.length > this.#end || !literal.at(this.#text, this.#view, this.#at)) return false;
    this.#at += literal.length;
    return true;
  }

  #mark(mark: Mark, next: Literal | undefined): Field | typeof MISFIT {
    switch (mark) {
      case 'D':
        return this.#device();
      case 's':
        return STATES.get(this.#word()) ?? MISFIT;
      case 'm':
        return STATUSES.get(this.#word()) ?? MISFIT;
      case 'u':
        return this.#count();
      case 'd':
        return this.#int();
      case 'b':
        return toBool(this.#int());
      case 'e':
        return toErrno(this.#int());
      case 'a':
        return this.#address();
      case 'w':
        return this.#word() || MISFIT;
      case 't':
        return this.#textTo(next);
    }
  }

  /** A name may hold brackets (sockets of vfio-user): it ends at a bracket with a blank or nothing behind it. */
  #device(): string | typeof MISFIT {
    const text = this.#text;
    const end = this.#end;
    const from = this.#at + 2;
    if (from >= end || text[from - 2] !== SPACE || text[from - 1] !== OPEN) return MISFIT;
    const known = this.#devices.last(text, this.#view, from, end);
    let at = from;
    if (known !== undefined && this.#closes(from + known.length)) at += known.length;
    else while (at < end && !this.#closes(at)) at++;
    if (at >= end || at === from) return MISFIT;
    this.#at = at + 1;
    return this.#devices.get(text, this.#view, from, at);
  }

  #closes(at: number): boolean {
    return (
      this.#text[at] === CLOSE && at < this.#end && (at + 1 === this.#end || this.#text[at + 1] === SPACE)
    );
  }

  /** A word; empty when there is none. */
  #word(): string {
    const text = this.#text;
    const from = this.#at;
    let at = from;
    for (; at < this.#end; at++) {
      const byte = text[at]!;
      if (byte === SPACE || byte === COMMA || byte === CLOSE) break;
    }
    this.#at = at;
    return at === from ? '' : this.#words.get(text, this.#view, from, at);
  }

  /** Beyond 2^53 - 1 there is no exact number to give. */
  #count(): number | undefined | typeof MISFIT {
    const value = this.#digits();
    if (value < 0) return MISFIT;
    return value <= Number.MAX_SAFE_INTEGER ? value : undefined;
  }

  #int(): number | typeof MISFIT {
    const minus = this.#text[this.#at] === MINUS;
    if (minus) this.#at++;
    const value = this.#digits();
    if (value < 0 || value > Number.MAX_SAFE_INTEGER) return MISFIT;
    return minus && value > 0 ? -value : value;
  }

  /** 10.0 prints a blank before some of them. */
  #address(): number | string | typeof MISFIT {
    if (this.#text[this.#at] === SPACE) this.#at++;
    const from = this.#at;
    const value = this.#digits();
    if (value < 0) return MISFIT;
    return value <= Number.MAX_SAFE_INTEGER ? value : this.#text.toString('latin1', from, this.#at);
  }

  #textTo(next: Literal | undefined): string | typeof MISFIT {
    const from = this.#at;
    let to = this.#end;
    if (next !== undefined) {
      const last = to - next.length;
      for (to = from; to <= last && !next.at(this.#text, this.#view, to); to++);
      if (to > last) return MISFIT;
    }
    if (to === from) return MISFIT;
    this.#at = to;
    return this.#text.toString('utf8', from, to);
  }

  /** A number without sign; -1 when there is none. */
  #digits(): number {
    const text = this.#text;
    const from = this.#at;
    if (text[from] === ZERO && text[from + 1] === LETTER_X) return this.#hexDigits();
    let at = from;
    let value = 0;
    for (; at < this.#end; at++) {
      const digit = text[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    this.#at = at;
    return at === from ? -1 : value;
  }

  #hexDigits(): number {
    const text = this.#text;
    const from = this.#at + 2;
    let at = from;
    let value = 0;
    for (; at < this.#end; at++) {
      const byte = text[at]!;
      const digit = byte >= 97 ? byte - 87 : byte - ZERO;
      if (digit < 0 || digit > 15 || (byte < 97 && digit > 9)) break;
      value = value * 16 + digit;
    }
    this.#at = at;
    return at <= from ? -1 : value;
  }

  #prefix(length: number): void {
    this.t = undefined;
    this.thread = undefined;
    if (length === 0) return;
    // A prefix with a thread id may be as long as an ISO one, but it has no minus at its fifth byte.
    if (this.#text[this.#at + 4] === MINUS) this.#isoPrefix(length);
    else this.#tidPrefix();
  }

  #tidPrefix(): void {
    this.thread = this.#digits();
    this.#at++;
    const seconds = this.#digits();
    this.#at++;
    this.t = seconds * MICROSECONDS + this.#digits();
  }

  #isoPrefix(length: number): void {
    const at = this.#at;
    const day =
      this.#pair(at) * 1_000_000 +
      this.#pair(at + 2) * 10_000 +
      this.#pair(at + 5) * 100 +
      this.#pair(at + 8);
    if (day !== this.#day) this.#setDay(day);
    const seconds = this.#pair(at + 11) * 3600 + this.#pair(at + 14) * 60 + this.#pair(at + 17);
    const fraction =
      length === ISO_LONG
        ? this.#pair(at + 20) * 10_000 + this.#pair(at + 22) * 100 + this.#pair(at + 24)
        : 0;
    this.t = this.#dayStart + seconds * MICROSECONDS + fraction;
  }

  /** The number that two digits make. */
  #pair(at: number): number {
    return this.#text[at]! * 10 + this.#text[at + 1]! - ZERO * 11;
  }

  #setDay(day: number): void {
    this.#day = day;
    this.#dayStart = Date.UTC(Math.floor(day / 10_000), (Math.floor(day / 100) % 100) - 1, day % 100) * 1000;
  }
}

/** Stands for: the line has something else there. */
const MISFIT = Symbol('misfit');

const STATES = new Map<string, string>(MIG_STATES.map((name) => [name, name]));
const STATUSES = new Map<string, string>(MIGRATION_STATUSES.map((name) => [name, name]));

function toBool(value: number | typeof MISFIT): boolean | typeof MISFIT {
  return value === MISFIT ? value : value !== 0;
}

function toErrno(value: number | typeof MISFIT): number | typeof MISFIT {
  return value === MISFIT ? value : Math.max(0, -value);
}
