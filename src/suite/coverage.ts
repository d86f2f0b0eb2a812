import { arcsOf, type CapabilitySet, requestedPath, statesOf } from '../machines/index.js';
import { MIG_STATES, type MigState } from '../uapi/vfio.js';
import type { Case, Step } from './suite.js';

/** How much of what there is. */
export interface Covered {
  readonly reached: number;
  readonly total: number;
}

/**
 * - `states`: states that requests reach, in which a step was done or a request ended;
 * - `arcs`: arcs of the uAPI that successful requests took, alone or on their path;
 * - `requests`: states times requests (SET of each of the header's states, RESET), refused ones as well;
 * - `pairs`: states times two requests, one after the other;
 * - `rules`: rules of drivers that steps name.
 */
export const COVERAGE_MEASURES = ['states', 'arcs', 'requests', 'pairs', 'rules'] as const;
export type CoverageMeasure = (typeof COVERAGE_MEASURES)[number];
/** What a suite covers of what it was asked for. */
export type Coverage = Readonly<Record<CoverageMeasure, Covered>>;

/** A step, and the outcome that it had or is planned to have. */
export interface StepOutcome {
  readonly step: Step;
  readonly outcome: string;
}

/** What there is to be covered. */
export interface CoverageScope {
  readonly capabilities: CapabilitySet;
  /** Calls that the target has no form for. Without `reset`, RESET is none of the requests. */
  readonly lacks?: ReadonlySet<string>;
  /** Ids of the rules that count. */
  readonly rules?: Iterable<string>;
}

/**
 * Measures what cases cover: of a suite as it is planned (`planned`), or of a run, case by case, with the
 * outcomes that the device gave. Both are counted alike, so the numbers of a run and of its suite compare.
 */
export class CoverageMeter {
  readonly #scope: CoverageScope;
  readonly #rules: ReadonlySet<string>;
  readonly #reached: Record<CoverageMeasure, Set<string>>;

  constructor(scope: CoverageScope) {
    this.#scope = scope;
    this.#rules = new Set(scope.rules ?? []);
    this.#reached = {
      states: new Set(),
      arcs: new Set(),
      requests: new Set(),
      pairs: new Set(),
      rules: new Set(),
    };
  }

  /** Takes the steps of one case, from its beginning; those that were not done are left out. */
  add(steps: Iterable<StepOutcome>): void {
    for (const [measure, item] of this.itemsOf(steps)) this.#reached[measure].add(item);
  }

  /** What the steps of one case cover, in their order; an item may come more than once. */
  *itemsOf(steps: Iterable<StepOutcome>): Generator<[CoverageMeasure, string]> {
    let before: string | null = null;
    for (const { step, outcome } of steps) {
      if (this.#isState(step.at)) yield ['states', step.at];
      if (this.#rules.has(step.rule)) yield ['rules', step.rule];
      const request = requestOf(step);
      if (request === null) {
        // Another request may be in between that counts as none: then the two around it are no pair.
        if (step.do === 'set' || step.do === 'reopen') before = null;
        continue;
      }
      yield* this.#arrival(step.at, outcome);
      if (!this.#isState(step.at)) continue;
      const tried = `${step.at} > ${request}`;
      yield ['requests', tried];
      if (before !== null) yield ['pairs', `${before} > ${request}`];
      before = tried;
    }
  }

  *#arrival(from: MigState, outcome: string): Generator<[CoverageMeasure, string]> {
    const [call, to] = outcome.split('.') as [string, MigState];
    if (call !== 'SET') return;
    let at = from;
    for (const hop of requestedPath(from, to, this.#scope.capabilities) ?? []) {
      yield ['arcs', `${at} > ${hop}`];
      at = hop;
    }
    if (this.#isState(to)) yield ['states', to];
  }

  /** ERROR is none of them: no request leads there. */
  #isState(state: MigState): boolean {
    return state !== 'ERROR' && statesOf(this.#scope.capabilities).includes(state);
  }

  get coverage(): Coverage {
    const states = statesOf(this.#scope.capabilities).filter((state) => this.#isState(state)).length;
    const requests = MIG_STATES.length + (this.#scope.lacks?.has('reset') ? 0 : 1);
    const totals: Record<CoverageMeasure, number> = {
      states,
      arcs: arcsOf(this.#scope.capabilities).length,
      requests: states * requests,
      pairs: states * requests * requests,
      rules: this.#rules.size,
    };
    const covered = (measure: CoverageMeasure): Covered => ({
      reached: this.#reached[measure].size,
      total: totals[measure],
    });
    return {
      states: covered('states'),
      arcs: covered('arcs'),
      requests: covered('requests'),
      pairs: covered('pairs'),
      rules: covered('rules'),
    };
  }
}

function requestOf(step: Step): string | null {
  if (step.do === 'reset') return 'RESET';
  return step.do === 'set' && typeof step.state === 'string' ? step.state : null;
}

/** The steps of a case with the outcomes of a device that does all that is allowed. */
export function planned({ steps }: Pick<Case, 'steps'>): StepOutcome[] {
  return steps.map((step) => ({
    step,
    outcome: step.expect.find((outcome) => !outcome.startsWith('FAIL.')) ?? step.expect[0]!,
  }));
}
