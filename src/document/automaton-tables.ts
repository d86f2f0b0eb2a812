import { type Automaton, compile } from '../automaton/index.js';
import type { Machine } from '../machines/index.js';

/** Most states of a table that is printed: more is of use to nobody. */
const MOST_STATES = 4096;

/**
 * A machine with its regions multiplied out, for forms that know one state at a time.
 * @throws RangeError with the number of its states when they are too many
 */
export function flatAutomaton(machine: Machine): Automaton {
  const automaton = compile(machine);
  if (automaton.states.length > MOST_STATES)
    throw new RangeError(
      `${machine.id} has ${automaton.states.length} states when its regions are multiplied out; this form takes ${MOST_STATES}`,
    );
  return automaton;
}

/** Names of the states: those of the regions, with the separator between. */
export function flatNames({ states }: Automaton, separator = '.'): string[] {
  return states.map((configuration) => configuration.join(separator));
}
