import { configurationName } from '../../automaton/automaton.js';
import type { ModelState } from '../interpret.js';

/** What changed in one step: names of components and variables, with their states and values after it. */
export type Changes = Readonly<Record<string, string | number>>;

/** What is different in `after`. */
export function changes(before: ModelState, after: ModelState): Changes {
  const components = Object.entries(after.components)
    .filter(([name, state]) => state.join() !== before.components[name]!.join())
    .map(([name, state]) => [name, configurationName(state)]);
  const values = Object.entries(after.values).filter(([name, value]) => value !== before.values[name]);
  return Object.fromEntries([...components, ...values]);
}
