import { type Expression, evaluate } from '../expression.js';
import { initialState, keyOf, type ModelState, step, successors, valuation } from '../interpret.js';
import type { Model, Property } from '../model.js';
import type { Path } from '../result.js';

/** What came of a run on the machines themselves. */
export interface Replay {
  /** The initial state and the state after each action, as far as the run went. */
  readonly states: readonly ModelState[];
  /** Null: the run is one of the model, and shows what it is said to show. Else why not. */
  readonly problem: string | null;
}

/**
 * Runs a path on the XState charts, and looks whether its end breaks the property (of a `sometimes`: whether
 * it is a witness). Nothing of the search is used: no packed states, no tables, no generated code.
 */
export function replay(model: Model, property: Property, path: Path): Replay {
  const states: ModelState[] = [initialState(model)];
  for (const [index, name] of path.actions.entries()) {
    const action = model.actions.find((each) => each.name === name);
    if (action === undefined) return { states, problem: `step ${index + 1}: no action is called '${name}'` };
    const next = step(model, states.at(-1)!, action);
    if (next === null) return { states, problem: `step ${index + 1}: '${name}' is not enabled` };
    states.push(next);
  }
  return { states, problem: new Judge(model, states, path).problem(property) };
}

/** Looks at the end of a run. */
class Judge {
  constructor(
    readonly model: Model,
    readonly states: readonly ModelState[],
    readonly path: Path,
  ) {}

  problem(property: Property): string | null {
    if ('deadlockUnless' in property) return this.#deadlock(property.deadlockUnless);
    if ('step' in property) return this.#step(property.step, property.when);
    if ('from' in property) return this.#response(property);
    if ('everyAction' in property) return 'no run shows that each event happens';
    const holds = this.#holds(property.of, this.states.at(-1)!);
    const wanted = property.kind !== 'always';
    return holds === wanted ? null : `the last state does not show it (${property.id})`;
  }

  #holds(of: Expression, state: ModelState): boolean {
    return evaluate(of, valuation(this.model, state)) !== 0;
  }

  #halts(state: ModelState): boolean {
    return successors(this.model, state).length === 0;
  }

  #deadlock(legal: Expression): string | null {
    const last = this.states.at(-1)!;
    if (!this.#halts(last)) return 'an action is enabled in the last state';
    return this.#holds(legal, last) ? 'the last state is a legal end' : null;
  }

  #step(label: string, when: Expression): string | null {
    const action = this.model.actions.find((each) => each.name === this.path.actions.at(-1));
    if (!action?.labels.includes(label)) return `the last action is no ${label}`;
    return this.#holds(when, this.states.at(-2)!)
      ? null
      : 'the last action is allowed in the state before it';
  }

  #response({ from, to, fairness }: Property & { kind: 'leadsTo' }): string | null {
    const begin = this.states.findIndex(
      (state, index) =>
        this.#holds(from, state) && !this.states.slice(index).some((later) => this.#holds(to, later)),
    );
    if (begin < 0) return 'what should follow does follow, or nothing asks for it';
    const { loop } = this.path;
    if (loop === null || loop > this.path.actions.length) return 'the run has no cycle';
    const [head, tail] = [this.states[loop]!, this.states.at(-1)!];
    if (keyOf(this.model, head) !== keyOf(this.model, tail))
      return 'the cycle does not come back to its begin';
    const unfair = fairness.find((label) => !this.#isFair(label, loop));
    return unfair === undefined ? null : `the cycle is not fair to ${unfair}`;
  }

  /** Whether the cycle takes an action with the label, or passes a state in which none is enabled. */
  #isFair(label: string, loop: number): boolean {
    const labelled = (name: string): boolean =>
      this.model.actions.some((each) => each.name === name && each.labels.includes(label));
    return (
      this.path.actions.slice(loop).some(labelled) ||
      this.states
        .slice(loop)
        .some((state) => !successors(this.model, state).some(({ action }) => action.labels.includes(label)))
    );
  }
}
