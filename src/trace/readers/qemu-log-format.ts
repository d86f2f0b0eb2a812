import type { MigrationStatus } from '../../uapi/qemu.js';
import type { MigState } from '../../uapi/vfio.js';

/**
 * Formats of trace events are written as QEMU prints them, with these marks for what varies:
 *
 * | mark | stands for | gives |
 * |---|---|---|
 * | `%D` | ` (NAME)`, the device, with the blank and the brackets | its name |
 * | `%s` | a device state | its name |
 * | `%m` | a migration status | its name |
 * | `%u` | a number, decimal or `0x` | the number, or `undefined` beyond 2^53 - 1 |
 * | `%d` | a decimal number, perhaps with a minus | the number |
 * | `%b` | a number that is a bool | the bool |
 * | `%e` | a return value, 0 or a negative errno | the errno, positive |
 * | `%a` | an address | a number, or hexadecimal text beyond 2^53 - 1 |
 * | `%w` | a word, to the next blank, comma or closing bracket | the word |
 * | `%t` | any text, to what follows in the format | the text |
 *
 * A line fits a format when it begins with it: later versions append arguments.
 */
interface Marks {
  D: string;
  s: MigState;
  m: MigrationStatus;
  u: number | undefined;
  d: number;
  b: boolean;
  e: number;
  a: number | string;
  w: string;
  t: string;
}

export type Mark = keyof Marks;

/** What the marks of a format give, in their order. */
export type Fields<F extends string> = F extends `${string}%${infer M extends Mark}${infer Rest}`
  ? [Marks[M], ...Fields<Rest>]
  : [];

/** Bytes that must come next, as 32-bit words, so that they are compared four at a time. */
export class Literal {
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Little-endian words at 0, 4, ...; the last one ends with the literal. Empty below four bytes. */
  readonly words: Int32Array;

  constructor(text: string) {
    const bytes = Buffer.from(text, 'latin1');
    this.bytes = bytes;
    this.length = bytes.length;
    const count = bytes.length < 4 ? 0 : Math.ceil(bytes.length / 4);
    this.words = Int32Array.from({ length: count }, (_, n) =>
      bytes.readInt32LE(Math.min(n * 4, bytes.length - 4)),
    );
  }

  /** Whether the text has these bytes at `at`. `view` must show the same bytes as `text`. */
  at(text: Uint8Array, view: DataView, at: number): boolean {
    const { words, length } = this;
    if (words.length === 0) return this.#short(text, at);
    const last = words.length - 1;
    for (let n = 0; n < last; n++) if (view.getInt32(at + n * 4, true) !== words[n]) return false;
    return view.getInt32(at + length - 4, true) === words[last];
  }

  #short(text: Uint8Array, at: number): boolean {
    for (let n = 0; n < this.length; n++) if (text[at + n] !== this.bytes[n]) return false;
    return true;
  }
}

/** One step of a format: a literal, or a mark with the literal behind it (for `%t`). */
export type Step = { readonly literal: Literal } | { readonly literal: undefined; readonly mark: Mark };

/** A format taken apart. */
export function compileFormat(format: string): Step[] {
  const steps: Step[] = [];
  for (const part of format.split(/(%[a-zA-Z])/)) {
    if (part.startsWith('%')) steps.push({ literal: undefined, mark: part[1] as Mark });
    else if (part !== '') steps.push({ literal: new Literal(part) });
  }
  return steps;
}
