import type { CapabilitySet } from '../machines/capabilities.js';
import {
  type ChartTransition,
  hasSession,
  inPreCopy,
  inSavingGroup,
  machineNamed,
  opensSession,
  regionsOf,
  requestedPath,
} from '../machines/index.js';
import { type MigState, migStateOf } from '../uapi/vfio.js';
import { dataRange } from './data.js';
import type { Step, StepOf } from './suite.js';

/** Stands for the state in the outcome `FAIL.X.Y` when nobody can say it. */
export const UNKNOWN = '?';

/** What is known of a data_fd of the case. */
export interface FdModel {
  readonly use: 'save' | 'load';
  /** Its session goes on. */
  alive: boolean;
  closed: boolean;
  /** The permanent end of the stream was read. */
  ended: boolean;
  /** Bytes of the image that were written, from its beginning and without a gap. */
  written: number;
  /** Something else was written as well. */
  spoiled: boolean;
}

const failures = new WeakMap<CapabilitySet, readonly ChartTransition[]>();

/** The failures of requests that the chart of the device has. */
function failuresOf(caps: CapabilitySet): readonly ChartTransition[] {
  const known = failures.get(caps);
  if (known) return known;
  const device = regionsOf(machineNamed('vfio-device')!.make(caps))[0]!;
  const found = device.transitions.filter(({ event }) => event.startsWith('FAIL.'));
  failures.set(caps, found);
  return found;
}

/**
 * A device as the steps of a case see it: its state, the data_fds of the case, and whether it logs DMA.
 * It follows the outcomes that were observed, and says what the uAPI allows next; so a sequence of steps
 * has expectations in any situation, also where a device chose another way than the case was made for.
 */
export class CaseModel {
  state: MigState = 'RUNNING';
  readonly fds: (FdModel | null)[] = [];
  /** null: not known. */
  logging: boolean | null = false;

  /** @param imageLength bytes of the device's image; null: not known, and no load is complete */
  constructor(
    readonly capabilities: CapabilitySet,
    readonly imageLength: number | null,
  ) {}

  /** The same model, to follow another outcome. */
  clone(): CaseModel {
    const copy = new CaseModel(this.capabilities, this.imageLength);
    copy.state = this.state;
    copy.logging = this.logging;
    copy.fds.push(...this.fds.map((fd) => fd && { ...fd }));
    return copy;
  }

  /** Which of the fds belongs to the session that goes on, or null. */
  get liveFd(): number | null {
    const at = this.fds.findLastIndex((fd) => fd?.alive === true);
    return at < 0 ? null : at;
  }

  /** All that the outcome of a step depends on, as text: in equal situations a step has equal outcomes. */
  situation(step: Step): string {
    const fd = 'fd' in step ? (this.fds[step.fd] ?? null) : step.do === 'set' ? this.#session() : null;
    const logs = step.do.startsWith('log_') ? this.logging : null;
    return JSON.stringify([this.state, fd, logs, step.do === 'write' && this.#isWhole(step)]);
  }

  /** The outcomes that the uAPI allows for a step; null when the case has no such fd. */
  allowed(step: Step): string[] | null {
    if ('fd' in step) {
      const fd = this.fds[step.fd];
      return fd ? this.#allowedOnFd(step, fd) : null;
    }
    switch (step.do) {
      case 'set':
        return this.#allowedSet(step);
      case 'get':
        return [`GET.${this.state}`];
      case 'reset':
        return ['RESET.ok'];
      case 'reopen':
        return ['OPEN.RUNNING'];
      case 'data_size':
        return this.state === 'ERROR' ? ['DATA_SIZE.ok', 'DATA_SIZE.error'] : ['DATA_SIZE.ok'];
      case 'log_start':
        return this.#allowedLog(step.expect, this.logging === false, 'START');
      case 'log_report':
        return this.#allowedLog(step.expect, this.logging === true, 'REPORT');
      case 'log_stop':
        return this.logging === true ? ['STOP.ok'] : ['STOP.ok', 'STOP.error'];
      default:
        return step.expect;
    }
  }

  /** A call with wrong arguments fails whether the device logs or not; one with right ones goes by that. */
  #allowedLog(said: readonly string[], right: boolean, name: string): string[] {
    const both = [`${name}.ok`, `${name}.error`];
    if (this.logging === null) return both;
    if (!right) return [`${name}.error`];
    return said.includes(`${name}.ok`) ? [`${name}.ok`] : both;
  }

  #allowedSet({ state: asked }: StepOf<'set'>): string[] {
    const wanted = typeof asked === 'number' ? migStateOf(asked) : asked;
    if (wanted === undefined) return [`FAIL.${asked}.${this.state}`];
    const path = requestedPath(this.state, wanted, this.capabilities);
    const fails = failuresOf(this.capabilities)
      .filter(({ from, event }) => from === this.state && event.startsWith(`FAIL.${wanted}.`))
      .map(({ event }) => event);
    if (path === null) return fails;
    const done = opensSession(this.state, wanted) ? `SET.${wanted}.data_fd` : `SET.${wanted}`;
    if (this.state === 'RESUMING' && wanted !== 'RESUMING') return this.#allowedOfLoad(done, fails);
    // Of a request for the present state the core says that it succeeds; no text of the uAPI does.
    return path.length === 0 ? [done, ...fails] : [done];
  }

