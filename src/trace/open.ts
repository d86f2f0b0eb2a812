import { basename } from 'node:path';
import { type Decoder, decoderFor, MAGIC_LENGTH } from './decompress.js';
import type { EventKind, TraceEvent } from './event.js';
import { type Fill, InputError, type ParseCounts, type Parser, type Reader } from './reader.js';
import { READERS } from './readers/index.js';
import { openSource, type Source } from './source.js';

/** One input as the user named it. */
export interface TraceInput {
  /** Path, or `-` for standard input. */
  file: string;
  /** Name of the host; the default is the file's name up to its first dot. */
  host?: string;
  /** Format name; the default is to find it out. */
  format?: string;
}

/** Who gets the events of an input, and hears how far it is. */
export interface ReadOptions {
  emit(event: TraceEvent): void;
  wants?: ReadonlySet<EventKind>;
  /** Called when the format is known, before the first event. */
  opened?(reader: Reader): void;
  /** Called now and then with the bytes of the file read so far and its size (undefined for pipes). */
  progress?(done: number, total: number | undefined): void;
}

/** What was read. */
export interface ReadSummary {
  file: string;
  host: string;
  format: string;
  shows: ReadonlySet<EventKind>;
  /** Bytes that were read as the format, so after decompression. */
  bytes: number;
  /** The last line or record was incomplete, or the compressed data was. */
  cut: boolean;
  counts: ParseCounts;
  remarks: string[];
}

/** Gives inputs whose files have the same name different hosts: two hosts are never taken for one. */
export function distinctHosts(inputs: readonly TraceInput[]): TraceInput[] {
  const seen = new Map<string, number>();
  return inputs.map((input) => {
    if (input.host !== undefined) return input;
    const name = hostName(input.file === '-' ? 'stdin' : input.file);
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? input : { ...input, host: `${name}#${count}` };
  });
}

/** Bytes by which a format is found out. */
const HEAD = 1 << 16;
/** Lowest score of `Reader.detect` that counts. */
const SURE_ENOUGH = 0.3;
/** Bytes of the file after which progress is told. */
const PROGRESS = 1 << 26;
/** Most remarks that are kept. */
const MAX_REMARKS = 20;

/**
 * Reads one input from its start to its end: opens it, decompresses gzip and zstd, finds the format
 * out, and pushes blocks through the reader. Memory does not grow with the input.
 * Damaged compressed data ends the input there, with `cut` and a remark, when something came before it.
 * @throws InputError when it cannot be opened, is a directory, empty, or of no known format
 */
export async function readTrace(input: TraceInput, options: ReadOptions): Promise<ReadSummary> {
  const feed = new Feed(input, options);
  const source = await openSource(input.file);
  try {
    const broken = await pump(source, feed, input, options);
    return feed.finish(broken);
  } finally {
    await source.close();
  }
}

/** Brings all bytes of the source to the feed. Returns what is wrong with the compressed data, if anything. */
async function pump(
  source: Source,
  feed: Feed,
  input: TraceInput,
  options: ReadOptions,
): Promise<string | undefined> {
  const head = await first(source);
  const decoder = decoderFor(head, (block) => feed.push(block));
  const plain = decoder === undefined && input.format === undefined ? head : undefined;
  await Promise.all(READERS.map((reader) => reader.prepare?.(plain)));
  let done = 0;
  let told = 0;
  const progress = (length: number) => {
    done += length;
    if (done - told < PROGRESS) return;
    told = done;
    options.progress?.(done, source.size);
  };
  try {
    for (let block = head; block.length > 0; block = await source.next()) {
      if (decoder) await decoder.write(block);
      else feed.push(block);
      progress(block.length);
      if (!decoder && source.fill && feed.pulls) await pullAll(source, source.fill, feed, progress);
    }
    await decoder?.end();
  } catch (error) {
    return damage(error, decoder, feed);
  }
  options.progress?.(done, source.size);
  return undefined;
}

/** Has the parser read the rest of a plain file by itself. */
async function pullAll(
  source: Source,
  fill: Fill,
  feed: Feed,
  progress: (length: number) => void,
): Promise<void> {
  for (let length = feed.pull(fill); length > 0; length = feed.pull(fill)) {
    progress(length);
    const turn = source.turn();
    if (turn) await turn;
  }
}

/** The first block, long enough to know compressed data by; a pipe may give a single byte at first. */
async function first(source: Source): Promise<Uint8Array> {
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < MAGIC_LENGTH) {
    const block = await source.next();
    if (block.length === 0) break;
    head = head.length === 0 && block.length >= MAGIC_LENGTH ? block : Buffer.concat([head, block]);
  }
  return head;
}

