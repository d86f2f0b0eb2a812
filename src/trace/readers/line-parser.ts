import type { EventKind, TraceEvent } from '../event.js';
import { LineSplitter } from '../lines.js';
import { newCounts, type ParseContext, type ParseCounts, type Parser } from '../reader.js';

/** What a line gave: its events (none: the line is ignored), or `undefined` when it is malformed. */
export type LineResult = readonly TraceEvent[] | undefined;

/** Where a line stands, in the form that events carry it. */
export interface LinePlace {
  host: string;
  file: string;
  line: number;
}

/** How lines of a format are read, beside what each of them means. */
export interface LineOptions {
  /** Gives events that a line before has left open. */
  finish?: () => readonly TraceEvent[];
  /** Bytes of a line that are kept. */
  longest?: number;
  /**
   * Each whole line ends with a newline. A last line without one may have lost its end and read well
   * all the same (`STOP` of `STOP_COPY`): it is not read, and the input was cut.
   */
  newline?: boolean;
}

/**
 * A parser over lines of text: splits blocks, keeps the counts, drops events that nobody listens to.
 * A last line without newline that cannot be read is a cut input.
 */
export function lineParser(
  context: ParseContext,
  read: (text: string, place: LinePlace, counts: ParseCounts) => LineResult,
  { finish = () => [], longest, newline = false }: LineOptions = {},
): Parser {
  const counts = newCounts();
  const wanted = (event: TraceEvent) => context.wants === undefined || context.wants.has(event.kind);
  const lines = new LineSplitter((text, line) => {
    counts.lines++;
    const events = read(text, { host: context.host, file: context.file, line }, counts)?.filter(wanted);
    if (events === undefined) counts.malformed++;
    else if (events.length === 0) counts.ignored++;
    else counts.decoded++;
    for (const event of events ?? []) context.emit(event);
  }, longest);
  const last = (): boolean => {
    if (newline) {
      const open = lines.drop();
      if (open) {
        counts.lines++;
        counts.ignored++;
      }
      return open;
    }
    const before = counts.malformed;
    return lines.end() && counts.malformed > before;
  };
  return {
    counts,
    write: (block) => lines.write(block),
    end() {
      const cut = last();
      // Events that waited for more: most of their lines were counted as ignored when they came.
      const late = finish().filter(wanted);
      const moved = Math.min(late.length, counts.ignored);
      counts.decoded += moved;
      counts.ignored -= moved;
      for (const event of late) context.emit(event);
      return { cut };
    },
  };
}

/** A JSON object, before anything is known of it. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON object that `text` is, or `undefined`. Never throws. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The first lines of `head` that are not blank; the last may be cut when the head is full. */
export function firstLines(head: Uint8Array, most: number): string[] {
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('utf8');
  const found: string[] = [];
  for (let start = 0; start < text.length && found.length < most; ) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end < 0 ? text.length : end).trim();
    if (line !== '') found.push(line);
    start = end < 0 ? text.length : end + 1;
  }
  return found;
}

/** A value as the number of a count field: a whole number from 0 to 2^53 - 1, else `undefined`. */
export function asCount(value: unknown): number | undefined {
  if (typeof value === 'bigint') return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** An address as events carry it: a number where it is exact, else hexadecimal text. */
export function asAddress(value: bigint): number | string {
  return asCount(value) ?? `0x${value.toString(16)}`;
}

/** A recorder's time in seconds as the `t` of an event, in µs; absent when it is no time. */
export function micros(seconds: unknown): { t?: number } {
  return typeof seconds === 'number' && Math.abs(seconds) < 9e9 ? { t: Math.round(seconds * 1e6) } : {};
}

/** A set of event kinds, checked against the vocabulary. */
export function kinds(...names: EventKind[]): ReadonlySet<EventKind> {
  return new Set(names);
}
