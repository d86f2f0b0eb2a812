import { type MachineDescription, mergedArcs } from './description.js';

/** A machine for PlantUML. */
export function machinePlantUml(machine: MachineDescription): string {
  const ids = new Map(machine.states.map(({ name }, index) => [name, `s${index}`]));
  const lines = [
    '@startuml',
    `title ${plantText([machine.title, ...machine.capabilities].join(', '))}`,
    'hide empty description',
    ...machine.states.map(({ name }) => `state "${plantText(name)}" as ${ids.get(name)}`),
    ...machine.states.filter(({ initial }) => initial).map(({ name }) => `[*] --> ${ids.get(name)}`),
    ...mergedArcs(machine.arcs).map(
      ({ from, to, events }) => `${ids.get(from)} --> ${ids.get(to)} : ${events.map(plantText).join('\\n')}`,
    ),
    '@enduml',
  ];
  return `${lines.join('\n')}\n`;
}

/** Text on one line; what means something to PlantUML is written as a character code. */
function plantText(text: string): string {
  return text.replace(/[^\p{L}\p{N} .,:()_+/-]/gu, (sign) => `&#${sign.codePointAt(0)};`);
}
