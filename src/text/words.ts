import { stripVTControlCharacters, styleText } from 'node:util';

/** Widest line of our own text. Lines quoted from a trace may be longer. */
export const WIDTH = 100;

/**
 * Characters that must not reach a terminal or a log from a trace: C0 and C1 controls, line and
 * paragraph separators, and the marks that reorder text.
 */
const UNSAFE = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu;

/** Text from a trace, fit for one line of a terminal: no escape sequences, no control characters. */
export function clean(text: string): string {
  return stripVTControlCharacters(text).replace(UNSAFE, ' ');
}

/** `text` cut to `length` characters. */
export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`;
}

/** A number with separators: `11,450,402`. */
export function number(value: number): string {
  // A whole number is not worth the time that the tables of the locales take to load.
  return Number.isSafeInteger(value)
    ? String(value).replace(/\B(?=(?:\d{3})+$)/g, ',')
    : value.toLocaleString('en-US');
}

/** `1 line`, `2 lines`. */
export function plural(count: number, word: string, many = `${word}s`): string {
  return `${number(count)} ${count === 1 ? word : many}`;
}

/** Microseconds in words: `850 us`, `12.4 ms`, `3.21 s`, `4 min 5 s`. */
export function duration(microseconds: number): string {
  const us = Math.abs(microseconds);
  const sign = microseconds < 0 ? '-' : '';
  if (us < 1000) return `${sign}${Math.round(us)} us`;
  if (us < 1e6) return `${sign}${figures(us / 1e3)} ms`;
  if (us < 60e6) return `${sign}${figures(us / 1e6)} s`;
  const seconds = Math.round(us / 1e6);
  if (seconds < 3600) return `${sign}${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${sign}${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** Bytes in words: `36 B`, `12.4 MiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : figures(value)} ${units[unit]}`;
}

/** Three significant figures, without an exponent. */
function figures(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/**
 * Breaks `text` at spaces into lines of at most `width` characters, the first of at most `first`; a
 * longer word stands alone.
 */
export function wrap(text: string, width: number, first = width): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    if (line === '') line = word;
    else if (line.length + 1 + word.length <= (lines.length === 0 ? first : width)) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  if (line !== '') lines.push(line);
  return lines;
}

/** Widest head that the lines below it are indented to. */
const MOST_INDENT = 30;

/** `head` and then `text`, wrapped; later lines stand under the first word, unless the head is long. */
export function hanging(head: string, text: string): string[] {
  const indent = head.length <= MOST_INDENT ? head.length : 6;
  const [first = '', ...rest] = wrap(text, WIDTH - indent, Math.max(1, WIDTH - head.length));
  return [`${head}${first}`.trimEnd(), ...rest.map((line) => ' '.repeat(indent) + line)];
}

/** At most `most` of `items`, joined, and how many there are beyond them. */
export function list(items: readonly string[], most: number): string {
  const shown = items.slice(0, most).join(', ');
  return items.length > most ? `${shown}, and ${number(items.length - most)} more` : shown;
}

export type Style = Parameters<typeof styleText>[0];
/** Colours a text, or returns it as it is. */
export type Paint = (style: Style, text: string) => string;

/** The caller has decided about colour, so the stream is not asked a second time. */
export function painter(color: boolean): Paint {
  return color ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text;
}

/** A word as a shell takes it, in quotes where it needs them. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
