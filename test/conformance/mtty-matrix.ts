import type { EventKind, EventOf, TraceEvent } from '../../src/trace/event.js';
import { ERRNO } from '../../src/uapi/errno.js';
import { FEATURES, MIG_STATES, type MigState } from '../../src/uapi/vfio.js';

/**
 * What Linux 7.2 and its sample driver `mtty` answered to a program that tried every ordered pair of
 * states, and more, straight on the uAPI (`test/traces/kernel-mtty/matrix.ndjson`), as typed cells
 * and as canonical events.
 */

/** One tried pair of states. */
export interface MatrixCell {
  /** `matrix`: RESUMING was left without data; `matrix_resuming_fed`: with the whole stream. */
  exp: 'matrix' | 'matrix_resuming_fed';
  from: MigState;
  /** A number where the header has no such state. */
  to: MigState | number;
  /** Whether `from` could be reached; if not, the rest is the answer to the request for `from`. */
  reached: boolean;
  errno: number;
  stateAfter: MigState;
  /** Whether a new data_fd came. */
  dataFd: boolean;
  /** What the data_fd of `from` answered afterwards; absent when there was none. */
  oldFd?: { op: 'read' | 'write'; result: number; precopyErrno?: number };
}

/** All rows of the matrix. */
export interface Matrix {
  /** Rows read; each is of a known form. */
  rows: number;
  cells: MatrixCell[];
  /** One trace for each experiment; every one begins with an opened device, reset to RUNNING. */
  events: TraceEvent[][];
}

type Row = Record<string, unknown> & { seq: number; t_us: number; exp: string };

/** Flags that the first row of the matrix program reports: all optional parts are there. */
const MTTY_FLAGS = 7;
const HOST = 'matrix';

/** @throws Error on a row of unknown form */
export function readMatrix(text: string): Matrix {
  const rows = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
  const cells = rows.filter(isCellRow).map(cellOf);
  return { rows: rows.length, cells, events: groups(rows).map(eventsOf) };
}

function isCellRow(row: Row): boolean {
  return row.exp === 'matrix' || row.exp === 'matrix_resuming_fed';
}

function errnoNumber(name: unknown): number {
  if (name === 'OK') return 0;
  const number = typeof name === 'string' ? ERRNO[name] : undefined;
  if (number === undefined) throw new Error(`not an errno: ${String(name)}`);
  return number;
}

function stateName(value: unknown): MigState {
  const state = MIG_STATES.find((name) => name === value);
  if (state === undefined) throw new Error(`not a state: ${String(value)}`);
  return state;
}

function stateOrNumber(value: unknown): MigState | number {
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : stateName(value);
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`not a count: ${String(value)}`);
  }
  return value;
}

/** The result of a transfer in the manner of read(2). */
function transferResult(rc: unknown, errno: unknown): number {
  return rc === -1 ? -errnoNumber(errno) : count(rc);
}

function cellOf(row: Row): MatrixCell {
  const pair = {
    exp: row.exp as MatrixCell['exp'],
    from: stateName(row.from),
    to: stateOrNumber(row.to),
  };
  if (row.reached === false) {
    const errno = errnoNumber(row.reach_errno);
    return { ...pair, reached: false, errno, stateAfter: stateName(row.state), dataFd: false };
  }
  const old = row.old_fd as { op: string; rc: number; errno: string; precopy_info_errno?: string } | null;
  return {
    ...pair,
    reached: true,
    errno: errnoNumber(row.errno),
    stateAfter: stateName(row.state_after),
    dataFd: row.ret_data_fd === 'new',
    ...(old === null ? {} : { oldFd: oldFdOf(old) }),
  };
}

function oldFdOf(old: { op: string; rc: number; errno: string; precopy_info_errno?: string }) {
  const precopy = old.precopy_info_errno;
  return {
    op: old.op === 'write0' ? ('write' as const) : ('read' as const),
    result: transferResult(old.rc, old.errno),
    ...(precopy === undefined ? {} : { precopyErrno: errnoNumber(precopy) }),
  };
}

/** Rows that belong together: each tried pair alone, else what the program named one experiment. */
function groups(rows: readonly Row[]): Row[][] {
  const found: Row[][] = [];
  let last = '';
  for (const row of rows) {
    // The program asked these three in turn, in each state.
    const name = /^(data_size|precopy_info_by_state|poll_by_state)$/.test(row.exp) ? 'by_state' : row.exp;
    if (isCellRow(row) || name !== last) found.push([]);
    found.at(-1)!.push(row);
    last = name;
  }
  return found;
}

