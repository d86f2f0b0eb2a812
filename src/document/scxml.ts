import { xmlAttributes, xmlText } from '../text/xml.js';
import type { MachineDescription, StateDescription } from './description.js';

/** Namespace of the attributes that SCXML has no place for. */
const NAMESPACE = 'urn:stopcopy:machine';

/**
 * A machine as SCXML (W3C Recommendation of 2015): a flat chart, a `<transition>` for each arc.
 * State ids and event names that SCXML would not take are written by `scxmlName`; reading them back
 * with `nameOfScxml` gives the same machine.
 */
export function machineScxml(machine: MachineDescription): string {
  const initial = machine.states.filter((state) => state.initial);
  const head = xmlAttributes({
    xmlns: 'http://www.w3.org/2005/07/scxml',
    'xmlns:stopcopy': NAMESPACE,
    version: '1.0',
    datamodel: 'null',
    name: scxmlName(machine.machine),
    ...(initial.length > 0 ? { initial: initial.map(({ name }) => scxmlName(name)).join(' ') } : {}),
  });
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<!-- ${comment([machine.title, ...machine.capabilities].join(', '))} -->`,
    `<scxml${head}>`,
    ...machine.states.flatMap((state) => stateLines(state, machine)),
    '</scxml>',
  ];
  return `${lines.join('\n')}\n`;
}

function stateLines(state: StateDescription, machine: MachineDescription): string[] {
  const arcs = machine.arcs.filter(({ from }) => from === state.name);
  const head = xmlAttributes({ id: scxmlName(state.name), ...clauseAttribute(state.clause) });
  return [
    `  <state${head}>`,
    ...(state.description === '' ? [] : [`    <!-- ${comment(state.description)} -->`]),
    ...arcs.map(({ event, to, clause }) => {
      const attributes = { event: scxmlName(event), target: scxmlName(to), ...clauseAttribute(clause) };
      return `    <transition${xmlAttributes(attributes)}/>`;
    }),
    '  </state>',
  ];
}

function clauseAttribute(clause: string): Record<string, string> {
  return clause === '' ? {} : { 'stopcopy:clause': clause };
}

/** A comment must not hold `--` nor end in `-`. */
function comment(text: string): string {
  return xmlText(text).replace(/-(?=-|$)/g, '- ');
}

/** An XML name for a state or an event: what a name cannot hold is written as `_xHEX_`. */
export function scxmlName(name: string): string {
  return name
    .replace(/_(?=x[0-9a-f]+_)/g, '_x5f_')
    .replace(/[^\p{L}\p{N}_.-]|^[^\p{L}_]/gu, (char) => `_x${char.codePointAt(0)!.toString(16)}_`);
}

/** The name that `scxmlName` wrote. */
export function nameOfScxml(name: string): string {
  return name.replace(/_x([0-9a-f]+)_/g, (_all, hex: string) =>
    String.fromCodePoint(Number.parseInt(hex, 16)),
  );
}
