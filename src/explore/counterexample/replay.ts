import { type Expression, evaluate } from '../expression.js';
import { initialState, keyOf, type ModelState, step, successors, valuation } from '../interpret.js';
import { type Action, type Model, ModelError, type Property } from '../model.js';
import type { Path } from '../result.js';

/** What came of a run on the machines themselves. */
export interface Replay {
  /** The initial state and the state after each action, as far as the run went. */
  readonly states: readonly ModelState[];
  /** Null: the run is one of the model, and shows what it is said to show. Else at which step it does not, and why. */
  readonly problem: string | null;
}

/**
 * Runs a path on the XState charts, and looks whether its end breaks the property (of a `sometimes`: whether
 * it is a witness). Nothing of the search is used: no packed states, no tables, no generated code.
 */
export function replay(model: Model, property: Property, path: Path): Replay {
  return replayOn(model, property, path, [initialState(model)]);
}

/** A replay that goes on where another has been: `begun` are the states of the first actions. */
export function replayOn(model: Model, property: Property, path: Path, begun: readonly ModelState[]): Replay {
  const states = [...begun];
  for (const [index, name] of path.actions.slice(begun.length - 1).entries()) {
    const next = stepped(model, states.at(-1)!, name);
    if (typeof next === 'string') return { states, problem: `step ${begun.length + index}: ${next}` };
    states.push(next);
  }
  return { states, problem: new Judge(model, states, path).problem(property) };
}

/** The state after an action, or why there is none. */
function stepped(model: Model, state: ModelState, name: string): ModelState | string {
  const action = actionNamed(model, name);
  if (action === undefined) return `no action is called '${name}'`;
  try {
    return step(model, state, action) ?? `'${name}' is not enabled`;
  } catch (error) {
    if (error instanceof ModelError) return error.message;
    throw error;
  }
}

function actionNamed(model: Model, name: string | undefined): Action | undefined {
  return model.actions.find((each) => each.name === name);
}

/** Looks at the end of a run. */
class Judge {
  constructor(
    readonly model: Model,
    readonly states: readonly ModelState[],
    readonly path: Path,
  ) {}

  problem(property: Property): string | null {
    if ('everyAction' in property) return 'no run shows that each event happens';
    const wanted = endOf(property);
    if (this.path.end !== wanted) return `the end of the run is a ${this.path.end}, not a ${wanted}`;
    if ((this.path.loop !== null) !== (wanted === 'cycle'))
      return wanted === 'cycle' ? 'the run has no cycle' : `a run that ends in a ${wanted} has no cycle`;
    if ('deadlockUnless' in property) return this.#deadlock(property.deadlockUnless);
    if ('step' in property) return this.#step(property.step, property.when);
    if ('from' in property) return this.#response(property, this.path.loop!);
    const shown = this.#holds(property.of, this.states.at(-1)!) === (property.kind !== 'always');
    return shown ? null : `the last state does not show it (${property.id})`;
  }

  #holds(of: Expression, state: ModelState): boolean {
    return evaluate(of, valuation(this.model, state)) !== 0;
  }

  #deadlock(legal: Expression): string | null {
    const last = this.states.at(-1)!;
    const [enabled] = successors(this.model, last);
    if (enabled !== undefined) return `'${enabled.action.name}' is enabled in the last state`;
    return this.#holds(legal, last) ? 'the last state is a legal end' : null;
  }

  #step(label: string, when: Expression): string | null {
    const action = actionNamed(this.model, this.path.actions.at(-1));
    if (!action?.labels.includes(label)) return `the last action is no ${label}`;
    return this.#holds(when, this.states.at(-2)!)
      ? null
      : 'the last action is allowed in the state before it';
  }

  #response({ from, to, fairness }: Property & { kind: 'leadsTo' }, loop: number): string | null {
    const head = this.states[loop];
    if (head === undefined) return `there is no step ${loop + 1} at which a cycle could begin`;
    if (keyOf(this.model, head) !== keyOf(this.model, this.states.at(-1)!))
      return `the cycle does not come back to the state before step ${loop + 1}`;
    const problem = this.#answered(from, to, loop);
    if (problem !== null) return problem;
    const unfair = fairness.find((label) => !this.#isFair(label, loop));
    return unfair === undefined ? null : `the cycle is not fair to ${unfair}`;
  }

  /** Whether what is asked for comes after all: what the cycle passes comes again after each of its states. */
  #answered(from: Expression, to: Expression, loop: number): string | null {
    const last = this.states.findLastIndex((state) => this.#holds(to, state));
    if (last >= loop) return `what should follow does follow, in the cycle after step ${last}`;
    const asked = this.states.slice(last + 1).some((state) => this.#holds(from, state));
    return asked ? null : 'nothing asks for it, or what should follow does follow';
  }

  /** Whether the cycle takes an action with the label, or passes a state in which none is enabled. */
  #isFair(label: string, loop: number): boolean {
    const has = (action: Action | undefined): boolean => action?.labels.includes(label) === true;
    return (
      this.path.actions.slice(loop).some((name) => has(actionNamed(this.model, name))) ||
      this.states
        .slice(loop)
        .some((state) => !successors(this.model, state).some(({ action }) => has(action)))
    );
  }
}

/** How a run ends that shows what a property is about. */
function endOf(property: Property): Path['end'] {
  if ('from' in property) return 'cycle';
  if ('deadlockUnless' in property) return 'deadlock';
  return 'step' in property ? 'step' : 'state';
}
