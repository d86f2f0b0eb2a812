import type { Machine } from '../machines/index.js';
import { flatAutomaton, flatNames } from './automaton-tables.js';
import type { MachineDescription } from './description.js';
import { identifiers } from './identifiers.js';

/**
 * A machine as a C header: its states and events as enums with their names, and the table of next states. Regions are
 * multiplied out. Nothing but the language is needed to include it.
 * @throws RangeError when it has too many states
 */
export function machineCHeader(
  machine: Machine,
  { machine: name, title, capabilities }: MachineDescription,
): string {
  const automaton = flatAutomaton(machine);
  const [prefix = 'machine'] = identifiers([name.replace(/-/g, '_')]);
  const upper = prefix.toUpperCase();
  const states = flatNames(automaton);
  const width = automaton.events.length;
  const constants = (names: readonly string[]): string[] =>
    identifiers(names.map((each) => `${upper}_${each.toUpperCase()}`));
  const stateNames = constants(states.map((each) => `STATE_${each}`));
  const eventNames = constants(automaton.events.map((each) => `EVENT_${each}`));
  const rows = states.map((_, state) => {
    const next = [...automaton.next.subarray(state * width, (state + 1) * width)];
    return `\t{ ${next.join(', ')} },`;
  });
  const lines = [
    `/* ${comment([title, ...capabilities].join(', '))} */`,
    `#ifndef STOPCOPY_${upper}_H`,
    `#define STOPCOPY_${upper}_H`,
    '',
    ...enumOf(`${prefix}_state`, stateNames, `${upper}_STATES`),
    ...enumOf(`${prefix}_event`, eventNames, `${upper}_EVENTS`),
    ...namesOf(`${prefix}_state_names`, `${upper}_STATES`, states),
    ...namesOf(`${prefix}_event_names`, `${upper}_EVENTS`, automaton.events),
    '/* The next state by state and event; -1: the event is refused there. State 0 is the initial one. */',
    `static const short ${prefix}_next[${upper}_STATES][${upper}_EVENTS] = {`,
    ...rows,
    '};',
    '',
    '#endif',
  ];
  return `${lines.join('\n')}\n`;
}

function enumOf(name: string, constants: readonly string[], count: string): string[] {
  return [`enum ${name} {`, ...constants.map((each) => `\t${each},`), `\t${count}`, '};', ''];
}

function namesOf(name: string, count: string, names: readonly string[]): string[] {
  return [
    `static const char *const ${name}[${count}] = {`,
    ...names.map((each) => `\t${JSON.stringify(each)},`),
    '};',
    '',
  ];
}

const comment = (text: string): string => text.replace(/\*\//g, '* /').replace(/\s+/g, ' ');
