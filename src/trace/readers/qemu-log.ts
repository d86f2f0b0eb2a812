import type { EventKind, TraceEvent } from '../event.js';
import {
  countUnknown,
  type Fill,
  newCounts,
  type ParseContext,
  type ParseCounts,
  type Parser,
  type Reader,
} from '../reader.js';
import type { ScanKernel } from '../scan/kernel.js';
import { prefixLength } from '../scan/prefix.js';
import { bestKernel, LineScanner, type ScanName } from '../scan/scan.js';
import { IGNORED_EVENTS } from './qemu-log-ignored.js';
import { IOMMUFD_ROWS } from './qemu-log-iommufd.js';
import { LogLine } from './qemu-log-line.js';
import { LogMemory } from './qemu-log-memory.js';
import { MIGRATION_ROWS } from './qemu-log-migration.js';
import type { Bare, Row } from './qemu-log-row.js';
import { VDPA_ROWS } from './qemu-log-vdpa.js';
import { VFIO_ROWS } from './qemu-log-vfio.js';
import { VHOST_ROWS } from './qemu-log-vhost.js';

/** All trace events that give something, in the order of their numbers in the scanner. */
export const QEMU_ROWS: readonly Row[] = [
  ...VFIO_ROWS,
  ...MIGRATION_ROWS,
  ...VHOST_ROWS,
  ...VDPA_ROWS,
  ...IOMMUFD_ROWS,
];

const SHOWS: ReadonlySet<EventKind> = new Set(QEMU_ROWS.flatMap((row) => row.kinds));

/**
 * QEMU's `log` trace back end (`-trace EVENT` with `-D FILE` or on standard error), QEMU 8.0 to 11.1
 * (events of vhost: 7.2 to 11.1), with any of its prefixes: none, `TID@SECONDS.MICROSECONDS:`, ISO 8601 in UTC.
 * Source of the formats: QEMU's `hw/vfio/trace-events`, `hw/virtio/trace-events` and
 * `migration/trace-events` of each version.
 */
export const qemuLogReader: Reader = {
  format: 'qemu-log',
  title: 'QEMU trace events, log back end (QEMU 8.0 to 11.1)',
  shows: SHOWS,
  detect,
  open: (context) => new QemuLogParser(context),
};

/** Reads one log. Throws `InputError` from `write` and `end` when the log is of protocol v1. */
export class QemuLogParser implements Parser {
  readonly counts: ParseCounts = newCounts();
  readonly #context: ParseContext;
  readonly #wants: ReadonlySet<EventKind> | undefined;
  readonly #line: LogLine;
  readonly #memory: LogMemory;
  readonly #scanner: LineScanner;

  constructor(context: ParseContext, kernel: ScanKernel = bestKernel()) {
    this.#context = context;
    this.#wants = context.wants;
    this.#line = new LogLine(context.host, context.file);
    this.#memory = new LogMemory(this.#line);
    this.#scanner = new LineScanner(scanNames(context.wants), this.#take, kernel);
  }

  write(block: Uint8Array): void {
    this.#scanner.write(block);
    this.#count();
  }

  pull(fill: Fill): number {
    const length = this.#scanner.pull(fill);
    this.#count();
    return length;
  }

  /**
   * A line of this format ends with a newline. One without may have lost its end and read well all the
   * same (`STOP` of `STOP_COPY`), so it is not read.
   */
  end(): { cut: boolean } {
    const cut = this.#scanner.drop();
    this.#count();
    for (const [name, lines] of this.#scanner.others()) {
      countUnknown(this.counts, name);
      if (this.counts.unknown.has(name)) this.counts.unknown.set(name, lines);
    }
    if (this.#memory.vhost.several)
      this.#context.remark(
        'messages of several vhost-user back ends cannot be told apart in this log: they are read up to the second connection only',
      );
    return { cut };
  }

  /** Lines with a known event, whether it gives something or not. */
  get known(): number {
    let lines = 0;
    for (let name = 0; name < NAMES; name++) lines += this.#scanner.count(name);
    return lines;
  }

  #count(): void {
    this.counts.lines = this.#scanner.lines;
    this.counts.ignored = this.counts.lines - this.counts.decoded - this.counts.malformed;
  }

  readonly #take = (
    text: Buffer,
    start: number,
    args: number,
    end: number,
    number: number,
    name: number,
  ): void => {
    const row = QEMU_ROWS[name]!;
    const line = this.#line;
    line.number = number;
    line.open(text, start, args, end, row.name.length);
    const events = this.#read(row);
    if (events === undefined) this.counts.malformed++;
    else if (Array.isArray(events)) this.#emitAll(events);
    else if (this.#emit(events as Bare)) this.counts.decoded++;
  };

  /** What the line gives by the first of the row's formats that fits; `undefined` when none does. */
  #read(row: Row): Bare | readonly Bare[] | undefined {
    const { fields: f } = this.#line;
    for (const { steps, make } of row.forms) {
      // No format has more marks than fields are passed here; a call with a spread array is slower.
      if (this.#line.fits(steps)) return make(this.#memory, f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]);
    }
    return undefined;
  }

  #emitAll(events: readonly Bare[]): void {
    let emitted = false;
    for (const event of events) emitted = this.#emit(event) || emitted;
    if (emitted) this.counts.decoded++;
  }

  /** Adds the place and passes the event on, when somebody wants it. */
  #emit(bare: Bare): boolean {
    if (this.#wants !== undefined && !this.#wants.has(bare.kind)) return false;
    const line = this.#line;
    const event = bare as TraceEvent;
    event.host = line.host;
    event.file = line.file;
    event.line = line.number;
    if (line.t !== undefined) event.t = line.t;
    if (line.thread !== undefined) event.thread = line.thread;
    this.#context.emit(event);
    return true;
  }
}

const NAMES = QEMU_ROWS.length + IGNORED_EVENTS.length;

/** The names to look for: the rows, in their order, then those whose lines are only known. */
function scanNames(wants: ReadonlySet<EventKind> | undefined): ScanName[] {
  const wanted = (row: Row) => wants === undefined || row.always || row.kinds.some((kind) => wants.has(kind));
  return [
    ...QEMU_ROWS.map((row) => ({ name: row.name, wanted: wanted(row) })),
    ...IGNORED_EVENTS.map((name) => ({ name, wanted: false })),
  ];
}

/** Score of a head in which one line in a thousand is a known event; it grows to `ALL_KNOWN`. */
const ONE_KNOWN = 0.5;
const ALL_KNOWN = 0.95;
/** Score of a head that has time prefixes and event names, but none that is known. */
const ONLY_SHAPE = 0.3;

/** Reads the head as a log and looks at how much of it was understood. */
function detect(head: Uint8Array, file: string): number {
  const last = head.lastIndexOf(10);
  const whole = last < 0 ? head : head.subarray(0, last + 1);
  const parser = new QemuLogParser({ file, host: '', emit: () => {}, remark: () => {} });
  parser.write(whole);
  parser.end();
  const { lines, unknown } = parser.counts;
  if (parser.known > 0) return ONE_KNOWN + ((ALL_KNOWN - ONE_KNOWN) * parser.known) / lines;
  return unknown.size > 0 && prefixed(whole) * 2 > lines ? ONLY_SHAPE : 0;
}

/** Lines with a time prefix. */
function prefixed(text: Uint8Array): number {
  let found = 0;
  for (let start = 0; start < text.length; ) {
    if (prefixLength(text, start) > 0) found++;
    const newline = text.indexOf(10, start);
    start = newline < 0 ? text.length : newline + 1;
  }
  return found;
}
