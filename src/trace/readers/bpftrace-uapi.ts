import type { EventKind, TraceEvent } from '../event.js';
import { LineSplitter } from '../lines.js';
import {
  countUnknown,
  InputError,
  newCounts,
  type ParseContext,
  type ParseCounts,
  type Parser,
  type Reader,
} from '../reader.js';
import { UAPI_SCHEMA, UAPI_SCHEMA_PREFIX } from '../record/format.js';
import { asCount, firstLines, type JsonObject, kinds, parseObject } from './line-parser.js';
import { Reorder } from './reorder.js';
import {
  type Call,
  type CallPlace,
  errnoOf,
  featureCall,
  known,
  precopyInfo,
  transfer,
} from './uapi-calls.js';
import { FdTable } from './uapi-fds.js';

/**
 * Reader of what the bpftrace recorder writes: the calls of VMMs at the VFIO uAPI, one JSON object
 * a line, between lines of bpftrace itself.
 *
 * Fields: `t` ns since boot (with `dur`: of the call's begin, else of its end), `pid`, `tid`, `ev`,
 * `fd`, `ret` (negative errno), and those of the call. Recordings without a head line, made by the
 * recorder's prototype, are read too.
 */
const SHOWS_WITHOUT_OPEN = kinds(
  'capabilities',
  'set_state',
  'set_state_result',
  'get_state',
  'data_read',
  'data_write',
  'data_close',
  'precopy_info',
  'data_size',
  'dma_logging_start',
  'dma_logging_stop',
  'dma_logging_report',
  'feature_probe',
  'precopy_info_v2',
  'reset',
);
const SHOWS: ReadonlySet<EventKind> = new Set<EventKind>([...SHOWS_WITHOUT_OPEN, 'device_open']);

/** Records that are sorted among each other: what a ring buffer of bpftrace 0.17 holds for a few CPUs. */
const REORDER_WINDOW = 4096;
/** A step back in time that no buffer explains, in microseconds: another recording begins. */
const NEW_CLOCK = 10_000_000;
/** Longest record; the recorder's are below 1 KiB. Longer ones are malformed: thousands are held for sorting. */
const MAX_RECORD = 4096;
/** Lines of compiler warnings that may stand before the first record. */
const HEAD_LINES = 5000;

/** Names that may break their line, for they are not escaped; the recorder puts them last. */
const UNSAFE_TAIL = /,"(?:name|comm)":".*$/;

const RECORD_EVENTS =
  /"ev":"(?:begin|vfio_device_feature|precopy_info|data_(?:read|write|close)|device_reset)"/;

function detect(head: Uint8Array): number {
  for (const line of firstLines(head, HEAD_LINES)) {
    if (!line.startsWith('{')) continue;
    const schema = parseObject(line)?.schema;
    if (schema === UAPI_SCHEMA) return 1;
    if (typeof schema === 'string' && schema.startsWith(UAPI_SCHEMA_PREFIX)) refuseVersion(schema);
    return RECORD_EVENTS.test(line) ? 0.95 : 0;
  }
  return 0;
}

function refuseVersion(schema: string): never {
  throw new InputError(
    `this recording has the schema ${schema}; this version reads ${UAPI_SCHEMA}. ` +
      'Read it with the version of stopcopy that recorded it.',
  );
}

/** A record on its way through the reordering: its fields, line, and the time of its end. */
interface Held {
  readonly fields: JsonObject;
  readonly line: number;
  readonly begin?: number;
  readonly end: number;
}

class UapiParser implements Parser {
  readonly counts: ParseCounts = newCounts();
  readonly #context: ParseContext;
  readonly #lines = new LineSplitter((text, line) => this.#line(text, line));
  readonly #order = new Reorder<Held>(REORDER_WINDOW, (held) => this.#decode(held));
  readonly #fds = new FdTable();
  #newest = Number.NEGATIVE_INFINITY;
  #headed = false;
  #trailed = false;
  #broken = false;
  #strangers = 0;
  #lost = 0;

  constructor(context: ParseContext) {
    this.#context = context;
  }

  get shows(): ReadonlySet<EventKind> {
    return this.#headed ? SHOWS : SHOWS_WITHOUT_OPEN;
  }

  write(block: Uint8Array): void {
    this.#lines.write(block);
  }

  end(): { cut: boolean } {
    this.#broken = false;
    const open = this.#lines.end();
    this.#order.flush();
    this.#remarks();
    return { cut: (open && this.#broken) || (this.#headed && !this.#trailed) };
  }

  #remarks(): void {
    if (this.#strangers > 0) {
      this.#context.remark(
        `${this.#strangers} calls on data_fds that were opened before the recording began ` +
          'belong to no known device and were left out',
      );
    }
    if (this.#lost > 0) {
      this.#context.remark(`bpftrace lost ${this.#lost} records: what seems missing may have happened`);
    }
  }