/** Sorts out errors of the compressed data from all others, which are thrown on. */
function damage(error: unknown, decoder: Decoder | undefined, feed: Feed): string {
  if (decoder === undefined || error instanceof InputError || !isDataError(error)) throw error;
  const text = `${decoder.name} data is damaged or incomplete (${(error as Error).message})`;
  if (feed.bytes === 0) throw new InputError(`${feed.file}: ${text}`);
  return `${text}: what stands before byte ${feed.bytes} was read, the rest was not`;
}

/** Errors of zlib have a code that starts with Z_ (zstd: ZSTD_); those of fzstd have a number. */
function isDataError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  return typeof code === 'number' || (typeof code === 'string' && /^Z(STD)?_/.test(code));
}

/** Holds back the head until the format is known, then passes everything to the parser. */
class Feed {
  readonly file: string;
  /** Bytes taken so far. */
  bytes = 0;
  readonly #input: TraceInput;
  readonly #options: ReadOptions;
  readonly #host: string;
  readonly #remarks: string[] = [];
  #head: Uint8Array[] = [];
  #opened: { reader: Reader; parser: Parser } | undefined;

  constructor(input: TraceInput, options: ReadOptions) {
    this.file = input.file === '-' ? 'stdin' : input.file;
    this.#input = input;
    this.#options = options;
    this.#host = input.host ?? hostName(this.file);
    if (input.format !== undefined) readerNamed(input.format);
  }

  push(block: Uint8Array): void {
    this.bytes += block.length;
    if (this.#opened) return void this.#opened.parser.write(block);
    this.#head.push(Uint8Array.from(block));
    if (this.bytes >= HEAD) this.#open();
  }

  /** Whether the format is known, and its parser reads into a buffer of its own. */
  get pulls(): boolean {
    return this.#opened?.parser.pull !== undefined;
  }

  pull(fill: Fill): number {
    const length = this.#opened?.parser.pull?.(fill) ?? 0;
    this.bytes += length;
    return length;
  }

  /** @throws InputError when nothing came, or nothing of a known format */
  finish(broken: string | undefined): ReadSummary {
    if (this.bytes === 0) throw new InputError(`${this.file}: is empty`);
    const { reader, parser } = this.#opened ?? this.#open();
    const { cut } = parser.end();
    if (broken !== undefined) this.#remarks.push(broken);
    return {
      file: this.file,
      host: this.#host,
      format: reader.format,
      shows: parser.shows ?? reader.shows,
      bytes: this.bytes,
      cut: cut || broken !== undefined,
      counts: parser.counts,
      remarks: this.#remarks,
    };
  }

  #open(): { reader: Reader; parser: Parser } {
    const head = Buffer.concat(this.#head);
    this.#head = [];
    const { format } = this.#input;
    const reader = format === undefined ? findReader(head.subarray(0, HEAD), this.file) : readerNamed(format);
    const { wants, emit } = this.#options;
    this.#options.opened?.(reader);
    const parser = reader.open({
      file: this.file,
      host: this.#host,
      ...(wants ? { wants } : {}),
      emit,
      remark: (text) => {
        if (this.#remarks.length < MAX_REMARKS) this.#remarks.push(text);
      },
    });
    parser.write(head);
    this.#opened = { reader, parser };
    return this.#opened;
  }
}

/** The file's name up to its first dot. */
function hostName(file: string): string {
  const name = basename(file);
  const dot = name.indexOf('.');
  return dot > 0 ? name.slice(0, dot) : name;
}

const formats = () => READERS.map(({ format }) => format).join(', ');

function readerNamed(format: string): Reader {
  const reader = READERS.find((candidate) => candidate.format === format);
  if (!reader) throw new InputError(`unknown format ${JSON.stringify(format)}; formats are ${formats()}`);
  return reader;
}

function findReader(head: Uint8Array, file: string): Reader {
  let best: { reader: Reader; score: number } | undefined;
  for (const reader of READERS) {
    const score = reader.detect(head, file);
    if (score >= SURE_ENOUGH && score > (best?.score ?? 0)) best = { reader, score };
  }
  if (best) return best.reader;
  const what = head.includes(0) ? 'binary data of unknown format' : 'unknown format';
  throw new InputError(`${file}: ${what}; tried ${formats()}; if it is one of them, say so with --format`);
}
