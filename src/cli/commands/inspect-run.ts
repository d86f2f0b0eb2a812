import { DESCRIPTION_TAIL, findDescription, type VmDescription } from '../../stream/description.js';
import { StreamError } from '../../stream/error.js';
import { MultifdReader } from '../../stream/multifd-reader.js';
import { MultifdSummary } from '../../stream/multifd-summary.js';
import { StreamReader } from '../../stream/reader.js';
import type { InspectReport } from '../../stream/report.js';
import { StreamSummary } from '../../stream/summary.js';
import { inspectText } from '../../stream/tree.js';
import { jsonText } from '../../text/json.js';
import { painter } from '../../text/words.js';
import { InputError } from '../../trace/reader.js';
import { MULTIFD_MAGIC, STREAM_MAGIC } from '../../uapi/qemu-stream.js';
import { wantsColor } from '../color.js';
import { EXIT } from '../exit.js';
import { print } from '../output.js';
import { Progress } from '../progress.js';
import { type ByteTaker, openStreamInput, type StreamInput } from '../stream-input.js';
import type { InspectFlags } from './inspect.js';

/** Runs `stopcopy inspect` and returns its exit code. */
export async function runInspect(file: string, flags: InspectFlags): Promise<number> {
  const shown = file === '-' ? 'stdin' : file;
  const input = await openStreamInput(file);
  const progress = new Progress();
  let result: Result;
  try {
    result = await inspect(input, shown, flags, (done, total) => progress.update(shown, done, total));
  } finally {
    progress.end();
    await input.close();
  }
  const { report, error } = result;
  const paint = painter(wantsColor(flags.color));
  await print(flags.json ? jsonText(report) : inspectText(report, shown, paint));
  if (error === undefined) return EXIT.ok;
  return isEmpty(report) && error.got === undefined ? EXIT.inconclusive : EXIT.violation;
}

/** Nothing follows the header. */
function isEmpty({ configuration, sections, commands, multifd }: InspectReport): boolean {
  return configuration === null && multifd === null && sections.length + commands.length === 0;
}

interface Result {
  report: InspectReport;
  /** What ended the reading, unless the stream's own end did. */
  error: StreamError | undefined;
}

type Tell = (done: number, total: number | undefined) => void;

/**
 * Reads the input once. Of a plain file the vmdescription at its end is read first; should it be wrong,
 * and so lead to damage where there is none, the file is read again without it.
 */
async function inspect(input: StreamInput, shown: string, flags: InspectFlags, tell: Tell): Promise<Result> {
  if (input.kind === 'flow') return once(input, shown, flags, tell);
  if (flags.offset >= input.size) throw new InputError(`${shown}: ends before byte ${flags.offset}`);
  const from = Math.max(flags.offset, input.size - DESCRIPTION_TAIL);
  const description = findDescription(input.bytes(from, input.size));
  const first = await once(input, shown, flags, tell, description);
  if (description === undefined || first.error === undefined) return first;
  const second = await once(input, shown, flags, tell);
  if (reached(second) <= reached(first)) return first;
  second.report.remarks.unshift('the vmdescription does not fit the sections; they were read without it');
  return second;
}

function reached({ error }: Result): number {
  return error?.offset ?? Number.POSITIVE_INFINITY;
}

async function once(
  input: StreamInput,
  shown: string,
  flags: InspectFlags,
  tell: Tell,
  description?: VmDescription,
): Promise<Result> {
  const taker = new Taker(shown, flags, description);
  let broken: string | undefined;
  let error: StreamError | undefined;
  try {
    broken = await input.pump(taker, flags.offset, tell);
    taker.end();
  } catch (failure) {
    if (!(failure instanceof StreamError)) throw failure;
    error = failure;
  }
  const report = taker.report(error);
  if (broken !== undefined) report.remarks.push(broken);
  return { report, error };
}

interface Part {
  reader: StreamReader | MultifdReader;
  report(error: StreamError | undefined): InspectReport;
}

/** Finds out by the first bytes what the input is, and passes it on. */
class Taker implements ByteTaker {
  readonly #shown: string;
  readonly #flags: InspectFlags;
  readonly #description: VmDescription | undefined;
  #head: Uint8Array = new Uint8Array(0);
  #part: Part | undefined;

  constructor(shown: string, flags: InspectFlags, description: VmDescription | undefined) {
    this.#shown = shown;
    this.#flags = flags;
    this.#description = description;
  }

  get skippable(): number {
    const reader = this.#part?.reader;
    return reader instanceof StreamReader ? reader.skippable : 0;
  }

  skip(size: number): void {
    const reader = this.#part?.reader;
    if (reader instanceof StreamReader) reader.skip(size);
  }

  write(block: Uint8Array): void {
    if (this.#part !== undefined) {
      this.#part.reader.write(block);
      return;
    }
    this.#head = this.#head.length === 0 ? block : Buffer.concat([this.#head, block]);
    if (this.#head.length >= 4) this.#open();
    else this.#head = Uint8Array.from(this.#head);
  }

  end(): void {
    if (this.#part === undefined) this.#open();
    this.#part?.reader.end();
  }

  report(error: StreamError | undefined): InspectReport {
    return this.#part!.report(error);
  }

  #open(): void {
    const head = this.#head;
    this.#head = new Uint8Array(0);
    if (begins(head, MULTIFD_MAGIC)) this.#part = multifdPart(this.#flags);
    else if (begins(head, STREAM_MAGIC)) this.#part = streamPart(this.#flags, this.#description);
    else throw new InputError(`${this.#shown}: is no migration stream: it does not begin with QEVM`);
    this.#part.reader.write(head);
  }
}

function streamPart({ pageSize, offset }: InspectFlags, description: VmDescription | undefined): Part {
  const summary = new StreamSummary(offset);
  const reader = new StreamReader(summary, {
    origin: offset,
    ...(pageSize === undefined ? {} : { pageSize }),
    ...(description === undefined ? {} : { description }),
  });
  return {
    reader,
    report: (error) => summary.report(error?.offset ?? reader.offset, reader.pageSize, error),
  };
}

function multifdPart({ offset }: InspectFlags): Part {
  const summary = new MultifdSummary(offset);
  const reader = new MultifdReader(summary, offset);
  return { reader, report: (error) => summary.report(error?.offset ?? reader.offset, error) };
}

/** Whether the bytes are the magic, or as much of it as there are. */
function begins(head: Uint8Array, magic: number): boolean {
  return (
    head.length > 0 &&
    [24, 16, 8, 0].every((shift, index) => {
      return index >= head.length || head[index] === ((magic >>> shift) & 0xff);
    })
  );
}
