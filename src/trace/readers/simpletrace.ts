import {
  countUnknown,
  InputError,
  newCounts,
  type ParseContext,
  type ParseCounts,
  type Parser,
  type Reader,
} from '../reader.js';
import { qemuLogReader } from './qemu-log.js';
import { IGNORED_EVENTS } from './qemu-log-ignored.js';
import { type Format, formatsOf, render } from './simpletrace-formats.js';
import { TextFeed } from './simpletrace-text.js';

/** `TraceLogHeader`: an event id that no event has, the magic number, the version. Each 8 bytes. */
const HEADER = 24;
const HEADER_ID = 0xffff_ffff_ffff_ffffn;
const MAGIC = 0xf2b1_77cb_0aa4_29b4n;
const VERSION = 4n;
/** Event id of the record that says how many events were lost. */
const DROPPED_ID = 0xffff_ffff_ffff_fffen;
/** Type of a record that names an event id; every other type is an event. */
const MAPPING = 0n;
/** Bytes of a record's type. */
const TYPE = 8;
/** `TraceRecord` without its arguments: id, time (ns), length with this head, pid. */
const RECORD = 24;
/** Id and length of a mapping's name. */
const MAPPING_HEAD = 12;
/** Longest record that is believed; QEMU cuts texts at 512 bytes. */
const MAX_RECORD = 1 << 16;
const MAX_NAME = 1024;
/** Most event names; QEMU 11.1 has about 4000. */
const MAX_EVENTS = 1 << 16;

const IGNORED: ReadonlySet<string> = new Set(IGNORED_EVENTS);

/** What the header says: the byte order, or why the file is refused. */
function readHeader(head: Uint8Array, file: string): boolean | undefined {
  if (head.length < HEADER) return undefined;
  const at = new DataView(head.buffer, head.byteOffset, HEADER);
  const little = [true, false].find((order) => at.getBigUint64(8, order) === MAGIC);
  if (little === undefined || at.getBigUint64(0, little) !== HEADER_ID) return undefined;
  const version = at.getBigUint64(16, little);
  if (version === VERSION) return little;
  throw new InputError(
    `${file}: simpletrace file of version ${version}; only version 4 (QEMU 2.10 and later) names its events and can be read`,
  );
}

/** Reads one file. `line` of an event is the byte offset of its record. */
class SimpletraceParser implements Parser {
  readonly counts: ParseCounts = newCounts();
  readonly #context: ParseContext;
  readonly #text: TextFeed;
  readonly #events = new Map<bigint, { name: string; formats: readonly Format[] | undefined }>();
  #rest: Buffer = Buffer.alloc(0);
  /** Byte offset of `#rest` in the file. */
  #offset = 0;
  #little: boolean | undefined;
  #stopped = false;
  #dropped = 0n;
  /** Records that could not be read here; the log reader counts those that it cannot read. */
  #malformed = 0;

  constructor(context: ParseContext) {
    this.#context = context;
    this.#text = new TextFeed(context);
  }

