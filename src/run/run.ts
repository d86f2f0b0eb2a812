import { type CapabilitySet, capabilitiesOfFlags, capabilityNames, opensSession } from '../machines/index.js';
import { profileDeviation } from '../machines/profiles.js';
import { ruleIdsOf } from '../rules/index.js';
import {
  type Case,
  CaseModel,
  CoverageMeter,
  IMAGE_CASE,
  imageCase,
  type Step,
  type Suite,
} from '../suite/index.js';
import type { Target } from '../target/target.js';
import { plural } from '../text/words.js';
import type { TraceEvent } from '../trace/event.js';
import type { OptionalCall } from '../uapi/optional-call.js';
import type { Report } from '../validate/report.js';
import { Bench, DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT } from './bench.js';
import { isExpected, nextAlone, runSegment, type Segment, type Subject } from './execute.js';
import { failureOf, knownOf, lossOf } from './failure.js';
import { type Found, Judged } from './findings.js';
import { type Judgement, judge, type Trouble } from './judge.js';
import { type PlannedStep, planOf, subsequence, written } from './plan.js';
import {
  type KnownDeviation,
  type SkippedCase,
  TEST_SCHEMA,
  type TestFailure,
  type TestReport,
} from './report.js';
import { lacking, misfit, reasonToSkip } from './requirements.js';
import { shrink } from './shrink.js';

/** What a suite can be made for, once the device is open. */
export interface DeviceFacts {
  readonly capabilities: CapabilitySet;
  readonly lacks: ReadonlySet<OptionalCall>;
  /** Scenarios that the target's guest can play. */
  readonly scenarios: readonly string[];
}

/** How a suite is run, and who hears of it. */
export interface RunOptions {
  readonly target: Target;
  /** The suite, or what makes it for the device. */
  readonly suite: Suite | ((facts: DeviceFacts) => Suite);
  /** Id of the only case to run. */
  readonly only?: string | undefined;
  /** Implementation whose known deviations are no failures; the default is the target's. */
  readonly profile?: string | undefined;
  /** Longest time of one call, in milliseconds; default 30000. */
  readonly timeout?: number | undefined;
  /** Most bytes that are read from one stream; default 64 MiB. */
  readonly maxBytes?: number | undefined;
  /** The run ends with so many failures; default 20. */
  readonly maxFailures?: number | undefined;
  /** Most tries to shrink one failure; 0: none; default 200. */
  readonly shrinkTries?: number | undefined;
  /** Hears of each event, those of shrinking left out. */
  emit?(event: TraceEvent): void;
  progress?(done: number, total: number, failures: number): void;
}

/** What came of a run: its report, and the events that were recorded. */
export interface RunResult {
  readonly report: TestReport;
  /** The same findings as the validator's reporters take them. */
  readonly findings: Report;
}

/** The same mistake: the same rule, or the same call with the same outcome. */
function isSame(found: Trouble, wanted: Trouble): boolean {
  if (found.known !== null) return false;
  if (found.rule === wanted.rule) return true;
  const [a, b] = [found.executed, wanted.executed];
  const wrong = a !== null && b !== null && !isExpected(a) && !isExpected(b);
  return wrong && a.step.do === b.step.do && a.outcome.label === b.outcome.label;
}

interface ImageTaker {
  took(bytes: Uint8Array): void;
  isRead: boolean;
}

interface Shortest {
  readonly steps: readonly Step[];
  readonly minimal: boolean;
}

/** A case of more steps goes on behind a failure, with a fresh device. */
const TOUR = 24;
/** Failures of one case after which it is given up. */
const MOST_IN_CASE = 8;

/**
 * Runs a suite on a live device, judges what came, and shrinks what failed. The target is closed afterwards.
 * @throws TargetError when it cannot be used; RangeError when `only` names no case, or the profile is unknown
 */
