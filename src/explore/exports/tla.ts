import type { Action, Component, Model } from '../model.js';
import { allStates, componentOf, stateName } from './lowering.js';
import { comment, type Names, namesOf } from './names.js';
import { TlaPrinter } from './tla-printer.js';
import { configurations, liveModule, propertyText } from './tla-properties.js';

/** A model in TLA+, for TLC. */
export interface TlaExport {
  /** The text of the module: the state graph of the model, with its safety properties as invariants. */
  readonly module: string;
  /** TLC's configuration for the module: every safety property. */
  readonly config: string;
  /**
   * The two, and what else there is, by file name: a configuration for the witnesses of `sometimes`; with
   * `leadsTo`, a module that extends the first, and a configuration for each property.
   */
  readonly files: readonly { readonly name: string; readonly text: string }[];
}

/**
 * A model in TLA+. Distinct states are the states of the model; an action is an operator of its own, so that
 * TLC's coverage tells which happen.
 *
 * TLA+ does not see steps that change nothing, so fairness would not see them either. The module for `leadsTo`
 * therefore has a `tick` that each step flips: its runs are those of the model, its states up to twice as many.
 */
export function toTla(model: Model): TlaExport {
  const names = namesOf(model);
  const printer = new TlaPrinter(model, names);
  const module = `${moduleText(printer)}\n`;
  const live = liveModule(printer);
  const configs = configurations(model, names);
  const files = [{ name: `${names.module}.tla`, text: module }, ...configs];
  if (live !== null) files.splice(1, 0, { name: `${names.module}_live.tla`, text: live });
  return { module, config: configs[0]!.text, files };
}

function moduleText(printer: TlaPrinter): string {
  const { model, names } = printer;
  const { devices, pages, faults, variant } = model.options;
  const vars = variablesOf(names);
  return [
    `---- MODULE ${names.module} ----`,
    `\\* ${comment(`${model.name}: ${model.title}`)}`,
    `\\* devices ${devices}, pages ${pages}, faults ${faults}, variant ${comment(variant ?? 'none')}`,
    ...symmetryNote(model),
    'EXTENDS Integers',
    '',
    `VARIABLES ${vars.join(', ')}`,
    `vars == << ${vars.join(', ')} >>`,
    '',
    'Least(x, y) == IF x < y THEN x ELSE y',
    'Most(x, y) == IF x < y THEN y ELSE x',
    '',
    ...model.components.flatMap((component) => componentText(component, names)),
    ...model.variables.map(
      ({ name, words }) => `\\* ${names.variables.get(name)}: ${comment(`${name}, ${words}`)}`,
    ),
    '',
    'TypeOK ==',
    ...ranges(model, names).map(({ name, max }) => `  /\\ ${name} \\in 0..${max}`),
    '',
    'Init ==',
    ...ranges(model, names).map(({ name, initial }) => `  /\\ ${name} = ${initial}`),
    '',
    ...model.actions.flatMap((action) => actionText(printer, action)),
    'Next ==',
    ...model.actions.map(({ name }) => `  \\/ ${names.actions.get(name)}`),
    '',
    'CanMove ==',
    ...model.actions.map(({ name }) => `  \\/ Can_${names.actions.get(name)}`),
    '',
    ...labelText(printer),
    'Spec == Init /\\ [][Next]_vars',
    '',
    ...propertyText(printer),
    '====',
  ].join('\n');
}

export const variablesOf = (names: Names): string[] => [
  ...names.components.values(),
  ...names.variables.values(),
];

function symmetryNote(model: Model): string[] {
  const group = ({ name, members }: Model['symmetry'][number]) =>
    `\\* Symmetric: ${comment(`${name}: ${members.map((each) => each.join(' ')).join('; ')}`)}`;
  if (model.symmetry.length === 0) return [];
  return [
    ...model.symmetry.map(group),
    '\\* Each member has variables of its own here, and no set of model values to name in SYMMETRY: TLC sees all orders.',
  ];
}

function componentText(component: Component, names: Names): string[] {
  const { regions, name: machine } = component.automaton;
  const name = names.components.get(component.name)!;
  return [
    `\\* ${name}: ${comment(`${component.name}, machine ${machine}, regions ${regions.join('/')}`)}`,
    ...allStates(component).map((state) => `\\*   ${state}  ${comment(stateName(component, state))}`),
  ];
}

function ranges(model: Model, names: Names): { name: string; max: number; initial: number }[] {
  return [
    ...model.components.map((component) => ({
      name: names.components.get(component.name)!,
      max: component.automaton.states.length - 1,
      initial: 0,
    })),
    ...model.variables.map(({ name, max, initial }) => ({ name: names.variables.get(name)!, max, initial })),
  ];
}

function actionText(printer: TlaPrinter, action: Action): string[] {
  const { model, names } = printer;
  const name = names.actions.get(action.name)!;
  const changed = new Map<string, string>();
  for (const { component, event } of action.sync)
    changed.set(names.components.get(component)!, printer.move(componentOf(model, component), event));
  for (const { variable, to } of action.set) changed.set(names.variables.get(variable)!, printer.number(to));
  const same = variablesOf(names).filter((each) => !changed.has(each));
  return [
    `\\* ${comment(action.name)}`,
    `Can_${name} == ${printer.guard(action)}`,
    `${name} ==`,
    `  /\\ Can_${name}`,
    ...[...changed].map(([variable, value]) => `  /\\ ${variable}' = ${value}`),
    ...(same.length > 0 ? [`  /\\ UNCHANGED << ${same.join(', ')} >>`] : []),
    '',
  ];
}

/** The labels that properties ask for: the steps that have them, and whether one is enabled. */
function labelText({ model, names }: TlaPrinter): string[] {
  const asked = model.properties.flatMap((property) =>
    'step' in property ? [property.step] : 'fairness' in property ? property.fairness : [],
  );
  return [...new Set(asked)].flatMap((label) => {
    const actions = model.actions.filter((each) => each.labels.includes(label));
    const all = (prefix: string) => actions.map(({ name }) => `  \\/ ${prefix}${names.actions.get(name)}`);
    const name = names.labels.get(label)!;
    return [`\\* Label: ${comment(label)}`, `${name} ==`, ...all(''), `Can_${name} ==`, ...all('Can_'), ''];
  });
}
