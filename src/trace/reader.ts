import type { EventKind, TraceEvent } from './event.js';
import { detached } from './lines.js';

/** What a parser counts. Every line is decoded, ignored or malformed; nothing is dropped unseen. */
export interface ParseCounts {
  /** Lines of the input (records, for binary formats). */
  lines: number;
  /** Lines that gave at least one event. */
  decoded: number;
  /** Lines that belong to the format, or to something else in the same log, and give no event. */
  ignored: number;
  /** Lines that claim to be a known event and cannot be read as one. */
  malformed: number;
  /** Names of events that the reader does not know, with how often they came; bounded in size. */
  unknown: Map<string, number>;
}

/** Where a parser puts what it reads. */
export interface ParseContext {
  /** Name of the input as messages show it. */
  readonly file: string;
  /** Name of the host (process or kernel) that the input belongs to, unless the input tells better. */
  readonly host: string;
  /**
   * Kinds that somebody listens to. A reader may skip the decoding of a line whose event is not
   * among them (it counts as ignored); absent: everything is wanted.
   */
  readonly wants?: ReadonlySet<EventKind>;
  /** Takes each event, in the order of the input. The parser never touches an event afterwards. */
  emit(event: TraceEvent): void;
  /** Takes a remark about the input, for the person who reads the report. At most a few per input. */
  remark(text: string): void;
}

/** Puts the next bytes of an input, at most `most`, into `into` at `at`; returns how many, 0 at the end. */
export type Fill = (into: Buffer, at: number, most: number) => number;

/** Reads one input. Blocks may cut lines and records anywhere. */
export interface Parser {
  readonly counts: ParseCounts;
  /**
   * For inputs that tell it themselves: the kinds that this very input can show, in place of the
   * reader's. Asked after `end()`.
   */
  readonly shows?: ReadonlySet<EventKind>;
  /** Takes the next block of (decompressed) bytes. The block may be reused by the caller afterwards. */
  write(block: Uint8Array): void;
  /**
   * For parsers with a buffer of their own: has the next bytes put there, which saves a copy. Returns how
   * many there were.
   */
  pull?(fill: Fill): number;
  /** The input has ended; a last line without newline is read now. `cut` is true when it was incomplete. */
  end(): { cut: boolean };
}

/** One recorded format. */
export interface Reader {
  /** Name for `--format` and reports, such as `qemu-log`. */
  readonly format: string;
  /** The format in a few words. */
  readonly title: string;
  /** Profile of the peer that this format always records, such as `libvfio-user`; absent when it can be any. */
  readonly profile?: string;
  /**
   * How sure the reader is that `head` (the first bytes of the input, at most 64 KiB) is its format:
   * 0 no, 1 certain. A throw of `InputError` means: this is mine and I refuse it, with the reason.
   */
  detect(head: Uint8Array, file: string): number;
  /** Kinds of event that this format can show at all. A rule that needs others is not observable. */
  readonly shows: ReadonlySet<EventKind>;
  /**
   * Loads what `open` needs, when the input may be of this format: `head` are its first bytes, undefined
   * when only decompression will show them, or when the format is given. Awaited before `open`.
   */
  prepare?(head: Uint8Array | undefined): Promise<void>;
  /** Starts reading one input. */
  open(context: ParseContext): Parser;
}

/** Bad input, with a message for people: what is wrong, where, what to do. Leads to exit code 2. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** Counts of an input of which nothing was read yet. */
export function newCounts(): ParseCounts {
  return { lines: 0, decoded: 0, ignored: 0, malformed: 0, unknown: new Map() };
}

/** Most names that `ParseCounts.unknown` holds. */
const UNKNOWN_LIMIT = 1000;

/** Counts an event name that no reader knows. */
export function countUnknown(counts: ParseCounts, name: string): void {
  const seen = counts.unknown.get(name);
  if (seen !== undefined) counts.unknown.set(name, seen + 1);
  else if (counts.unknown.size < UNKNOWN_LIMIT) counts.unknown.set(detached(name), 1);
}