  /** What may come of a request that leaves RESUMING. Where the load fails no later arc is walked. */
  #allowedOfLoad(done: string, fails: readonly string[]): string[] {
    if (this.isLoaded) return [done];
    const failed = fails.filter((event) => event.endsWith('.RESUMING') || event.endsWith('.ERROR'));
    const fd = this.#session();
    const isTruncated = this.imageLength !== null && fd !== null && !fd.spoiled && fd.written > 0;
    // A device whose state is empty needs no data; whether other data is a state only the driver knows.
    return isTruncated ? failed : [...failed, done];
  }

  #session(): FdModel | null {
    const at = this.liveFd;
    return at === null ? null : this.fds[at]!;
  }

  /** All of the image was written to the session that goes on, and nothing else. */
  get isLoaded(): boolean {
    const fd = this.#session();
    return fd !== null && !fd.spoiled && this.imageLength !== null && fd.written === this.imageLength;
  }

  #allowedOnFd(step: Extract<Step, { fd: number }>, fd: FdModel): string[] {
    const open = fd.alive && !fd.closed;
    switch (step.do) {
      case 'read':
        if (!open || fd.use !== 'save') return ['READ.error'];
        return this.#allowedRead(step, fd);
      case 'write':
        if (!open || fd.use !== 'load') return ['WRITE.error'];
        return this.#writesOn(step, fd) ? ['WRITE.ok'] : ['WRITE.ok', 'WRITE.error'];
      case 'precopy_info':
        if (!open || fd.use !== 'save') return ['PRECOPY_INFO.refused', 'PRECOPY_INFO.error'];
        return inPreCopy(this.state) ? ['PRECOPY_INFO.ok'] : ['PRECOPY_INFO.refused', 'PRECOPY_INFO.error'];
      case 'close':
        return [fd.closed ? 'CLOSE.error' : 'CLOSE.ok'];
    }
  }

  #allowedRead({ until }: StepOf<'read'>, fd: FdModel): string[] {
    // A device that runs may have more to tell whenever it is asked.
    if (inPreCopy(this.state)) return ['READ.ENOMSG', 'READ.data'];
    return fd.ended || until === 'end' ? ['READ.end'] : ['READ.data', 'READ.end'];
  }

  /** Whether the bytes are those of a whole stream: a save of this case was read to its permanent end. */
  #isWhole({ data: { of } }: Pick<StepOf<'write'>, 'data'>): boolean {
    return of === undefined || this.fds[of]?.ended === true;
  }

  /** Whether these bytes of the image come next. */
  #writesOn({ data }: StepOf<'write'>, fd: FdModel): boolean {
    if (this.imageLength === null || data.flip !== undefined || data.extra) return false;
    if (!this.#isWhole({ data })) return false;
    const { from } = dataRange(data, this.imageLength);
    return !fd.spoiled && from === fd.written;
  }

  /** Takes the outcome that a step had. */
  take(step: Step, outcome: string): void {
    const [call, first = '', second = ''] = outcome.split('.');
    if (call === 'SET') this.#arrive(first as MigState, second === 'data_fd');
    else if (call === 'FAIL') this.#arrive(second === UNKNOWN ? this.state : (second as MigState), false);
    else if (call === 'GET') this.#arrive(first as MigState, false);
    else if (outcome === 'RESET.ok') this.#restart('RUNNING');
    else if (call === 'OPEN') this.#restart(first as MigState);
    else if (outcome === 'START.ok') this.logging = true;
    else if (outcome === 'STOP.ok') this.logging = false;
    else if ('fd' in step) this.#takeOnFd(step, outcome);
  }

  #takeOnFd(step: Extract<Step, { fd: number }>, outcome: string): void {
    const fd = this.fds[step.fd];
    if (!fd) return;
    if (outcome === 'READ.end' && this.state === 'STOP_COPY') fd.ended = true;
    if (outcome === 'CLOSE.ok') {
      fd.closed = true;
      // The uAPI does not say what becomes of data whose fd is closed before RESUMING is left.
      if (fd.use === 'load') fd.spoiled = true;
    }
    if (step.do !== 'write' || !fd.alive) return;
    if (outcome === 'WRITE.ok' && this.#writesOn(step, fd))
      fd.written = dataRange(step.data, this.imageLength!).to;
    else fd.spoiled = true;
  }

  /** The device is in a state; the session goes on where that state belongs to it. */
  #arrive(state: MigState, withFd: boolean): void {
    const stays = state === this.state || (inSavingGroup(state) && inSavingGroup(this.state));
    if (withFd || !stays || !hasSession(state)) this.#endSession();
    this.state = state;
    if (withFd) this.fds.push(freshFd(state));
  }

  #restart(state: MigState): void {
    this.#endSession();
    this.state = state;
    // Whether logging goes on after a reset is the driver's choice.
    if (this.logging) this.logging = null;
  }

  #endSession(): void {
    for (const fd of this.fds) if (fd) fd.alive = false;
  }
}

function freshFd(state: MigState): FdModel {
  const use = state === 'RESUMING' ? 'load' : 'save';
  return { use, alive: true, closed: false, ended: false, written: 0, spoiled: false };
}