  /** Everything that is no JSON object comes from bpftrace itself: warnings, map dumps, blank lines. */
  #line(text: string, line: number): void {
    this.counts.lines++;
    if (!text.startsWith('{')) {
      this.counts.ignored++;
      this.#lost += Number(/^Lost (\d{1,15}) events/.exec(text)?.[1] ?? 0);
      return;
    }
    const fields =
      text.length > MAX_RECORD
        ? undefined
        : (parseObject(text) ?? parseObject(text.replace(UNSAFE_TAIL, '}')));
    if (fields === undefined) this.#malformed();
    else this.#record(fields, line);
  }

  #malformed(): void {
    this.counts.malformed++;
    this.#broken = true;
  }

  #record(fields: JsonObject, line: number): void {
    if (fields.schema === UAPI_SCHEMA || fields.ev === 'begin') {
      this.#headed ||= fields.schema === UAPI_SCHEMA;
      this.#trailed = false;
      this.counts.ignored++;
      return;
    }
    if (fields.ev === 'end') {
      this.#trailed = true;
      this.counts.ignored++;
      return;
    }
    const { t, dur } = fields;
    const begin = typeof t === 'number' ? t / 1000 : undefined;
    const end = begin === undefined ? this.#newest : begin + (typeof dur === 'number' ? dur / 1000 : 0);
    if (end < this.#newest - NEW_CLOCK) {
      this.#order.flush();
      this.#newest = end;
    } else this.#newest = Math.max(this.#newest, end);
    this.#order.push({ fields, line, end, ...known('begin', begin) });
  }

  #decode(held: Held): void {
    const events = this.#events(held);
    if (events === undefined) {
      this.#malformed();
      return;
    }
    const { wants } = this.#context;
    const wanted = wants === undefined ? events : events.filter((event) => wants.has(event.kind));
    if (wanted.length > 0) this.counts.decoded++;
    else this.counts.ignored++;
    for (const event of wanted) this.#context.emit(event);
  }

  #events({ fields, line, begin, end }: Held): readonly TraceEvent[] | undefined {
    const pid = asCount(fields.pid);
    const ev = fields.ev;
    if (pid === undefined || typeof ev !== 'string') return undefined;
    if (ev === 'process_exit') {
      this.#fds.exited(pid);
      return [];
    }
    const fd = asCount(fields.fd);
    if (fd === undefined) return undefined;
    const thread = known('thread', asCount(fields.tid));
    const at = { host: `pid-${pid}`, file: this.#context.file, line, ...thread };
    const times = begin === undefined ? {} : { begin, end };
    return this.#call(ev, pid, fd, (device) => ({ fields, at: { ...at, device }, ...times }));
  }

  #call(
    ev: string,
    pid: number,
    fd: number,
    on: (device: string) => Call,
  ): readonly TraceEvent[] | undefined {
    switch (ev) {
      case 'vfio_device_feature':
        return this.#feature(pid, fd, on(this.#fds.device(pid, fd)));
      case 'device_open':
        return this.#open(pid, fd, on);
      case 'device_close':
        this.#fds.closed(pid, fd);
        return [];
      case 'device_reset': {
        const call = on(this.#fds.device(pid, fd));
        return [{ kind: 'reset', ...place(call), ...known('errno', errnoOf(call.fields)) }];
      }
      case 'data_read':
      case 'data_write':
      case 'data_close':
      case 'precopy_info':
        return this.#session(ev, pid, fd, on);
      default:
        countUnknown(this.counts, ev.slice(0, 64));
        return [];
    }
  }

  #feature(pid: number, fd: number, call: Call): readonly TraceEvent[] | undefined {
    const events = featureCall(call);
    const dataFd = asCount(call.fields.data_fd);
    const opens = events?.some((event) => event.kind === 'set_state_result' && event.dataFd === true);
    if (opens && dataFd !== undefined) this.#fds.dataFd(pid, dataFd, this.#fds.device(pid, fd));
    return events;
  }

  #open(pid: number, fd: number, on: (device: string) => Call): readonly TraceEvent[] {
    const call = on('');
    const { name } = call.fields;
    if (typeof name === 'string' && name !== '') this.#fds.opened(pid, fd, name);
    return [{ kind: 'device_open', ...place(call), device: this.#fds.device(pid, fd) }];
  }

  #session(
    ev: 'data_read' | 'data_write' | 'data_close' | 'precopy_info',
    pid: number,
    fd: number,
    on: (device: string) => Call,
  ): readonly TraceEvent[] | undefined {
    const owner = this.#fds.owner(pid, fd);
    if (owner === undefined) {
      this.#strangers++;
      return [];
    }
    const call = on(owner);
    if (ev === 'precopy_info') return precopyInfo(call);
    if (ev !== 'data_close') return transfer(ev, call);
    this.#fds.dataClosed(pid, fd);
    return [{ kind: 'data_close', ...place(call) }];
  }
}

function place(call: Call): CallPlace & { t?: number } {
  return { ...call.at, ...known('t', call.end) };
}

export const uapiBpftraceReader: Reader = {
  format: 'uapi-bpftrace',
  title: 'calls at the VFIO uAPI, recorded with bpftrace',
  shows: SHOWS,
  detect,
  open: (context) => new UapiParser(context),
};