/** An event without its place. */
type Bare = { [K in EventKind]: Omit<EventOf<K>, 'host' | 'line' | 't' | 'file'> }[EventKind];

/** The device that the rows speak of, and what is known of it. */
class Bench {
  readonly events: TraceEvent[] = [];
  readonly #states = new Map<string, MigState>();

  put(row: Row, event: Bare): void {
    this.events.push({ ...event, host: HOST, line: row.seq + 1, t: row.t_us } as TraceEvent);
  }

  /** A device as each experiment finds it. */
  begin(row: Row, device: string): void {
    this.put(row, { kind: 'device_open', device });
    this.put(row, { kind: 'capabilities', device, flags: MTTY_FLAGS, reset: true });
    this.reset(row, device, 'RUNNING');
  }

  reset(row: Row, device: string, after: unknown): void {
    this.put(row, { kind: 'reset', device, errno: errnoNumber(row.op === 'reset' ? row.errno : 'OK') });
    this.now(row, device, after);
  }

  /** The state by a GET. */
  now(row: Row, device: string, value: unknown): void {
    const state = stateName(value);
    this.#states.set(device, state);
    this.put(row, { kind: 'get_state', device, state, errno: 0 });
  }

  set(row: Row, device: string, to: MigState | number, errno: number, dataFd: boolean): void {
    this.put(row, { kind: 'set_state', device, state: to });
    const state = errno === 0 && typeof to === 'string' ? { state: to } : {};
    this.put(row, { kind: 'set_state_result', device, ...state, errno, dataFd });
  }

