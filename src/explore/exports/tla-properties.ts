import type { Model, Property } from '../model.js';
import { comment, type Names } from './names.js';
import type { TlaPrinter } from './tla-printer.js';

type LeadsTo = Property & { kind: 'leadsTo' };

const isLeadsTo = (property: Property): property is LeadsTo => property.kind === 'leadsTo';

/** What an invariant is called; of a `sometimes`, one that is broken by the witness. Null: it is none. */
function invariantName(names: Names, property: Property): string | null {
  const name = names.properties.get(property.id)!;
  if (isLeadsTo(property) || 'everyAction' in property) return null;
  return property.kind === 'sometimes' ? `NoWitnessOf_${name}` : name;
}

/** The properties as operators over states. */
export function propertyText(printer: TlaPrinter): string[] {
  return printer.model.properties.flatMap((property) => {
    const formula = invariant(printer, property);
    if (formula === null) return [];
    const name = invariantName(printer.names, property);
    return [`\\* ${property.kind}: ${comment(property.words)}`, `${name} == ${formula}`, ''];
  });
}

function invariant(printer: TlaPrinter, property: Property): string | null {
  if ('deadlockUnless' in property) return `CanMove \\/ ${printer.truth(property.deadlockUnless)}`;
  // What is enabled in a state happens in some run.
  if ('step' in property)
    return `~(Can_${printer.names.labels.get(property.step)} /\\ ${printer.truth(property.when)})`;
  if (!('of' in property)) return null;
  return property.kind === 'always' ? printer.truth(property.of) : `~${printer.truth(property.of)}`;
}

/** The module of the properties that need fairness; null when there are none. */
export function liveModule(printer: TlaPrinter): string | null {
  const { model, names } = printer;
  const properties = model.properties.filter(isLeadsTo);
  if (properties.length === 0) return null;
  const classes = [...new Set(properties.flatMap(({ fairness }) => fairness))];
  return [
    `---- MODULE ${names.module}_live ----`,
    `\\* ${comment(`${model.name}: what happens at last`)}`,
    `EXTENDS ${names.module}`,
    '',
    'VARIABLE tick',
    'lvars == << vars, tick >>',
    "LiveNext == Next /\\ tick' = 1 - tick",
    ...classes.map((label) => {
      const name = names.labels.get(label)!;
      return `Live_${name} == ${name} /\\ tick' = 1 - tick`;
    }),
    'LiveSpec == Init /\\ tick = 0 /\\ [][LiveNext]_lvars',
    '',
    ...properties.flatMap((property) => {
      const name = names.properties.get(property.id)!;
      const fair = property.fairness.map((label) => ` /\\ WF_lvars(Live_${names.labels.get(label)})`);
      return [
        `\\* ${comment(property.words)}`,
        `Spec_${name} == LiveSpec${fair.join('')}`,
        `${name} == ${printer.truth(property.from)} ~> ${printer.truth(property.to)}`,
        '',
      ];
    }),
    '====',
    '',
  ].join('\n');
}

/** TLC's configurations; the first is for all safety properties. */
export function configurations(model: Model, names: Names): { name: string; text: string }[] {
  const named = (kind: (property: Property) => boolean): string[] =>
    model.properties.filter(kind).flatMap((property) => invariantName(names, property) ?? []);
  const config = (lines: readonly string[]): string => [...lines, 'CHECK_DEADLOCK FALSE', ''].join('\n');
  const invariants = (list: readonly string[]) =>
    config(['SPECIFICATION Spec', ...list.map((each) => `INVARIANT ${each}`)]);
  const witnesses = named((property) => property.kind === 'sometimes');
  return [
    {
      name: `${names.module}.cfg`,
      text: invariants(['TypeOK', ...named((property) => property.kind !== 'sometimes')]),
    },
    ...(witnesses.length > 0 ? [{ name: `${names.module}_witness.cfg`, text: invariants(witnesses) }] : []),
    ...model.properties.filter(isLeadsTo).map((property) => {
      const name = names.properties.get(property.id)!;
      return {
        name: `${names.module}_live_${name}.cfg`,
        text: config([`SPECIFICATION Spec_${name}`, `PROPERTY ${name}`]),
      };
    }),
  ];
}
