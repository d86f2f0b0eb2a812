import { expressionsOf } from '../builder.js';
import type { Expression } from '../expression.js';
import type { Action, Component, Model } from '../model.js';

/**
 * Why members of the model's symmetric groups cannot be exchanged, or null when they can. It is proven, not
 * believed: for neighbours of each group, the model with their names exchanged is the model again (its
 * actions, initial values, tables, properties and labels). Exchanges of neighbours make up all others.
 */
export function asymmetry(model: Model): string | null {
  if (model.symmetry.length === 0) return 'the model has no identical members';
  const names = model.symmetry.flatMap(({ members }) => members.flat());
  if (new Set(names).size < names.length) return 'a name belongs to two members';
  const actions = actionsText(model, new Map());
  const properties = propertiesText(model, new Map());
  for (const { name, members } of model.symmetry) {
    for (let at = 0; at + 1 < members.length; at++) {
      const [one, other] = [members[at]!, members[at + 1]!];
      const reason = unlike(model, one, other);
      if (reason !== null) return `members ${at} and ${at + 1} of ${name}: ${reason}`;
      const exchanged = exchange(one, other);
      if (actionsText(model, exchanged) !== actions)
        return `the actions change when members ${at} and ${at + 1} of ${name} are exchanged`;
      if (propertiesText(model, exchanged) !== properties)
        return `the properties change when members ${at} and ${at + 1} of ${name} are exchanged`;
    }
  }
  return null;
}

function unlike(model: Model, one: readonly string[], other: readonly string[]): string | null {
  if (one.length !== other.length) return 'they have not the same parts';
  for (const [index, name] of one.entries()) {
    const [a, b] = [partOf(model, name), partOf(model, other[index]!)];
    if (a !== b) return `${name} and ${other[index]} differ`;
  }
  return null;
}

/** All that a component or a variable is, beside its name, as text. */
function partOf(model: Model, name: string): string {
  const variable = model.variables.find((each) => each.name === name);
  if (variable) return `variable ${variable.max} ${variable.initial}`;
  return tableOf(model.components.find((each) => each.name === name)!);
}

function tableOf({ automaton }: Component): string {
  const states = automaton.states.map((state) => state.join(','));
  return [automaton.regions, automaton.events, states, automaton.next]
    .map((each) => each.join(' '))
    .join('|');
}

type Exchange = ReadonlyMap<string, string>;

/**
 * For each action the number of the first one that it becomes by exchanges of members: equal numbers, one
 * action up to the members' names.
 */
export function actionOrbits(model: Model): number[] {
  const orbit = model.actions.map((_, index) => index);
  const find = (of: number): number => (orbit[of] === of ? of : find(orbit[of]!));
  const texts = new Map(model.actions.map((action, index) => [actionText(action, new Map()), index]));
  for (const { members } of model.symmetry)
    for (let at = 0; at + 1 < members.length; at++) {
      const exchanged = exchange(members[at]!, members[at + 1]!);
      for (const [index, action] of model.actions.entries()) {
        const other = texts.get(actionText(action, exchanged));
        if (other === undefined) continue;
        const [a, b] = [find(index), find(other)];
        orbit[Math.max(a, b)] = Math.min(a, b);
      }
    }
  return orbit.map((_, index) => find(index));
}

function exchange(one: readonly string[], other: readonly string[]): Exchange {
  return new Map([
    ...one.map((each, index) => [each, other[index]!] as const),
    ...other.map((each, index) => [each, one[index]!] as const),
  ]);
}

/** The actions as text in which order means nothing; names, charts and recorded events are left out. */
function actionsText(model: Model, exchanged: Exchange): string {
  return model.actions
    .map((action) => actionText(action, exchanged))
    .sort()
    .join('\n');
}

function actionText({ when, sync, set, labels }: Action, exchanged: Exchange): string {
  const name = (of: string): string => exchanged.get(of) ?? of;
  return [
    normal(when, exchanged),
    sync.map(({ component, event }) => `${name(component)}!${event}`).sort(),
    set.map(({ variable, to }) => `${name(variable)}:=${normal(to, exchanged)}`).sort(),
    [...labels].sort(),
  ].join(';');
}

function propertiesText(model: Model, exchange: Exchange): string {
  return model.properties
    .map((property) => `${property.id} ${expressionsOf(property).map((each) => normal(each, exchange))}`)
    .join('\n');
}

const ORDERLESS: ReadonlySet<string> = new Set(['and', 'or', '+', 'min', 'max', '==', '!=']);
const NESTED: ReadonlySet<string> = new Set(['and', 'or', '+', 'min', 'max']);

/** An expression as text: operands of operators without order are sorted, nested ones of one kind are one. */
function normal(of: Expression, exchange: Exchange): string {
  const name = (text: string): string => exchange.get(text) ?? text;
  if (typeof of === 'number') return String(of);
  if ('variable' in of) return name(of.variable);
  if ('in' in of) return `${name(of.component)}.${of.region}@${[...of.in].sort().join(',')}`;
  if ('takes' in of) return `${name(of.component)}?${of.takes}`;
  const parts = operands(of.op, of.of).map((each) => normal(each, exchange));
  return `${of.op}(${(ORDERLESS.has(of.op) ? parts.sort() : parts).join(' ')})`;
}

function operands(op: string, of: readonly Expression[]): readonly Expression[] {
  if (!NESTED.has(op)) return of;
  return of.flatMap((each) =>
    typeof each === 'object' && 'op' in each && each.op === op ? operands(op, each.of) : [each],
  );
}
