import type { Machine } from '../machines/index.js';
import { flatAutomaton, flatNames } from './automaton-tables.js';
import { identifiers } from './identifiers.js';

/**
 * A machine in the dialect of DOT that `rvgen` of the kernel's runtime verification reads: nodes as circles, the
 * initial state pointed at by `__init_NAME` and drawn as a double circle, one edge for each event. Names are C
 * identifiers, since they become enumerators; regions are multiplied out. Source: `tools/verification/rvgen`.
 * @throws RangeError when it has too many states
 */
export function machineRvgen(machine: Machine): string {
  const automaton = flatAutomaton(machine);
  const states = identifiers(flatNames(automaton, '_').map((name) => name.toLowerCase()));
  const events = identifiers(automaton.events.map((name) => name.toLowerCase()));
  const [initial = ''] = states;
  const width = events.length;
  const edges = states.flatMap((from, state) =>
    events.flatMap((event, index) => {
      const to = automaton.next[state * width + index]!;
      return to < 0 ? [] : [`\t"${from}" -> "${states[to]}" [ label = "${event}" ];`];
    }),
  );
  const lines = [
    'digraph state_automaton {',
    ...states.slice(1).map((state) => `\t{node [shape = circle] "${state}"};`),
    `\t{node [shape = plaintext, style=invis, label=""] "__init_${initial}"};`,
    `\t{node [shape = doublecircle] "${initial}"};`,
    `\t{node [shape = circle] "${initial}"};`,
    `\t"__init_${initial}" -> "${initial}";`,
    ...states.map((state) => `\t"${state}" [label = "${state}"];`),
    ...edges,
    '\t{ rank = min ;',
    `\t\t"__init_${initial}";`,
    `\t\t"${initial}";`,
    '\t}',
    '}',
  ];
  return `${lines.join('\n')}\n`;
}
