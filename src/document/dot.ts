import { type MachineDescription, mergedArcs } from './description.js';

/** A machine in the DOT language of Graphviz. The initial state is pointed at by a node `__init_NAME`. */
export function machineDot(machine: MachineDescription): string {
  const lines = [
    `digraph ${quoted(machine.machine)} {`,
    '  rankdir=LR;',
    `  label=${quoted([machine.title, ...machine.capabilities].join(', '))};`,
    '  node [shape=box, style=rounded, fontname="sans-serif"];',
    '  edge [fontname="sans-serif", fontsize=10];',
    ...machine.states.map(({ name, description }) => `  ${quoted(name)} [tooltip=${quoted(description)}];`),
    ...machine.states
      .filter(({ initial }) => initial)
      .flatMap(({ name }) => {
        const start = quoted(`__init_${name}`);
        return [`  ${start} [shape=point, label=""];`, `  ${start} -> ${quoted(name)};`];
      }),
    ...mergedArcs(machine.arcs).map(
      ({ from, to, events }) => `  ${quoted(from)} -> ${quoted(to)} [label=${quoted(events.join('\n'))}];`,
    ),
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}
