import { migStateOf } from '../../uapi/vfio.js';
import type { TraceEvent } from '../event.js';
import type { ParseContext, Parser, Reader } from '../reader.js';
import { firstLines, kinds, type LinePlace, type LineResult, lineParser } from './line-parser.js';
import { known } from './uapi-calls.js';
import { put } from './uapi-fds.js';

/**
 * Reader of kprobe events as tracefs (`trace`, `trace_pipe`) and `trace-cmd report` print them:
 * `vfio_next` and `vfio_next_ret` around `vfio_mig_get_next_state()`, and `*_set` at the entry of a
 * driver's set-state function. `kprobeScript()` sets these probes.
 *
 * A hop's result says only whether there is a next state; which one it is shows in the next hop's
 * `cur`. Devices have no names here: they are told apart by driver, task and, where the probes
 * record it, `dev`.
 */
const LINE =
  /^ *(.{1,32})-(\d{1,10}) +(?:\([ \d-]*\) +)?\[\d{1,5}\] +(?:\S{1,8} +)?(\d{1,12})\.(\d{1,9}): (\w{1,64}): +(.*)$/;
/** `sym+0x4/0xad0 [module]`, or the bare address of trace-cmd. */
const SYMBOL = /^\(?([\w.]+)(?:\+0x[0-9a-f]+\/0x[0-9a-f]+)?(?: \[(\w+)\])?/;
const LOST = /\[LOST (\d{1,12}) EVENTS\]/;
const WRITTEN = /^# entries-in-buffer\/entries-written: (\d{1,15})\/(\d{1,15})/;

const HEAD_LINES = 4000;
/** Bytes of a line that are looked at; the kernel prints an event into one page. */
const LONGEST = 8192;
/** Most tasks that are followed at a time. */
const TASK_LIMIT = 4096;

function detect(head: Uint8Array): number {
  let tracer = 0;
  for (const line of firstLines(head, HEAD_LINES)) {
    if (line.startsWith('# tracer: ') || /^cpus=\d+$/.test(line)) tracer = 0.6;
    const [, , , , , name = '', rest = ''] = LINE.exec(line) ?? [];
    if (name === 'vfio_next' || (name.endsWith('_set') && /\bnew=\d+$/.test(rest))) return 0.95;
  }
  return tracer;
}

/** A number of a kprobe argument, decimal or hexadecimal. */
function argument(rest: string, name: string): number | undefined {
  const match = new RegExp(`(?:^| )${name}=(-?(?:0x[0-9a-f]{1,16}|\\d{1,20}))(?= |$)`).exec(rest);
  return match === null ? undefined : Number(match[1]);
}

/** The module, or else the function, of a probe's place; nothing when only its address is there. */
function placeName(text: string): string | undefined {
  const [, symbol = '', module] = SYMBOL.exec(text) ?? [];
  if (module !== undefined) return module;
  return symbol === '' || /^[0-9a-f]{8,16}$/.test(symbol) ? undefined : symbol;
}

interface Task {
  /** Driver that the task was last seen in. */
  driver?: string;
  /** Device that its driver was last seen with. */
  dev?: number;
  /** A hop that was asked for and has no result yet. */
  hop?: { from: number; to: number; at: LinePlace & { t: number; thread: number }; task: string };
}

interface Seen {
  readonly name: string;
  readonly rest: string;
  readonly task: string;
  readonly pid: number;
  readonly at: LinePlace & { t: number; thread: number };
}

class Kprobes {
  readonly #tasks = new Map<number, Task>();

  line(text: string, place: LinePlace): LineResult {
    const match = LINE.exec(text);
    if (match === null) return [];
    const [, task, id, seconds, fraction, name, rest] = match as unknown as string[];
    const pid = Number(id);
    const t = Number(seconds) * 1e6 + Math.round(Number(`0.${fraction}`) * 1e6);
    const seen = { name: name!, rest: rest!, task: task!.trim(), pid, at: { ...place, t, thread: pid } };
    if (name === 'vfio_next') return this.#asked(seen);
    if (name === 'vfio_next_ret') return this.#answered(seen);
    return name!.endsWith('_set') && /\bnew=/.test(rest!) ? this.#driver(seen) : [];
  }

  /** Hops of which the result was not seen before the input ended. */
  rest(): TraceEvent[] {
    return [...this.#tasks.values()].flatMap((task) => hopEvents(task, undefined));
  }

  #task(pid: number): Task {
    const task = this.#tasks.get(pid) ?? {};
    if (!this.#tasks.has(pid)) put(this.#tasks, pid, task, TASK_LIMIT);
    return task;
  }

  #driver({ rest, at, pid, task: name }: Seen): LineResult {
    const state = argument(rest, 'new');
    if (state === undefined || state < 0) return undefined;
    const task = this.#task(pid);
    const before = hopEvents(task, undefined);
    const driver = placeName(rest);
    if (driver !== undefined) task.driver = driver;
    const dev = argument(rest, 'dev');
    if (dev !== undefined) task.dev = dev;
    const device = deviceName(task, `${name}-${pid}`);
    return [...before, { kind: 'driver_request', ...at, device, state: migStateOf(state) ?? state }];
  }

  #asked({ rest, at, pid, task: name }: Seen): LineResult {
    const from = argument(rest, 'cur');
    const to = argument(rest, 'new');
    if (from === undefined || to === undefined || to < 0 || migStateOf(from) === undefined) return undefined;
    const task = this.#task(pid);
    const before = hopEvents(task, undefined);
    const dev = argument(rest, 'dev');
    if (dev !== undefined) task.dev = dev;
    task.hop = { from, to, at, task: `${name}-${pid}` };
    return before;
  }

  #answered({ rest, pid }: Seen): LineResult {
    const ret = argument(rest, 'ret');
    if (ret === undefined) return undefined;
    const task = this.#task(pid);
    const driver = placeName(rest);
    if (driver !== undefined) task.driver = driver;
    return hopEvents(task, Math.abs(ret));
  }
}

