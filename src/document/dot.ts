import { dotQuoted } from '../text/diagram.js';
import { type MachineDescription, mergedArcs } from './description.js';

/** A machine in the DOT language of Graphviz. The initial state is pointed at by a node `__init_NAME`. */
export function machineDot(machine: MachineDescription): string {
  const lines = [
    `digraph ${dotQuoted(machine.machine)} {`,
    '  rankdir=LR;',
    `  label=${dotQuoted([machine.title, ...machine.capabilities].join(', '))};`,
    '  node [shape=box, style=rounded, fontname="sans-serif"];',
    '  edge [fontname="sans-serif", fontsize=10];',
    ...machine.states.map(
      ({ name, description }) => `  ${dotQuoted(name)} [tooltip=${dotQuoted(description)}];`,
    ),
    ...machine.states
      .filter(({ initial }) => initial)
      .flatMap(({ name }) => {
        const start = dotQuoted(`__init_${name}`);
        return [`  ${start} [shape=point, label=""];`, `  ${start} -> ${dotQuoted(name)};`];
      }),
    ...mergedArcs(machine.arcs).map(
      ({ from, to, events }) =>
        `  ${dotQuoted(from)} -> ${dotQuoted(to)} [label=${dotQuoted(events.join('\n'))}];`,
    ),
    '}',
  ];
  return `${lines.join('\n')}\n`;
}
