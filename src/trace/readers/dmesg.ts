import { type MigState, migStateOf } from '../../uapi/vfio.js';
import type { TraceEvent } from '../event.js';
import type { ParseContext, Parser, Reader } from '../reader.js';
import { unstamp } from './kernel-log-stamp.js';
import { firstLines, kinds, type LinePlace, type LineResult, lineParser } from './line-parser.js';
import { known } from './uapi-calls.js';
import { put } from './uapi-fds.js';

/**
 * Reader of the kernel log with dynamic debug of a variant driver on (`module mtty +p`). The lines
 * are `dev_dbg()` output, `<driver> <device>: <function>…`, of functions whose name says that they
 * set or step the migration state; other lines are not touched. A request without a step behind it
 * is a no-op or a refusal, and a step is logged before it is done: the log does not say what failed.
 */
const DEVICE = /(?:^|: )(\w+) ([\w.:-]{1,64}): (\w+)(.*)$/;
const REQUEST = /^ -> (-?\d{1,10})$/;
const STEP = /^:? (\d) -> (\d)$/;
const ASKED = /^ ask (\d{1,20})$/;
const READ = /^ read (\d{1,20})$/;
const RECEIVED = /^ received (\d{1,20}), total \d{1,20}$/;

const SET_FUNCTION = /_set_(?:device_|mig_)?state$/;
const STEP_FUNCTION = /_step_(?:device_|mig_)?state(?:_locked)?$/;
/** The driver's reset does not name its device. */
const RESET = /^(?:.*: )?(\w+)_reset: called$/;

/** Most devices that are followed at a time. */
const DEVICE_LIMIT = 4096;
const HEAD_LINES = 2000;
/** Bytes of a line that are looked at; printk has a limit of 1024. */
const LONGEST = 8192;

/** The time prefix of QEMU's log, which journals have too, in another precision or zone. */
const QEMU_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z /;

/** A log of something else may have kernel lines in it: the score grows with their share. */
function detect(head: Uint8Array): number {
  let kernel = 0;
  let found = false;
  const lines = firstLines(head, HEAD_LINES);
  for (const line of lines) {
    const { t, text } = unstamp(line);
    const [, , , name = '', rest = ''] = DEVICE.exec(text) ?? [];
    const mine =
      (SET_FUNCTION.test(name) && REQUEST.test(rest)) || (STEP_FUNCTION.test(name) && STEP.test(rest));
    if (mine || (t !== undefined && !QEMU_TIME.test(line))) kernel++;
    found ||= mine;
  }
  if (found) return 0.5 + (0.45 * kernel) / lines.length;
  // A kernel log in which nothing is seen of a migration; the last line of the head may be cut.
  return kernel > 0 && kernel >= lines.length - 1 ? 0.4 : 0;
}

/** Numbers are printed as unsigned, also when they are negative errnos. */
function signed(digits: string): number {
  return Number(BigInt.asIntN(64, BigInt(digits)));
}

/** A requested state: `%d` shows numbers from 2^31 on as negative. */
function requested(digits: string): MigState | number {
  const number = Number(digits) >>> 0;
  return migStateOf(number) ?? number;
}

interface Known {
  /** States before and after the last arc. It is logged at its begin: it may have failed. */
  states?: readonly [MigState, MigState];
  /** Bytes that the read under way asked for. */
  asked?: number;
}

type OnDevice = LinePlace & { t?: number; device: string };
type Write = { kind: 'data_write'; result: number } & OnDevice;

class KernelLog {
  readonly #devices = new Map<string, Known>();
  /** A reset whose device is not known yet. */
  #reset: { driver: string; at: LinePlace & { t?: number } } | undefined;
  /** A write of which the next line may say that it was refused. */
  #write: Write | undefined;

  line(line: string, place: LinePlace): LineResult {
    const { t, text } = unstamp(line);
    const at = { ...place, ...known('t', t) };
    const reset = RESET.exec(text);
    if (reset !== null) {
      this.#reset = { driver: reset[1]!, at };
      return this.rest();
    }
    const match = DEVICE.exec(text);
    if (match === null) return this.rest();
    const [, driver, device, name, rest] = match as unknown as [string, string, string, string, string];
    if (!name.startsWith(driver.replace(/[-_].*$/, ''))) return this.rest();
    return [...this.#settle(device, rest), ...this.#function(driver, name, rest, { ...at, device })];
  }

  /** What is still held back. */
  rest(): TraceEvent[] {
    const held = this.#write;
    this.#write = undefined;
    return held === undefined ? [] : [held];
  }

  /** A write that was refused has an errno that the log does not show: it is left out. */
  #settle(device: string, rest: string): TraceEvent[] {
    if (this.#write?.device === device && rest === ' failed validation') this.#write = undefined;
    return this.rest();
  }

  #function(driver: string, name: string, rest: string, at: OnDevice): TraceEvent[] {
    const device = this.#devices.get(at.device) ?? {};
    const request = SET_FUNCTION.test(name) ? REQUEST.exec(rest) : null;
    if (request !== null) return [{ kind: 'driver_request', ...at, state: requested(request[1]!) }];
    const step = STEP_FUNCTION.test(name) ? STEP.exec(rest) : null;
    if (step !== null)
      return this.#step(driver, device, migStateOf(Number(step[1])), migStateOf(Number(step[2])), at);
    if (name.endsWith('_save_read')) return this.#read(device, rest, at);
    const received = name.endsWith('_resume_write') ? RECEIVED.exec(rest) : null;
    if (received !== null) this.#write = { kind: 'data_write', ...at, result: signed(received[1]!) };
    return [];
  }

  #step(
    driver: string,
    device: Known,
    from: MigState | undefined,
    to: MigState | undefined,
    at: OnDevice,
  ): TraceEvent[] {
    if (from === undefined || to === undefined) return [];
    const arc: TraceEvent = { kind: 'driver_arc', ...at, from, to };
    const reset = this.#resetOf(driver, device, from, at.device);
    put(this.#devices, at.device, { ...device, states: [from, to] }, DEVICE_LIMIT);
    return reset === undefined ? [arc] : [reset, arc];
  }

  /** A device that was elsewhere and now starts from RUNNING is the one that the reset line meant. */
  #resetOf(driver: string, known: Known, from: MigState, device: string): TraceEvent | undefined {
    const reset = this.#reset;
    if (reset?.driver !== driver || from !== 'RUNNING') return undefined;
    if (known.states === undefined || known.states.includes('RUNNING')) return undefined;
    this.#reset = undefined;
    return { kind: 'reset', ...reset.at, device };
  }

  #read(device: Known, rest: string, at: OnDevice): TraceEvent[] {
    const asked = ASKED.exec(rest);
    if (asked !== null) {
      put(this.#devices, at.device, { ...device, asked: Number(asked[1]) }, DEVICE_LIMIT);
      return [];
    }
    const read = READ.exec(rest);
    if (read === null) return [];
    const size = Number.isSafeInteger(device.asked) ? device.asked : undefined;
    return [{ kind: 'data_read', ...at, ...known('size', size), result: signed(read[1]!) }];
  }
}

function open(context: ParseContext): Parser {
  const log = new KernelLog();
  return lineParser(context, (text, place) => log.line(text, place), {
    finish: () => log.rest(),
    longest: LONGEST,
    newline: true,
  });
}

export const kernelLogReader: Reader = {
  format: 'kernel-log',
  title: 'kernel log with dynamic debug of a variant driver',
  shows: kinds('driver_request', 'driver_arc', 'data_read', 'data_write', 'reset'),
  detect,
  open,
};