  write(block: Uint8Array): void {
    if (this.#stopped) return;
    const bytes = Buffer.concat([this.#rest, block]);
    const done = this.#records(bytes);
    // A copy: the block belongs to the caller.
    this.#rest = Buffer.from(bytes.subarray(done));
    this.#offset += done;
    this.#text.flush();
    this.#count();
  }

  end(): { cut: boolean } {
    this.#text.end();
    this.#count();
    if (this.#dropped > 0n) {
      this.#context.remark(
        `QEMU lost ${this.#dropped} events because its trace buffer was full: what is missing here may still have happened`,
      );
    }
    return { cut: this.#stopped || this.#rest.length > 0 || this.#little === undefined };
  }

  #count(): void {
    const { counts } = this;
    counts.decoded = this.#text.counts.decoded;
    counts.malformed = this.#malformed + this.#text.counts.malformed;
    counts.ignored = counts.lines - counts.decoded - counts.malformed;
  }

  /** Reads whole records from the start of `bytes`; returns how many bytes they take. */
  #records(bytes: Buffer): number {
    let at = 0;
    if (this.#little === undefined) {
      if (bytes.length < HEADER) return 0;
      this.#little = readHeader(bytes, this.#context.file);
      if (this.#little === undefined) throw new InputError(`${this.#context.file}: no simpletrace header`);
      at = HEADER;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    while (!this.#stopped && at + TYPE <= bytes.length) {
      const isMapping = view.getBigUint64(at, this.#little) === MAPPING;
      const size = isMapping ? this.#mapping(view, bytes, at + TYPE) : this.#event(view, bytes, at + TYPE);
      if (size === undefined) break;
      this.counts.lines++;
      at += TYPE + size;
    }
    return at;
  }

  /** A record that names an event id. Returns its size, or `undefined` when it is not whole yet. */
  #mapping(view: DataView, bytes: Buffer, at: number): number | undefined {
    if (at + MAPPING_HEAD > bytes.length) return undefined;
    const length = view.getUint32(at + 8, this.#little);
    if (length === 0 || length > MAX_NAME) return this.#stop(at, `an event name of ${length} bytes`);
    if (at + MAPPING_HEAD + length > bytes.length) return undefined;
    const name = bytes.toString('latin1', at + MAPPING_HEAD, at + MAPPING_HEAD + length);
    const id = view.getBigUint64(at, this.#little);
    if (this.#events.size < MAX_EVENTS) this.#events.set(id, { name, formats: formatsOf(name) });
    this.#text.built(name);
    return MAPPING_HEAD + length;
  }

  /** An event. Returns its size, or `undefined` when it is not whole yet. */
  #event(view: DataView, bytes: Buffer, at: number): number | undefined {
    if (at + RECORD > bytes.length) return undefined;
    const length = view.getUint32(at + 16, this.#little);
    if (length < RECORD || length > MAX_RECORD) return this.#stop(at, `a record of ${length} bytes`);
    if (at + length > bytes.length) return undefined;
    const id = view.getBigUint64(at, this.#little);
    const args = new DataView(view.buffer, view.byteOffset + at + RECORD, length - RECORD);
    if (id === DROPPED_ID) this.#drop(args);
    else
      this.#traced(
        id,
        args,
        Number(view.getBigUint64(at + 8, this.#little)) / 1000,
        this.#offset + at - TYPE,
      );
    return length;
  }

  /** After an impossible length nothing can be found again: there is no mark between records. */
  #stop(at: number, what: string): undefined {
    this.#stopped = true;
    this.counts.lines++;
    this.#malformed++;
    this.#context.remark(
      `${this.#context.file}: ${what} at byte ${this.#offset + at - TYPE} cannot be; what follows was not read`,
    );
    return undefined;
  }

  #drop(args: DataView): void {
    if (args.byteLength >= 8) this.#dropped += args.getBigUint64(0, this.#little);
    else this.#malformed++;
  }

  #traced(id: bigint, args: DataView, t: number, offset: number): void {
    const event = this.#events.get(id);
    if (event === undefined) {
      countUnknown(this.counts, `event ${id}`);
      return;
    }
    const { name, formats } = event;
    if (formats === undefined) {
      if (!IGNORED.has(name)) countUnknown(this.counts, name);
      return;
    }
    for (const format of formats) {
      const text = render(format, args, this.#little!);
      if (text === undefined) continue;
      this.#text.push(name, text, t, offset);
      return;
    }
    this.#malformed++;
  }
}

/**
 * Files of QEMU's `simple` trace back end, version 4, in either byte order.
 * Source: `trace/simple.c`, `scripts/tracetool/backend/simple.py`. Times are of the monotonic clock.
 */
export const simpletraceReader: Reader = {
  format: 'qemu-simpletrace',
  title: 'QEMU trace events, simple back end (binary)',
  shows: qemuLogReader.shows,
  detect: (head, file) => (readHeader(head, file) === undefined ? 0 : 1),
  open: (context) => new SimpletraceParser(context),
};
