import { type CapabilitySet, capabilitiesOfFlags } from '../machines/index.js';
import { type Case, IMAGE_CASE, imageCase, type Suite } from '../suite/index.js';
import type { Target } from '../target/target.js';
import type { OptionalCall } from '../uapi/optional-call.js';
import type { MigState } from '../uapi/vfio.js';
import { Bench, DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT } from './bench.js';
import { goHome, isExpected, lostBy, type Segment, SegmentRun, type Subject } from './execute.js';
import { lossOf } from './failure.js';
import { judge, type Trouble } from './judge.js';
import { type PlannedStep, planOf } from './plan.js';
import { lacking, misfit, reasonToSkip } from './requirements.js';
import { callWords } from './words.js';

/** How cases are run on a device. */
export interface CaseRunnerOptions {
  /** Longest time of one call, in milliseconds; default 30000. */
  readonly timeout?: number;
  /** Most bytes that are read from one stream; default 64 MiB. */
  readonly maxBytes?: number;
}

/** A case whose steps are executed one by one, by whoever has the path. */
export interface Steps {
  /** Executes a step. @throws Error when the outcome is not allowed: what is wrong, and by which rule */
  step(index: number): Promise<void>;
  /**
   * Asks for the state.
   * @param planned where the path is; where the device took another way that is allowed too, its outcomes tell
   * @throws Error when it is another
   */
  check(planned: MigState): Promise<void>;
}

/**
 * Runs the cases of a suite for a test framework: the framework walks the paths, this executes their steps on
 * the target's device, brings it back after each case, and has the validator judge what came.
 */
export class CaseRunner {
  readonly #bench: Bench;
  readonly #capabilities: CapabilitySet;
  readonly #lacks: ReadonlySet<OptionalCall>;
  readonly #maxBytes: number;
  #image: Uint8Array | null = null;
  /** Why no case can run any more. */
  #over: string | null = null;

  private constructor(bench: Bench, lacks: ReadonlySet<OptionalCall>, maxBytes: number) {
    this.#bench = bench;
    this.#maxBytes = maxBytes;
    this.#capabilities = capabilitiesOfFlags(bench.device.flags);
    this.#lacks = lacks;
  }

  /**
   * Opens the target and saves the image of its device.
   * @throws TargetError when it cannot be used; Error when the suite is for another device, or a save fails
   */
  static async open(target: Target, suite: Suite, options: CaseRunnerOptions = {}): Promise<CaseRunner> {
    const { timeout = DEFAULT_TIMEOUT, maxBytes = DEFAULT_MAX_BYTES } = options;
    const bench = await Bench.open(target, { timeout });
    try {
      const runner = new CaseRunner(bench, await lacking(target, bench.device), maxBytes);
      const reason = misfit(suite, runner.#capabilities);
      if (reason !== null) throw new Error(reason);
      await runner.#saveImage();
      return runner;
    } catch (error) {
      await bench.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#bench.close();
  }

  /** Why a case cannot run on this target, or null. */
  reasonToSkip(each: Case): string | null {
    return reasonToSkip(each, this.#bench.target, this.#lacks, this.#image !== null);
  }

  /**
   * Runs a case that begins with the device in RUNNING with no session, and brings it back there.
   * @param walk executes the steps, in their order
   * @throws Error of the first thing that is wrong; whatever else `walk` throws
   */
  async run(each: Case, walk: (steps: Steps) => Promise<unknown>): Promise<void> {
    await this.#run(each, walk);
  }

  async #saveImage(): Promise<void> {
    const parts: Uint8Array[] = [];
    const save = imageCase(this.#capabilities);
    const all = async ({ step }: Steps) => {
      for (const index of save.steps.keys()) await step(index);
    };
    await this.#run(save, all, (bytes) => parts.push(bytes));
    this.#image = Buffer.concat(parts);
  }

  async #run(
    each: Case,
    walk: (steps: Steps) => Promise<unknown>,
    took?: (bytes: Uint8Array) => void,
  ): Promise<void> {
    if (this.#over !== null) throw new Error(this.#over);
    const subject: Subject = {
      capabilities: this.#capabilities,
      image: this.#image,
      bounds: { maxBytes: this.#maxBytes },
    };
    const plan = planOf(each.steps, this.#capabilities, this.#image?.length ?? null);
    const bench = this.#bench;
    bench.begin();
    const run = new SegmentRun(plan, bench, subject, took === undefined ? {} : { took });
    let failure: unknown = null;
    try {
      await walk(stepsOf(run, plan));
    } catch (error) {
      failure = error;
    }
    const stuck = run.lost?.hangs ? run.lost.words : await goHome(bench, this.#image);
    this.#over = stuck;
    const { executed, without, lost } = run;
    const segment: Segment = { events: bench.events, executed, without, stoppedAt: null, lost, stuck };
    this.#judge(each, segment, failure);
  }

  #judge(each: Case, segment: Segment, failure: unknown): void {
    const { troubles } = judge(segment, this.#bench.target.profile);
    const counted = troubles.filter(({ known }) => known === null);
    // An outcome that the target is known for is no failure, and stops the case all the same.
    if (failure instanceof StepError && counted.length === 0 && troubles.length > 0) return;
    const first = counted[0] ?? lossOf(segment, this.#bench.canReset);
    const wrong = first === null ? null : describe(each, first);
    if (failure !== null && !(failure instanceof StepError)) throw failure;
    if (wrong !== null) throw extended(wrong, failure);
    if (failure !== null) throw failure;
  }
}

/** A step had an outcome that is not allowed. */
class StepError extends Error {}

function stepsOf(run: SegmentRun, plan: readonly PlannedStep[]): Steps {
  let isOnPath = true;
  return {
    step: async (index) => {
      const goesOn = await run.advance(index);
      const last = run.executed.at(-1);
      if (last?.index !== index) return;
      const { outcome, expected } = last;
      const next = plan[index + 1]?.step.at;
      isOnPath &&= next === undefined || run.state === next;
      if (goesOn && isExpected(last)) return;
      const errno = outcome.errno === null ? '' : ` (${outcome.errno})`;
      throw new StepError(
        `step ${index}, ${callWords(last.step)}: expected ${expected.join(' or ')}, got ${outcome.label}${errno}`,
      );
    },
    check: async (planned) => {
      const wanted = isOnPath ? planned : run.state;
      run.call = 'GET of MIG_DEVICE_STATE';
      try {
        const state = await run.bench.device.getState();
        if (state !== wanted) throw new StepError(`the device is in ${state}, and should be in ${wanted}`);
      } catch (error) {
        if (error instanceof StepError) throw error;
        run.lost = lostBy(error, run.call);
        throw new StepError(run.lost.words);
      }
    },
  };
}

function describe({ id }: Case, { rule, title, index, message, clause }: Trouble): string {
  const where = id === IMAGE_CASE ? 'the save of the image' : id;
  return `${where}${index === null ? '' : `, step ${index}`}: ${rule} (${title}): ${message}; ${clause.source}`;
}

/** The words of the rule, with the error of the path in front, where there is one. */
function extended(words: string, failure: unknown): Error {
  if (!(failure instanceof Error)) return new Error(words);
  failure.message = `${failure.message}\n${words}`;
  return failure;
}