export async function runSuite(options: RunOptions): Promise<RunResult> {
  const { target, timeout = DEFAULT_TIMEOUT } = options;
  const started = performance.now();
  let silent = false;
  const bench = await Bench.open(target, {
    timeout,
    emit: (event) => {
      if (!silent) options.emit?.(event);
    },
  });
  try {
    const run = new Run(bench, await lacking(target, bench.device), options, (quiet) => {
      silent = quiet;
    });
    await run.all();
    return run.result(performance.now() - started);
  } finally {
    await bench.close();
  }
}

class Run {
  readonly #capabilities: CapabilitySet;
  readonly #lacks: ReadonlySet<OptionalCall>;
  readonly #suite: Suite;
  readonly #profile: string | undefined;
  readonly #coverage: CoverageMeter;
  readonly #failures: TestFailure[] = [];
  readonly #skipped: SkippedCase[] = [];
  readonly #known: KnownDeviation[] = [];
  readonly #remarks: string[] = [];
  readonly #replay: Case[] = [];
  readonly #judged = new Judged();
  readonly #troubles: Found[] = [];
  /** What has been shrunk, by what it is. */
  readonly #shrunk = new Map<string, Shortest>();
  #image: Uint8Array | null = null;
  /** The last trace of the device. */
  #before: readonly TraceEvent[] = [];
  #cases = 0;
  #passed = 0;
  #steps = 0;
  #over: string | null = null;

