import { CLAUSES, type ClauseId } from '../machines/clauses.js';
import { ruleNamed } from '../rules/index.js';
import type { Case, Step } from '../suite/index.js';
import type { Lost, Segment } from './execute.js';
import type { Trouble } from './judge.js';
import type { KnownDeviation, TestFailure } from './report.js';
import { callWords } from './words.js';

/** What the report says of a trouble. */
export function failureOf(
  { id, title }: Pick<Case, 'id' | 'title'>,
  trouble: Trouble,
  shortest: { readonly steps: readonly Step[]; readonly minimal: boolean },
): TestFailure {
  const {
    rule,
    title: ruleTitle,
    party,
    clause,
    cause,
    index,
    executed,
    call,
    expected,
    actual,
    message,
  } = trouble;
  return {
    case: id,
    title,
    rule,
    ruleTitle,
    party,
    clause: { ...clause },
    cause,
    step: index,
    call,
    expected: [...expected],
    actual,
    errno: executed?.outcome.errno ?? null,
    message,
    shrunk: shortest.steps.map(callWords),
    minimal: shortest.minimal,
  };
}

export function knownOf(id: string, { rule, index, known }: Trouble): KnownDeviation {
  return { case: id, rule, step: index, words: known ?? '' };
}

/** The loss of a device where nothing else tells of it, or null. */
export function lossOf({ lost, stuck }: Pick<Segment, 'lost' | 'stuck'>, canReset: boolean): Trouble | null {
  if (lost !== null) return lostTrouble(lost);
  return stuck === null ? null : stuckTrouble(stuck, canReset);
}

/** The device is gone, and no step tells of it: on the way to the state where the steps begin. */
function lostTrouble({ call, words }: Lost): Trouble {
  return bare('VFIO-FSM-01', 'uapi/set', ['an answer'], 'broken', `${call}: ${words}`);
}

/** Nothing brings the device back to RUNNING. */
function stuckTrouble(words: string, canReset: boolean): Trouble {
  return canReset
    ? bare('VFIO-RST-01', 'uapi/reset', ['RUNNING'], 'stuck', words)
    : bare('VFIO-FSM-14', 'driver/undo', ['RUNNING'], 'stuck', words);
}

function bare(
  id: string,
  clause: ClauseId,
  expected: readonly string[],
  actual: string,
  message: string,
): Trouble {
  const rule = ruleNamed(id);
  return {
    index: null,
    executed: null,
    call: 'back to RUNNING after the last step',
    rule: id,
    title: rule?.title ?? '',
    party: 'driver',
    clause: CLAUSES[clause],
    cause: rule?.causes ?? '',
    expected,
    actual,
    message,
    known: null,
    finding: null,
  };
}