  /** Brings the device where the program had it: by a reset, then by one request. */
  reach(row: Row, device: string, to: MigState): void {
    if (this.#states.get(device) === to) return;
    if (this.#states.get(device) !== 'RUNNING') this.reset(row, device, 'RUNNING');
    if (to === 'RUNNING') return;
    this.set(row, device, to, 0, /^(?:STOP_COPY|RESUMING|PRE_COPY)/.test(to));
    this.#states.set(device, to);
  }

  state(device: string): MigState | undefined {
    return this.#states.get(device);
  }
}

function eventsOf(rows: readonly Row[]): TraceEvent[] {
  const bench = new Bench();
  const [first] = rows as [Row];
  bench.begin(first, 'mtty');
  if (first.exp === 'roundtrip') bench.begin(first, 'mtty-dst');
  for (const row of rows) {
    if (isCellRow(row)) cellEvents(bench, row);
    else rowEvents(bench, row);
  }
  return bench.events;
}

function cellEvents(bench: Bench, row: Row): void {
  const device = 'mtty';
  const cell = cellOf(row);
  if (!cell.reached) {
    bench.set(row, device, cell.from, cell.errno, false);
    bench.now(row, device, cell.stateAfter);
    return;
  }
  bench.reach(row, device, cell.from);
  if (cell.exp === 'matrix_resuming_fed' && cell.from === 'RESUMING') {
    bench.put(row, { kind: 'data_write', device, size: 60, result: 60 });
  }
  bench.set(row, device, cell.to, cell.errno, cell.dataFd);
  bench.now(row, device, cell.stateAfter);
  // Events do not tell fds apart: with a new session open, what the old one says would be taken for it.
  if (cell.oldFd === undefined || cell.dataFd) return;
  const { op, result, precopyErrno } = cell.oldFd;
  bench.put(row, { kind: `data_${op}`, device, size: op === 'read' ? 1 : 0, result });
  // The sizes are not in the row, so a success says only that it worked.
  if (precopyErrno !== undefined) bench.put(row, { kind: 'precopy_info', device, errno: precopyErrno });
}

/** Which of the two devices of the round trip a row speaks of. */
function deviceOf(bench: Bench, row: Row): string {
  if (row.exp !== 'roundtrip') return 'mtty';
  const what = String(row.what ?? '');
  if (row.op === 'write' || row.to === 'RESUMING' || what.startsWith('dst')) return 'mtty-dst';
  if (row.op === 'set') return bench.state('mtty') === row.from ? 'mtty' : 'mtty-dst';
  return 'mtty';
}

/** Rows without an event: descriptions of the run, and what is no part of migration. */
const SILENT =
  /^(?:open|end|(?:poll|bar_read|bar_write|note|pread|lseek|SET MIGRATION|GET\|SET STATE|SET STATE argsz=15))$/;

function rowEvents(bench: Bench, row: Row): void {
  const device = deviceOf(bench, row);
  const op = String(row.op ?? row.exp);
  if (SILENT.test(op)) return;
  const write = ROWS[op];
  if (write === undefined) throw new Error(`row ${row.seq} has an unknown form: ${op}`);
  write(bench, row, device);
}

type RowWriter = (bench: Bench, row: Row, device: string) => void;

const probe: RowWriter = (bench, row, device) => {
  const feature = count(row.feature);
  const errno = errnoNumber(row.errno);
  bench.put(row, { kind: 'feature_probe', device, feature, errno });
  if (feature === FEATURES.DMA_LOGGING_START && errno === 0) {
    bench.put(row, { kind: 'capabilities', device, dmaLogging: true });
  }
};

const transfer =
  (kind: 'data_read' | 'data_write'): RowWriter =>
  (bench, row, device) => {
    // The one case where the program used a dead fd while a new session was open.
    if (row.what === 'old fd after re-arm') return;
    const size = row.len === undefined ? {} : { size: count(row.len) };
    bench.put(row, { kind, device, ...size, result: transferResult(row.rc, row.errno) });
  };

const precopyInfo: RowWriter = (bench, row, device) => {
  const what = String(row.what ?? '');
  if (what === 'old fd after re-arm') return;
  if (row.exp === 'precopy_info_by_state') bench.reach(row, device, stateName(what.replace(/^in /, '')));
  const errno = errnoNumber(row.errno);
  const sizes = errno === 0 ? { initial: count(row.initial), dirty: count(row.dirty) } : {};
  bench.put(row, { kind: 'precopy_info', device, ...sizes, errno });
};

const ROWS: Readonly<Record<string, RowWriter>> = {
  'GET MIGRATION': (bench, row, device) =>
    bench.put(row, { kind: 'capabilities', device, flags: count(row.flags) }),
  PROBE: probe,
  'PROBE|GET': probe,
  'PROBE|SET': probe,
  get: (bench, row, device) => bench.now(row, device, row.state),
  set: (bench, row, device) => {
    bench.set(row, device, stateOrNumber(row.to), errnoNumber(row.errno), row.data_fd === true);
    bench.now(row, device, row.state_after);
  },
  'set ERROR': (bench, row, device) => {
    bench.set(row, device, 'ERROR', errnoNumber(row.errno), false);
    bench.now(row, device, row.state);
  },
  reset: (bench, row, device) => {
    if (row.exp === 'reset_by_state') bench.reach(row, device, stateName(row.from));
    bench.reset(row, device, row.state_after);
  },
  read: transfer('data_read'),
  write: transfer('data_write'),
  write1xN: (bench, row, device) => {
    for (let n = count(row.ok); n > 0; n--)
      bench.put(row, { kind: 'data_write', device, size: 1, result: 1 });
  },
  stream: (bench, row, device) => bench.put(row, { kind: 'data_read', device, result: count(row.len) }),
  'close data_fd mid STOP_COPY': (bench, row, device) => bench.put(row, { kind: 'data_close', device }),
  precopy_info: precopyInfo,
  data_size: (bench, row, device) => {
    bench.reach(row, device, stateName(row.state));
    bench.put(row, { kind: 'data_size', device, bytes: count(row.bytes), errno: errnoNumber(row.errno) });
  },
  START: (bench, row, device) =>
    bench.put(row, {
      kind: 'dma_logging_start',
      device,
      ranges: count(row.ranges),
      pageSize: count(row.page_size),
      errno: errnoNumber(row.errno),
    }),
  STOP: (bench, row, device) =>
    bench.put(row, { kind: 'dma_logging_stop', device, errno: errnoNumber(row.errno) }),
  REPORT: (bench, row, device) =>
    bench.put(row, {
      kind: 'dma_logging_report',
      device,
      iova: count(row.iova),
      length: count(row.length),
      pageSize: count(row.page_size),
      errno: errnoNumber(row.errno),
    }),
  reopen_by_state: (bench, row, device) => {
    bench.reach(row, device, stateName(row.state_before));
    bench.put(row, { kind: 'device_open', device });
    bench.now(row, device, row.state_after);
  },
};
