import type { CapabilitySet } from '../machines/capabilities.js';
import { CaseModel, likeliest, type Step } from '../suite/index.js';

/** A step, and the situation that its expectation was made for. */
export interface PlannedStep {
  readonly step: Step;
  /** See `CaseModel.situation`. */
  readonly situation: string;
  /** How many data_fds the case has been given before the step. */
  readonly opened: number;
  /** The fd of the session that goes on before the step, and behind it; null: none. */
  readonly liveBefore: number | null;
  readonly liveAfter: number | null;
}

/** Follows the steps of a case the way that they were made for: each one's `at` tells where the last one led. */
export function planOf(
  steps: readonly Step[],
  capabilities: CapabilitySet,
  imageLength: number | null,
): PlannedStep[] {
  const model = new CaseModel(capabilities, imageLength);
  return steps.map((step, index) => {
    model.state = step.at;
    const before = {
      step,
      situation: model.situation(step),
      opened: model.fds.length,
      liveBefore: model.liveFd,
    };
    model.take(step, likeliest(step.expect, steps[index + 1]?.at));
    return { ...before, liveAfter: model.liveFd };
  });
}

/**
 * Some steps of a plan, as a sequence of their own: numbers of fds are made to fit, and steps on the fd of
 * a session that no longer begins fall away.
 */
export function subsequence(
  plan: readonly PlannedStep[],
  kept: readonly number[],
  capabilities: CapabilitySet,
  imageLength: number | null,
): PlannedStep[] {
  const model = new CaseModel(capabilities, imageLength);
  /** By the number of an fd in the new sequence: its number in the old one. */
  const names: (number | null)[] = [];
  const result: PlannedStep[] = [];
  for (const index of kept) {
    const planned = plan[index]!;
    const step = renumbered(planned.step, names);
    if (step === null) continue;
    const before = { opened: model.fds.length, liveBefore: model.liveFd };
    const same = model.situation(step) === planned.situation;
    const allowed = same ? step.expect : model.allowed(step);
    model.take(step, likeliest(allowed ?? step.expect, plan[kept[kept.indexOf(index) + 1] ?? -1]?.step.at));
    while (names.length < model.fds.length) names.push(planned.liveAfter);
    result.push({ ...before, step, situation: planned.situation, liveAfter: model.liveFd });
  }
  return result;
}

function renumbered(step: Step, names: readonly (number | null)[]): Step | null {
  if (!('fd' in step)) return step;
  const fd = names.lastIndexOf(step.fd);
  if (step.do !== 'write' || step.data.of === undefined) return fd < 0 ? null : { ...step, fd };
  const of = names.lastIndexOf(step.data.of);
  return fd < 0 || of < 0 ? null : { ...step, fd, data: { ...step.data, of } };
}

/** The steps of a sequence as a case says them: with the states and expectations of this very sequence. */
export function written(
  sequence: readonly PlannedStep[],
  capabilities: CapabilitySet,
  imageLength: number | null,
): Step[] {
  const model = new CaseModel(capabilities, imageLength);
  return sequence.map(({ step, situation }, index) => {
    const expect = model.situation(step) === situation ? step.expect : (model.allowed(step) ?? step.expect);
    const at = model.state;
    model.take(step, likeliest(expect, sequence[index + 1]?.step.at));
    return { ...step, expect: [...expect], at };
  });
}
