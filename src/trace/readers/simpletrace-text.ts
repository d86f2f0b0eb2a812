import type { TraceEvent } from '../event.js';
import { InputError, type ParseContext, type ParseCounts, type Parser } from '../reader.js';
import { qemuLogReader } from './qemu-log.js';
import { PROTOCOL_V1 } from './qemu-log-row.js';

/** Rendered text that is handed on at once. */
const BATCH = 1 << 16;

/** QEMU builds that have this event number migration notifiers in the new way, with a switchover event. */
const NEW_NUMBERS = 'migration_call_notifiers';
/** QEMU builds that have this event are of 10.0 or older, and number them in the old way. */
const OLD_NUMBERS = 'vfio_get_device';

/** How lines say to the log reader that notifier numbers are the old ones: with a thread in front. */
const OLD_PREFIX = '1@0.000000:';

/**
 * Hands rendered lines to the log reader and puts its events where their records stand.
 * So the meaning of each trace event is written down once, over there.
 */
export class TextFeed {
  readonly #context: ParseContext;
  readonly #parser: Parser;
  #lines: string[] = [];
  #size = 0;
  #places: { t: number; offset: number }[] = [];
  /** Lines that the log reader got before the batch. */
  #before = 0;
  #prefix = '';
  #priming = false;

  constructor(context: ParseContext) {
    this.#context = context;
    this.#parser = qemuLogReader.open({
      file: context.file,
      host: context.host,
      ...(context.wants ? { wants: context.wants } : {}),
      emit: (event) => this.#emit(event),
      remark: (text) => context.remark(text),
    });
  }

  get counts(): ParseCounts {
    return this.#parser.counts;
  }

  /** An event that the build of QEMU has, traced or not: it tells how old the build is. */
  built(name: string): void {
    if (name === OLD_NUMBERS) this.#prefix = OLD_PREFIX;
    if (name !== NEW_NUMBERS) return;
    this.flush();
    const { decoded } = this.counts;
    this.#priming = true;
    this.push(NEW_NUMBERS, 'type=0', 0, 0);
    this.flush();
    this.#priming = false;
    this.counts.decoded = decoded;
  }

  push(name: string, args: string, t: number, offset: number): void {
    const line = `${this.#prefix}${name} ${args}\n`;
    this.#lines.push(line);
    this.#places.push({ t, offset });
    this.#size += line.length;
    if (this.#size >= BATCH) this.flush();
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    const bytes = Buffer.from(this.#lines.join(''));
    this.#run(() => this.#parser.write(bytes));
    this.#before += this.#lines.length;
    this.#lines = [];
    this.#places = [];
    this.#size = 0;
  }

  end(): void {
    this.flush();
    this.#run(() => void this.#parser.end());
  }

  /** The log reader refuses protocol v1 with a line number, which would say nothing here. */
  #run(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new InputError(`${this.#context.file}: ${PROTOCOL_V1}`);
    }
  }

  #emit(event: TraceEvent): void {
    const place = this.#places[(event.line ?? 0) - this.#before - 1];
    if (this.#priming || place === undefined) return;
    event.t = place.t;
    event.line = place.offset;
    delete event.thread;
    this.#context.emit(event);
  }
}