  constructor(
    readonly bench: Bench,
    lacks: ReadonlySet<OptionalCall>,
    readonly options: RunOptions,
    readonly quiet: (quiet: boolean) => void,
  ) {
    const { target, suite } = options;
    this.#capabilities = capabilitiesOfFlags(bench.device.flags);
    this.#lacks = lacks;
    this.#profile = options.profile ?? target.profile;
    this.#coverage = new CoverageMeter({
      capabilities: this.#capabilities,
      lacks: this.#lacks,
      rules: ruleIdsOf('driver'),
    });
    const facts = {
      capabilities: this.#capabilities,
      lacks: this.#lacks,
      scenarios: target.guest?.scenarios ?? [],
    };
    this.#suite = typeof suite === 'function' ? suite(facts) : suite;
  }

  get #subject(): Subject {
    const maxBytes = this.options.maxBytes ?? DEFAULT_MAX_BYTES;
    return { capabilities: this.#capabilities, image: this.#image, bounds: { maxBytes } };
  }

  get #imageLength(): number | null {
    return this.#image?.length ?? null;
  }

  async all(): Promise<void> {
    const cases = this.#chosen();
    if (misfit(this.#suite, this.#capabilities) !== null) return;
    await this.#saveImage();
    for (const [index, each] of cases.entries()) {
      this.options.progress?.(index, cases.length, this.#failures.length);
      if (this.#isOver()) {
        this.#remarks.push(`${plural(cases.length - index, 'case')} did not run: ${this.#over}`);
        break;
      }
      const reason = reasonToSkip(each, this.bench.target, this.#lacks, this.#image !== null);
      if (reason === null) await this.#case(each);
      else this.#skipped.push({ case: each.id, reason });
    }
    this.options.progress?.(cases.length, cases.length, this.#failures.length);
  }

  #chosen(): readonly Case[] {
    const { only } = this.options;
    const { cases } = this.#suite;
    if (only === undefined) return cases;
    const found = cases.filter(({ id }) => id === only);
    if (found.length > 0) return found;
    throw new RangeError(`the suite has no case ${only}`);
  }

  #isOver(): boolean {
    const most = this.options.maxFailures ?? 20;
    if (this.#over === null && this.#shrunk.size >= most)
      this.#over = `the limit of ${plural(this.#shrunk.size, 'different failure')} is reached`;
    return this.#over !== null;
  }

  /** The image comes from the device itself: a save that is read to its end. */
  async #saveImage(): Promise<void> {
    const parts: Uint8Array[] = [];
    const taker = { took: (bytes: Uint8Array) => void parts.push(bytes), isRead: false };
    const ok = await this.#case(imageCase(this.#capabilities), taker);
    // Where nothing is wrong it is no case of the suite.
    if (ok) {
      this.#cases--;
      this.#passed--;
    }
    if (taker.isRead) this.#image = Buffer.concat(parts);
    else
      this.#remarks.push(
        `the device's stream could not be read (case ${IMAGE_CASE}); nothing is written to the device`,
      );
  }

  /** @returns whether nothing was wrong */
  async #case(each: Case, image?: ImageTaker): Promise<boolean> {
    this.#cases++;
    const plan = planOf(each.steps, this.#capabilities, this.#imageLength);
    const wrong: { trouble: Trouble; from: number }[] = [];
    for (let from: number | null = 0; from !== null; ) {
      const { segment, judgement } = await this.#segment(plan, from, image?.took);
      this.#judged.add(judgement.report);
      this.#coverage.add(
        segment.executed.map(({ step, state, outcome }) => ({
          step: { ...step, at: state },
          outcome: outcome.label,
        })),
      );
      this.#steps += segment.executed.length;
      if (image && segment.executed.some(({ outcome }) => outcome.label === 'READ.end')) image.isRead = true;
      const troubles = this.#all(segment, judgement);
      for (const trouble of troubles)
        if (trouble.known !== null) this.#known.push(knownOf(each.id, trouble));
        else wrong.push({ trouble, from });
      this.#endIfLost(segment);
      from = this.#goesOn(plan, segment, wrong.length, each.id);
    }
    for (const { trouble, from } of wrong) await this.#fail(each, plan, trouble, from);
    if (wrong.length === 0) this.#passed++;
    return wrong.length === 0;
  }

  async #segment(
    plan: readonly PlannedStep[],
    from: number,
    took?: (bytes: Uint8Array) => void,
  ): Promise<{ segment: Segment; judgement: Judgement }> {
    const segment = await runSegment(plan, this.bench, this.#subject, {
      from,
      isKnown: ({ step: { rule } }) =>
        this.#profile !== undefined && profileDeviation(this.#profile, rule) !== undefined,
      ...(took === undefined ? {} : { took }),
    });
    const judgement = judge(segment, this.#profile, this.#before);
    this.#before = segment.events;
    return { segment, judgement };
  }

  /** What the validator and the outcomes show, and the loss of the device where nothing else tells of it. */
  #all(segment: Segment, { troubles }: Judgement): readonly Trouble[] {
    if (troubles.some(({ known }) => known === null)) return troubles;
    const loss = lossOf(segment, this.bench.canReset);
    return loss === null ? troubles : [...troubles, loss];
  }

  /** A device that hangs, or does not come home, is of no more use. */
  #endIfLost({ lost, stuck }: Segment): void {
    if (lost?.hangs || stuck !== null) this.#over ??= stuck ?? lost!.words;
  }

  /** Where a tour goes on behind a failure; null: it has ended. */
  #goesOn(plan: readonly PlannedStep[], segment: Segment, wrong: number, id: string): number | null {
    const { stoppedAt } = segment;
    if (stoppedAt === null || this.#over !== null || plan.length <= TOUR) return null;
    const next = nextAlone(plan, stoppedAt + 1, this.#capabilities);
    const rest = plan.length - stoppedAt - 1;
    if (wrong >= MOST_IN_CASE) {
      if (rest > 0)
        this.#remarks.push(`${id}: ${plural(rest, 'step')} did not run after ${plural(wrong, 'failure')}`);
      return null;
    }
    if (next !== null)
      this.#remarks.push(
        `${id}: after the failure at step ${stoppedAt} it went on with step ${next}, on a device that was brought to ${plan[next]!.step.at} anew`,
      );
    return next;
  }

  async #fail(each: Case, plan: readonly PlannedStep[], trouble: Trouble, from: number): Promise<void> {
    this.#troubles.push({ id: each.id, trouble });
    const sequence = this.#shown(plan, trouble, from);
    const { rule, executed } = trouble;
    const key = [rule, executed?.step.do, executed?.state, executed?.outcome.label].join(' ');
    let kept = this.#shrunk.get(key);
    if (kept === undefined) {
      const smaller = await this.#shrink(each.id, sequence, trouble);
      const steps = written(smaller.sequence, this.#capabilities, this.#imageLength);
      kept = { steps, minimal: smaller.minimal };
      this.#shrunk.set(key, kept);
    }
    if (!this.#replay.some(({ id }) => id === each.id))
      this.#replay.push({ ...each, steps: [...kept.steps] });
    this.#failures.push(failureOf(each, trouble, kept));
  }

  /** The part of a case that shows a trouble: up to its step, with the way to the state where it began. */
  #shown(plan: readonly PlannedStep[], { index }: Trouble, from: number): PlannedStep[] {
    const part = plan.slice(from, index === null ? undefined : index + 1);
    const first = part[0]!;
    const { at } = first.step;
    if (from === 0 || at === 'RUNNING') return part;
    const label = opensSession('RUNNING', at) ? `SET.${at}.data_fd` : `SET.${at}`;
    const step: Step = { do: 'set', state: at, expect: [label], rule: first.step.rule, at: 'RUNNING' };
    const situation = new CaseModel(this.#capabilities, this.#imageLength).situation(step);
    return [{ step, situation, opened: 0, liveBefore: null, liveAfter: first.liveBefore }, ...part];
  }

  async #shrink(
    id: string,
    sequence: PlannedStep[],
    trouble: Trouble,
  ): Promise<{ sequence: PlannedStep[]; minimal: boolean }> {
    const whole = { sequence, minimal: false };
    const tries = this.options.shrinkTries ?? 200;
    if (tries === 0 || this.#over !== null) return whole;
    const part = (kept: readonly number[]) =>
      subsequence(sequence, kept, this.#capabilities, this.#imageLength);
    const shows = async (kept: readonly number[]): Promise<boolean> => {
      const candidate = part(kept);
      if (candidate.length === 0 || this.#over !== null) return false;
      const { segment, judgement } = await this.#segment(candidate, 0);
      this.#endIfLost(segment);
      return this.#all(segment, judgement).some((each) => isSame(each, trouble));
    };
    this.quiet(true);
    try {
      const all = sequence.map((_, index) => index);
      if (!(await shows(all))) {
        this.#remarks.push(`${id}: the failure did not come again when the same was tried once more`);
        return whole;
      }
      const { kept, minimal } = await shrink(sequence.length, shows, tries);
      return { sequence: part(kept), minimal: minimal && this.#over === null };
    } finally {
      this.quiet(false);
    }
  }

  result(durationMs: number): RunResult {
    const { target } = this.options;
    const nothing = this.#cases === 0 && this.#failures.length === 0;
    const reason =
      misfit(this.#suite, this.#capabilities) ?? (nothing ? 'no case of the suite could run' : null);
    const verdict = reason !== null ? 'error' : this.#failures.length > 0 ? 'fail' : 'pass';
    const report: TestReport = {
      schema: TEST_SCHEMA,
      target: target.uri,
      device: this.bench.device.name,
      verdict,
      reason,
      cases: this.#cases,
      passed: this.#passed,
      failures: this.#failures,
      skipped: this.#skipped,
      known: this.#known,
      coverage: this.#coverage.coverage,
      capabilities: capabilityNames(this.#capabilities),
      profile: this.#profile ?? null,
      steps: this.#steps,
      resets: this.bench.resets,
      durationMs: Math.round(durationMs * 10) / 10,
      remarks: this.#remarks,
      replay: this.#replay.length === 0 ? null : { ...this.#suite, cases: this.#replay },
    };
    return { report, findings: this.#judged.report(report, this.#troubles) };
  }
}
