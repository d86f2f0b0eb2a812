import { type Configuration, chartStep, initialConfiguration, type Machine } from '../machines/index.js';
import { evaluate, type Valuation } from './expression.js';
import { type Action, type Model, ModelError } from './model.js';

/**
 * A model as it stands, stepped on the XState charts themselves: no packed states, no tables, no generated
 * code. Slow, and made to share nothing with the search: it is what counterexamples are replayed on.
 */

/** A state: the configuration of each component, and the value of each variable. */
export interface ModelState {
  readonly components: Readonly<Record<string, Configuration>>;
  readonly values: Readonly<Record<string, number>>;
}

/** The state in which every run of the model begins. */
export function initialState(model: Model): ModelState {
  return {
    components: Object.fromEntries(
      model.components.map(({ name, machine }) => [name, initialConfiguration(machine)]),
    ),
    values: Object.fromEntries(model.variables.map(({ name, initial }) => [name, initial])),
  };
}

/** What expressions ask of a state. */
export function valuation(model: Model, state: ModelState): Valuation {
  const component = (name: string) => model.components.find((each) => each.name === name)!;
  return {
    value: (variable) => state.values[variable]!,
    region: (name, region) => state.components[name]![component(name).automaton.regions.indexOf(region)]!,
    takes: (name, event) => stepOf(component(name).machine, state.components[name]!, event) !== null,
  };
}

/**
 * The state after an action, or null when it is not enabled.
 * @throws ModelError when a variable would leave its range
 */
export function step(model: Model, state: ModelState, action: Action): ModelState | null {
  const sees = valuation(model, state);
  if (evaluate(action.when, sees) === 0) return null;
  const components = { ...state.components };
  for (const { component, event } of action.sync) {
    const machine = model.components.find((each) => each.name === component)!.machine;
    const next = stepOf(machine, components[component]!, event);
    if (next === null) return null;
    components[component] = next;
  }
  const values = { ...state.values };
  for (const { variable, to } of action.set) {
    const value = evaluate(to, sees);
    const { max } = model.variables.find((each) => each.name === variable)!;
    if (value < 0 || value > max)
      throw new ModelError(
        `${model.name}: '${action.name}' sets ${variable} to ${value}; it holds 0 to ${max}`,
      );
    values[variable] = value;
  }
  return { components, values };
}

/** The actions that are enabled, each with the state after it. */
export function successors(model: Model, state: ModelState): { action: Action; to: ModelState }[] {
  return model.actions.flatMap((action) => {
    const to = step(model, state, action);
    return to === null ? [] : [{ action, to }];
  });
}

/** A key that is equal for equal states only. */
export function keyOf(model: Model, state: ModelState): string {
  return [
    ...model.components.map(({ name }) => state.components[name]!.join(',')),
    ...model.variables.map(({ name }) => state.values[name]!),
  ].join('|');
}

/** Steps of charts that were made before: XState takes some 30 microseconds for one. */
const steps = new WeakMap<Machine, Map<string, Configuration | null>>();

function stepOf(machine: Machine, from: Configuration, event: string): Configuration | null {
  const known = steps.get(machine) ?? new Map<string, Configuration | null>();
  steps.set(machine, known);
  const key = `${from.join(',')} ${event}`;
  const next = known.has(key) ? known.get(key)! : chartStep(machine, from, event);
  known.set(key, next);
  return next;
}
