import type { CapabilitySet } from '../machines/capabilities.js';
import { requestedPath } from '../machines/vfio-arcs.js';
import { CaseModel, type Step } from '../suite/index.js';
import { HangError } from '../target/bounded.js';
import type { TraceEvent } from '../trace/event.js';
import { type DataFd, refusalOf } from '../uapi/device.js';
import type { MigState } from '../uapi/vfio.js';
import type { Bench } from './bench.js';
import { type Bounds, type Outcome, perform } from './outcome.js';
import type { PlannedStep } from './plan.js';

/** What the runner knows of the device before the first case. */
export interface Subject {
  readonly capabilities: CapabilitySet;
  /** The device's own stream; null: it could not be read. */
  readonly image: Uint8Array | null;
  readonly bounds: Bounds;
}

/** A step that was executed. */
export interface Executed {
  /** Its place in the sequence. */
  readonly index: number;
  readonly step: Step;
  readonly expected: readonly string[];
  readonly outcome: Outcome;
  /** State before it, by the outcomes so far. */
  readonly state: MigState;
  /** Its events: numbers of the first, and behind the last (`line` of an event is its number from 1). */
  readonly events: readonly [number, number];
}

/** How the device was lost. */
export interface Lost {
  readonly call: string;
  readonly words: string;
  /** The run cannot go on. */
  readonly hangs: boolean;
}

/** What was executed with one device, from RUNNING on until it was there again. */
export interface Segment {
  readonly events: readonly TraceEvent[];
  readonly executed: readonly Executed[];
  /** Steps that had no fd to be executed on, because the device took another way that is allowed too. */
  readonly without: number;
  /** Where the executing stopped for an outcome that is not allowed; null: at the end. */
  readonly stoppedAt: number | null;
  readonly lost: Lost | null;
  /** What is in the way to RUNNING afterwards, or null. */
  readonly stuck: string | null;
}

export interface SegmentOptions {
  /** Step of the sequence to begin with; before it the device is brought to that step's state. */
  readonly from?: number;
  /** Whether an outcome that is not allowed is known of this device, so that it does not stop the case. */
  isKnown?(executed: Executed): boolean;
  took?(bytes: Uint8Array): void;
}

/** Executes a sequence on a device that is in RUNNING with no session, and brings it back there. */
export async function runSegment(
  sequence: readonly PlannedStep[],
  bench: Bench,
  subject: Subject,
  options: SegmentOptions = {},
): Promise<Segment> {
  bench.begin();
  const run = new SegmentRun(sequence, bench, subject, options);
  try {
    if (await run.approach()) await run.steps();
  } catch (error) {
    run.lost = lostBy(error, run.call);
  }
  const stuck = run.lost?.hangs ? run.lost.words : await goHome(bench, subject.image);
  const { executed, without, stoppedAt, lost } = run;
  return { events: bench.events, executed, without, stoppedAt, lost, stuck };
}

/** After a device has broken, opening it anew is the only way home. */
export async function goHome(bench: Bench, image: Uint8Array | null): Promise<string | null> {
  try {
    return await bench.home(image);
  } catch (error) {
    if (error instanceof HangError) return error.message;
    try {
      await bench.reopen();
      return await bench.home(image);
    } catch (again) {
      return (again as Error).message;
    }
  }
}

export function lostBy(error: unknown, call: string): Lost {
  const words = error instanceof Error ? error.message : String(error);
  return { call, words, hangs: error instanceof HangError };
}

/** The steps of a segment, one by one. */
export class SegmentRun {
  readonly executed: Executed[] = [];
  without = 0;
  stoppedAt: number | null = null;
  lost: Lost | null = null;
  /** What is being called, for people. */
  call = 'the opening';
  readonly #model: CaseModel;

  constructor(
    readonly sequence: readonly PlannedStep[],
    readonly bench: Bench,
    readonly subject: Subject,
    readonly options: SegmentOptions,
  ) {
    this.#model = new CaseModel(subject.capabilities, subject.image?.length ?? null);
  }

  /** State of the device, by the outcomes so far. */
  get state(): MigState {
    return this.#model.state;
  }

  /** Goes to the state of the step to begin with; false: the device refuses, and the steps have no beginning. */
  async approach(): Promise<boolean> {
    const { from = 0 } = this.options;
    const first = this.sequence[from]!;
    const { at } = first.step;
    if (from === 0 || at === 'RUNNING') return true;
    this.call = `SET of MIG_DEVICE_STATE to ${at}`;
    this.bench.touched = true;
    let fd: DataFd | null = null;
    const refused = await refusalOf(async () => {
      fd = await this.bench.device.setState(at);
    });
    if (refused !== null) return false;
    while (this.#model.fds.length < (first.liveBefore ?? first.opened)) this.#model.fds.push(null);
    this.#model.take({ do: 'set', state: at } as Step, `SET.${at}${fd === null ? '' : '.data_fd'}`);
    this.#alignFds();
    if (fd !== null) this.bench.fds[this.#model.fds.length - 1] = fd;
    return true;
  }

  #alignFds(): void {
    while (this.bench.fds.length < this.#model.fds.length) this.bench.fds.push(null);
  }

  async steps(): Promise<void> {
    for (let index = this.options.from ?? 0; index < this.sequence.length; index++) {
      if (await this.advance(index)) continue;
      this.stoppedAt = index;
      return;
    }
  }

  /** Executes a step, if there is what it needs; false: the case is not to go on. */
  async advance(index: number): Promise<boolean> {
    const { step, situation, opened } = this.sequence[index]!;
    while (this.#model.fds.length < opened) this.#model.fds.push(null);
    this.#alignFds();
    const same = this.#model.situation(step) === situation;
    const expected = same ? step.expect : this.#model.allowed(step);
    if (expected !== null && !('fd' in step && this.bench.fds[step.fd] == null))
      return this.#step(index, step, expected);
    this.without++;
    return true;
  }

  /** Executes a step; false: the case is not to go on. */
  async #step(index: number, step: Step, expected: readonly string[]): Promise<boolean> {
    const { bench, subject, options } = this;
    this.call = step.do;
    const state = this.#model.state;
    const from = bench.events.length;
    let outcome: Outcome;
    const traffic = { image: subject.image, ...(options.took === undefined ? {} : { took: options.took }) };
    try {
      outcome = await perform(step, bench, traffic, subject.bounds);
    } catch (error) {
      const lost = lostBy(error, step.do);
      this.lost = lost;
      outcome = { label: lost.hangs ? 'no answer' : 'broken', errno: null, detail: lost.words };
    }
    const done = { index, step, expected, outcome, state, events: [from, bench.events.length] as const };
    this.executed.push(done);
    this.#model.take(step, outcome.label);
    if (this.lost !== null) return false;
    return isExpected(done) || (options.isKnown?.(done) ?? false);
  }
}

/** Whether the uAPI allows what came. A read that goes on without end gave data, as far as that is allowed. */
export function isExpected({ expected, outcome: { label } }: Executed): boolean {
  return expected.includes(label) || (label === 'READ.endless' && expected.includes('READ.data'));
}

/**
 * The first step from `from` on that can be executed with a fresh device: it needs no fd, and its state can
 * be asked for. Or null.
 */
export function nextAlone(
  sequence: readonly PlannedStep[],
  from: number,
  capabilities: CapabilitySet,
): number | null {
  const at = sequence.findIndex(
    ({ step }, index) =>
      index >= from &&
      (step.do === 'set' || step.do === 'get') &&
      requestedPath('RUNNING', step.at, capabilities) !== null,
  );
  return at < 0 ? null : at;
}
