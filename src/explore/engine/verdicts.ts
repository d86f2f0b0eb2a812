import type { Model, Property } from '../model.js';
import type { Incomplete, Path, PropertyResult } from '../result.js';
import { type Lasso, leadsTo } from './leads-to.js';
import type { Program } from './program.js';
import type { Runs } from './runs.js';
import type { Search } from './search.js';

/** A search that has ended, and what it was of. */
export interface Ended {
  readonly model: Model;
  /** The properties in the order of the program's `shown`. */
  readonly watched: readonly Property[];
  readonly search: Search;
  readonly program: Program;
  readonly runs: Runs;
  readonly memory: number;
  /** Why it is not complete, or null. */
  readonly reason: Incomplete | null;
  /**
   * Lets others have their turn while cycles are looked for. Returns why it has to end, or null.
   * @param checked states that were looked at
   */
  pause(property: string, checked: number): Promise<Incomplete | null>;
}

/** What the reasons are called in sentences. */
const WHY: Readonly<Record<Incomplete, string>> = {
  memory: 'the bound of memory',
  states: 'the bound of states',
  depth: 'the bound of depth',
  time: 'the bound of time',
  interrupted: 'an interrupt',
};

/** Decides a property, never as holding when not all states were seen. */
export async function verdictOf(property: Property, ended: Ended): Promise<PropertyResult> {
  if ('everyAction' in property) return everyAction(property, ended);
  if ('from' in property) return response(property, ended);
  const { reason } = ended;
  const shown = pathTo(property, ended);
  if (property.kind === 'sometimes') {
    if (shown !== null) return { ...base(property), verdict: 'holds', witness: shown };
    return reason === null
      ? { ...base(property), verdict: 'violated', reason: 'no run comes there' }
      : unknown(property, reason);
  }
  if (shown !== null) return { ...base(property), verdict: 'violated', counterexample: shown };
  return reason === null ? { ...base(property), verdict: 'holds' } : unknown(property, reason);
}

const base = ({ id, kind, words }: Property) => ({
  id,
  kind,
  words,
  reason: null,
  counterexample: null,
  witness: null,
});

const unknown = (property: Property, reason: Incomplete): PropertyResult => ({
  ...base(property),
  verdict: 'unknown',
  reason: `not decided: ${WHY[reason]} ended the search early`,
});

const names = (model: Model, actions: readonly number[]): string[] =>
  actions.map((action) => model.actions[action]!.name);

/** A shortest run that shows what the property is about, or null. */
function pathTo(property: Property, { model, watched, program, runs }: Ended): Path | null {
  const state = program.shown[watched.indexOf(property)]!;
  if (state < 0) return null;
  const { actions, end } = runs.to(state);
  if (!('step' in property)) {
    const kind = 'deadlockUnless' in property ? 'deadlock' : 'state';
    return { actions: names(model, actions), end: kind, loop: null };
  }
  // The action is looked up in the state as the run reaches it: members may be in another order there.
  const count = program.expand(end, 0);
  const last = [...program.acts.subarray(0, count)].find((action) =>
    model.actions[action]!.labels.includes(property.step),
  )!;
  return { actions: names(model, [...actions, last]), end: 'step', loop: null };
}

function everyAction(property: Property, { model, program, runs, reason }: Ended): PropertyResult {
  // An action happens when one happens that it becomes by an exchange of equal members.
  const seen = new Set(runs.orbits.filter((_, index) => program.fired[index] === 1));
  const dead = model.actions.filter((_, index) => !seen.has(runs.orbits[index]!));
  if (dead.length === 0) return { ...base(property), verdict: 'holds' };
  const list = dead.map(({ name }) => name).join('; ');
  if (reason === null) return { ...base(property), verdict: 'violated', reason: `never happens: ${list}` };
  const why = `not seen before ${WHY[reason]} ended the search: ${list}`;
  return { ...base(property), verdict: 'unknown', reason: why };
}

async function response(property: Property & { kind: 'leadsTo' }, ended: Ended): Promise<PropertyResult> {
  const { model, reason, runs } = ended;
  if (reason !== null) return unknown(property, reason);
  const lasso = await lassoOf(property, ended);
  if (typeof lasso === 'string')
    return {
      ...base(property),
      verdict: 'unknown',
      reason: `not decided: all states are known, but ${WHY[lasso]} ended the search for a cycle`,
    };
  if (lasso === null) return { ...base(property), verdict: 'holds' };
  const { path, loop } = runs.lasso(lasso);
  const counterexample: Path = { actions: names(model, path), end: 'cycle', loop };
  return { ...base(property), verdict: 'violated', counterexample };
}

async function lassoOf(
  { id, from, to, fairness }: Property & { kind: 'leadsTo' },
  { model, search, memory, pause }: Ended,
): Promise<Lasso | Incomplete | null> {
  const room = memory - search.bytesWithNumbers;
  if (room < 0) return 'memory';
  const looking = leadsTo(search, {
    from: search.predicate(from),
    to: search.predicate(to),
    fair: fairness.map((label) =>
      model.actions.flatMap((action, index) => (action.labels.includes(label) ? [index] : [])),
    ),
    room,
  });
  for (;;) {
    const step = looking.next();
    if (step.done) return step.value;
    const end = await pause(id, step.value);
    if (end !== null) return end;
  }
}
