import { VFIO_STREAM_TAGS, type VfioStreamTag } from '../../uapi/qemu.js';
import { MIG_STATES, type MigState } from '../../uapi/vfio.js';
import { ISO_LONG } from '../scan/prefix.js';

const NUL = 48;
const SPACE = 32;
const OPEN = 40;
const CLOSE = 41;
const COMMA = 44;
const MINUS = 45;
const MAX_WORDS = 65_536;
const MICROSECONDS = 1_000_000;

/** Thrown while a line is read: its arguments are not those of its event. One object, so that it is cheap. */
export const MALFORMED = new Error('malformed line');

/**
 * A cursor over one line of a QEMU log. It works on bytes: text is made only for words that come
 * again and again, and those are remembered. Each `...` method reads its part and moves on; when the
 * line has something else there, it throws `MALFORMED`.
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
  #text: Buffer = Buffer.alloc(0);
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
   * Sets the cursor on a line: `args` is where the event name, which has `nameLength` bytes, ends.
   * Bytes of `text` are read until the next call only.
   */
  open(text: Buffer, start: number, args: number, end: number, nameLength: number): void {
    this.#text = text;
    this.#end = end > args && text[end - 1] === 13 ? end - 1 : end;
    this.#at = start;
    this.#prefix(args - nameLength - start);
    this.#at = Math.min(args + 1, this.#end);
  }

  /** ` (NAME)`, which most VFIO events begin with. */
  device(): string {
    const text = this.#text;
    let at = this.#at;
    if (text[at] === SPACE) at++;
    if (text[at] !== OPEN) throw MALFORMED;
    const from = at + 1;
    // A name may hold brackets (sockets of vfio-user): it ends at a bracket with a blank or nothing behind it.
    for (at = from; at < this.#end; at++) {
      if (text[at] === CLOSE && (at + 1 === this.#end || text[at + 1] === SPACE)) break;
    }
    if (at >= this.#end || at === from) throw MALFORMED;
    this.#at = at + 1;
    return this.#devices.get(text, from, at);
  }

  /** Exactly these bytes. */
  skip(literal: string): this {
    if (!this.has(literal)) throw MALFORMED;
    return this;
  }

  /** These bytes, if they come next. */
  has(literal: string): boolean {
    const text = this.#text;
    const at = this.#at;
    const { length } = literal;
    if (at + length > this.#end) return false;
    for (let i = 0; i < length; i++) if (text[at + i] !== literal.charCodeAt(i)) return false;
    this.#at = at + length;
    return true;
  }

  /** Goes behind the next `literal` wherever it stands; says whether there is one. */
  seek(literal: string): boolean {
    const from = this.#at;
    for (; this.#at < this.#end; this.#at++) if (this.has(literal)) return true;
    this.#at = from;
    return false;
  }

  /** Says that the line is malformed. */
  fail(): never {
    throw MALFORMED;
  }

  /** Whether a digit comes next. */
  get atNumber(): boolean {
    const byte = this.#text[this.#at]!;
    return this.#at < this.#end && byte >= 48 && byte <= 57;
  }

  /** The text up to `literal`, which is skipped; not empty. */
  until(literal: string): string {
    const from = this.#at;
    if (!this.seek(literal)) throw MALFORMED;
    const to = this.#at - literal.length;
    if (to === from) throw MALFORMED;
    return this.#devices.get(this.#text, from, to);
  }

  /** A decimal or `0x` number without sign. Beyond 2^53 - 1 it is `undefined`: it has no exact number. */
  count(): number | undefined {
    const value = this.#number();
    return value <= Number.MAX_SAFE_INTEGER ? value : undefined;
  }

  /** A number as an address: beyond 2^53 - 1 as hexadecimal text. */
  address(): number | string {
    if (this.#text[this.#at] === SPACE) this.#at++;
    const from = this.#at;
    const value = this.#number();
    return value <= Number.MAX_SAFE_INTEGER ? value : this.#text.toString('latin1', from, this.#at);
  }

  /** A decimal number with or without a minus. */
  int(): number {
    const minus = this.has('-');
    const value = this.#number();
    if (value > Number.MAX_SAFE_INTEGER) throw MALFORMED;
    return minus ? -value : value;
  }

  /** A number as QEMU prints a bool. */
  flag(): boolean {
    return this.int() !== 0;
  }

  /** A return value: a positive errno, or 0 for success. */
  errno(): number {
    return Math.max(0, -this.int());
  }

  /** A word up to a blank, a comma or the end; not empty. */
  word(): string {
    const text = this.#text;
    const from = this.#at;
    let at = from;
    while (at < this.#end && text[at] !== SPACE && text[at] !== COMMA) at++;
    if (at === from) throw MALFORMED;
    this.#at = at;
    return this.#words.get(text, from, at);
  }

  /** Text in round brackets. */
  bracketed(): string {
    return this.skip('(').until(')');
  }

  /** The name of a device state. */
  state(): MigState {
    const word = this.word();
    if (!isState(word)) throw MALFORMED;
    return word;
  }

  /** A stream tag in hexadecimal, or its text when it has no name. */
  tag(): VfioStreamTag | string {
    const word = this.word();
    return TAGS.get(word) ?? word;
  }

  /** What is left of the line, which may be in any language. */
  rest(): string {
    const text = this.#text.toString('utf8', this.#at, this.#end);
    this.#at = this.#end;
    return text;
  }

  #number(): number {
    const text = this.#text;
    let at = this.#at;
    let value = 0;
    const hex = text[at] === NUL && text[at + 1] === 120;
    if (hex) at += 2;
    const from = at;
    for (; at < this.#end; at++) {
      const byte = text[at]!;
      if (byte >= 48 && byte <= 57) value = value * (hex ? 16 : 10) + byte - 48;
      else if (hex && byte >= 97 && byte <= 102) value = value * 16 + byte - 87;
      else break;
    }
    if (at === from) throw MALFORMED;
    this.#at = at;
    return value;
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
    this.thread = this.#number();
    this.#at++;
    const seconds = this.#number();
    this.#at++;
    this.t = seconds * MICROSECONDS + this.#number();
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
    return this.#text[at]! * 10 + this.#text[at + 1]! - 528;
  }

  #setDay(day: number): void {
    this.#day = day;
    this.#dayStart = Date.UTC(Math.floor(day / 10_000), (Math.floor(day / 100) % 100) - 1, day % 100) * 1000;
  }
}

const TAGS = new Map(
  Object.entries(VFIO_STREAM_TAGS).map(([name, value]) => [`0x${value.toString(16)}`, name as VfioStreamTag]),
);

const STATES: ReadonlySet<string> = new Set(MIG_STATES);

function isState(word: string): word is MigState {
  return STATES.has(word);
}

/** Texts by their bytes, so that a word that comes a million times is made once. */
class WordCache {
  #last = '';
  readonly #words = new Map<number, string>();

  get(text: Buffer, from: number, to: number): string {
    if (same(this.#last, text, from, to)) return this.#last;
    let hash = to - from;
    for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + text[at]!) | 0;
    const known = this.#words.get(hash);
    if (known !== undefined && same(known, text, from, to)) {
      this.#last = known;
      return known;
    }
    const word = text.toString('latin1', from, to);
    if (this.#words.size < MAX_WORDS) this.#words.set(hash, word);
    return word;
  }
}

function same(word: string, text: Buffer, from: number, to: number): boolean {
  if (word.length !== to - from) return false;
  for (let i = 0; i < word.length; i++) if (word.charCodeAt(i) !== text[from + i]) return false;
  return true;
}
