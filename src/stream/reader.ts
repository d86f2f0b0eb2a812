import {
  isTargetPageSize,
  STREAM_BYTES,
  STREAM_MAGIC,
  STREAM_VERSION,
  TARGET_PAGE_SIZES,
} from '../uapi/qemu-stream.js';
import { readCommand } from './command.js';
import { readConfiguration } from './configuration-reader.js';
import { type BodyParsers, type Context, tell } from './context.js';
import { Cursor, type Steps } from './cursor.js';
import { BodySizes, MAX_DESCRIPTION, parseDescription, type VmDescription } from './description.js';
import { hex, StreamError } from './error.js';
import type { StreamSink } from './item.js';
import { readSection, sectionType } from './section-reader.js';
import { StepsRunner } from './steps-runner.js';

/** How a stream is read, and within which bounds. */
export interface ReaderOptions extends BodyParsers {
  /**
   * Target page size. Default: what the stream tells before its first page (configuration, POSTCOPY_ADVISE,
   * `description`), else 4096.
   */
  pageSize?: number;
  /** Offset of the first byte in its file, if it is not the file's: those of mapped-ram count from there. */
  origin?: number;
  /**
   * The vmdescription, from the end of a file (`findDescription`). With it the bodies of FULL sections are
   * read by their sizes; without it, up to the footer behind them.
   */
  description?: VmDescription;
  /**
   * Keep a checksum of all that was read (`checksum` of the reader, and of the cursor in a body parser).
   * Nothing is `skippable` then: bytes that are left out have no checksum.
   */
  checksum?: boolean;
}

/**
 * Reads a migration stream, block by block, and hands to a sink what it consists of.
 *
 * Memory does not grow with the stream: blocks are read in place, and what is kept is a bound number of
 * names, one page, the vmdescription, and in a mapped-ram file the bitmap of one block.
 */
export class StreamReader {
  readonly #context: Context;
  readonly #runner: StepsRunner;
  #eof = false;

  constructor(sink: StreamSink, options: ReaderOptions = {}) {
    const { description, checksum = false } = options;
    const pageSize = options.pageSize ?? description?.pageSize ?? TARGET_PAGE_SIZES.usual;
    if (!isTargetPageSize(pageSize)) {
      const { least, most } = TARGET_PAGE_SIZES;
      throw new RangeError(`pageSize: expected a power of 2 from ${least} to ${most}, got ${pageSize}`);
    }
    this.#context = {
      cursor: new Cursor(options.origin, { checksum }),
      sink,
      pageSize,
      capabilities: new Set(),
      pageSizes: 0n,
      sections: new Map(),
      footers: undefined,
      description,
      sizes: description === undefined ? undefined : new BodySizes(description),
      ram: { blocks: new Map(), last: undefined },
      parsers: options,
      held: 0,
    };
    this.#runner = new StepsRunner(this.#context.cursor, this.#stream(this.#context));
  }

  /** Offset of the next byte that has not been understood yet. */
  get offset(): number {
    return this.#context.cursor.offset;
  }

  /**
   * Checksum of all bytes before `offset`.
   * @throws TypeError without the option `checksum`
   */
  get checksum(): number {
    return this.#context.cursor.checksum;
  }

  /** Target page size: certain from the first RAM section on. */
  get pageSize(): number {
    return this.#context.pageSize;
  }

  /** Bytes of the input that are held between two blocks. */
  get held(): number {
    return this.#context.cursor.held + this.#context.held;
  }

  /** The end of the stream has been read; only the vmdescription may follow. */
  get atEof(): boolean {
    return this.#eof;
  }

  /** Bytes ahead that nobody wants: instead of writing them, the caller may `skip` them. */
  get skippable(): number {
    return this.#context.cursor.skippable;
  }

  skip(size: number): void {
    this.#context.cursor.jump(size);
  }

  /**
   * Takes the next block, of any size. It may be reused afterwards.
   * @throws StreamError where the stream is damaged; the sink has all that stands before
   */
  write(block: Uint8Array): void {
    this.#runner.write(block);
  }

  /**
   * The input has ended.
   * @throws StreamError when the stream has not
   */
  end(): void {
    this.#runner.end();
  }

  *#stream(x: Context): Steps {
    const { cursor: c } = x;
    yield* readHeader(x);
    yield* c.need(1, 'a section');
    if (c.bytes[c.pos] === STREAM_BYTES.CONFIGURATION) yield* readConfiguration(x);
    yield* readParts(x, false);
    this.#eof = true;
    if (yield* hasMore(c)) {
      if (c.bytes[c.pos] === STREAM_BYTES.VMDESCRIPTION) yield* readDescription(x);
    }
    yield* readTrailing(x);
  }
}