/** The hop under way of a task as an event, with its result or, when that was not seen, without. */
function hopEvents(task: Task, errno: number | undefined): TraceEvent[] {
  const { hop } = task;
  delete task.hop;
  const from = hop === undefined ? undefined : migStateOf(hop.from);
  if (hop === undefined || from === undefined) return [];
  const device = deviceName(task, hop.task);
  const to = migStateOf(hop.to) ?? hop.to;
  return [{ kind: 'next_hop', ...hop.at, device, from, to, ...known('errno', errno) }];
}

/** `mtty (qemu-197)`, or `mtty 0x6000 (qemu-197)` where the probes tell devices apart. */
function deviceName({ driver, dev }: Task, task: string): string {
  const parts = [driver, dev === undefined ? undefined : `0x${dev.toString(16)}`].filter((part) => part);
  return parts.length === 0 ? task : `${parts.join(' ')} (${task})`;
}

function open(context: ParseContext): Parser {
  const kprobes = new Kprobes();
  let lost = 0;
  return lineParser(
    context,
    (text, place) => {
      const [, kept, written] = WRITTEN.exec(text) ?? [];
      if (kept !== undefined) lost += Math.max(0, Number(written) - Number(kept));
      lost += Number(LOST.exec(text)?.[1] ?? 0);
      return kprobes.line(text, place);
    },
    {
      finish: () => {
        if (lost > 0) context.remark(`the ring buffer was too small: ${lost} kernel events are lost`);
        return kprobes.rest();
      },
      longest: LONGEST,
      newline: true,
    },
  );
}

export const ftraceReader: Reader = {
  format: 'ftrace-kprobes',
  title: 'kprobe events of the VFIO core and a variant driver',
  shows: kinds('next_hop', 'driver_request'),
  detect,
  open,
};
