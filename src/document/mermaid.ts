import { mermaidText } from '../text/diagram.js';
import { type MachineDescription, mergedArcs } from './description.js';

/** A machine as a Mermaid `stateDiagram-v2`. */
export function machineMermaid(machine: MachineDescription): string {
  const ids = new Map(machine.states.map(({ name }, index) => [name, mermaidId(name, index)]));
  const id = (name: string) => ids.get(name) ?? mermaidId(name, ids.size);
  const lines = [
    'stateDiagram-v2',
    ...machine.states
      .filter(({ name }) => id(name) !== name)
      .map(({ name }) => `    state "${mermaidText(name)}" as ${id(name)}`),
    ...machine.states.filter(({ initial }) => initial).map(({ name }) => `    [*] --> ${id(name)}`),
    ...mergedArcs(machine.arcs).map(
      ({ from, to, events }) => `    ${id(from)} --> ${id(to)} : ${events.map(mermaidText).join(', ')}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}

/** Mermaid takes word characters in an id, and `end` closes a block. */
function mermaidId(name: string, index: number): string {
  return /^[A-Za-z]\w*$/.test(name) && name.toLowerCase() !== 'end' ? name : `s${index}`;
}