function* hasMore(c: Cursor): Steps<boolean> {
  return c.available > 0 || (yield* c.more());
}

function* readHeader(x: Context): Steps {
  const { cursor: c } = x;
  const start = c.offset;
  const magic = yield* c.u32('the magic QEVM');
  if (magic !== STREAM_MAGIC) c.fail(`the magic QEVM (${hex(STREAM_MAGIC)})`, hex(magic, 8), start);
  const version = yield* c.u32('the version of the stream');
  if (version !== STREAM_VERSION) c.fail(`version ${STREAM_VERSION} of the stream`, `${version}`, start + 4);
  tell(x, { kind: 'header', version }, start);
}

/** Reads sections and commands: up to EOF, or in a package up to its end. */
function* readParts(x: Context, packaged: boolean): Steps {
  const { cursor: c } = x;
  for (;;) {
    if (packaged && c.offset === c.limit) return;
    const at = c.offset;
    const byte = yield* c.u8('a section, a command or the end of the stream');
    const type = sectionType(byte);
    if (type !== undefined) {
      yield* readSection(x, type);
    } else if (byte === STREAM_BYTES.COMMAND) {
      yield* readOneCommand(x, at, packaged);
    } else if (byte === STREAM_BYTES.EOF && !packaged) {
      tell(x, { kind: 'eof' }, at);
      return;
    } else {
      c.fail('a section (0x01 to 0x04), a command (0x08) or the end of the stream (0x00)', hex(byte), at);
    }
  }
}

function* readOneCommand(x: Context, at: number, packaged: boolean): Steps {
  const { cursor: c } = x;
  const item = yield* readCommand(c);
  tell(x, item, at);
  if (item.name === 'POSTCOPY_ADVISE' && item.pageSizes !== undefined) {
    x.pageSizes = item.pageSizes;
    x.pageSize = item.targetPageSize ?? x.pageSize;
  }
  if (item.name !== 'PACKAGED') return;
  if (packaged) c.fail('no package inside a package', 'one', at);
  c.limit = c.offset + item.size;
  yield* readParts(x, true);
  c.limit = Number.POSITIVE_INFINITY;
  tell(x, { kind: 'package-end' }, c.offset);
}

function* readDescription(x: Context): Steps {
  const { cursor: c } = x;
  const start = c.offset;
  yield* c.u8('the vmdescription');
  const length = yield* c.u32('the length of the vmdescription');
  if (length > MAX_DESCRIPTION) {
    c.fail(`a vmdescription of at most ${MAX_DESCRIPTION} bytes`, `${length}`, start + 1);
  }
  const held = x.held;
  const bytes = yield* c.copy(length, 'the vmdescription', (size) => {
    x.held = held + size;
  });
  x.held = held;
  const { text, description } = parsed(bytes, start + 5);
  tell(x, { kind: 'description', text, description }, start);
}

function parsed(bytes: Uint8Array, offset: number): { text: string; description: VmDescription } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { text, description: parseDescription(text) };
  } catch (error) {
    throw new StreamError(offset, 'a vmdescription in JSON', (error as Error).message);
  }
}

function* readTrailing(x: Context): Steps {
  const { cursor: c } = x;
  const start = c.offset;
  while (yield* hasMore(c)) c.pos += c.available;
  if (c.offset > start) x.sink.item({ kind: 'trailing', size: c.offset - start }, start, c.offset - start);
}
