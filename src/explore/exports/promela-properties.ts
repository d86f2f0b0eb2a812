import { not } from '../expression.js';
import type { Action, Property } from '../model.js';
import { type Printer, runsOf } from './lowering.js';

/**
 * A property in Promela: macros that the loop calls when it begins (`BEGIN`), before and after each action
 * (`BEFORE`, `AFTER`), and a further option of the loop (`MORE`). They are empty unless the property is asked for.
 */
export interface PropertyText {
  readonly macros: readonly string[];
  /** What stands behind the process: a formula. */
  readonly claim: readonly string[];
}

interface Hooks {
  /** Before the macros. */
  readonly declare?: readonly string[];
  readonly begin?: string;
  /** In each action, behind its guard; knows `action`, its index. */
  readonly before?: string;
  /** At the end of each action; knows `action`. */
  readonly after?: string;
  /** A further option of the loop. */
  readonly more?: string;
  readonly claim?: string;
}

const MACROS = { begin: 'BEGIN', before: 'BEFORE(action)', after: 'AFTER(action)', more: 'MORE' } as const;
const MACRO_NAMES = Object.keys(MACROS) as (keyof typeof MACROS)[];

/** What the macros are when no property asked for them. */
export const EMPTY_MACROS: readonly string[] = MACRO_NAMES.flatMap((each) => [
  `#ifndef ${MACROS[each].replace('(action)', '')}`,
  `#define ${MACROS[each]}`,
  '#endif',
]);

export function promelaProperty(printer: Printer, property: Property): PropertyText {
  const name = printer.names.properties.get(property.id)!;
  const hooks = hooksOf(printer, property, name);
  const only = (lines: readonly string[]) => [`#ifdef PROPERTY_${name}`, ...lines, '#endif'];
  return {
    macros: only([
      ...(hooks.declare ?? []),
      ...MACRO_NAMES.flatMap((each) => (hooks[each] ? [`#define ${MACROS[each]} ${hooks[each]}`] : [])),
    ]),
    claim: hooks.claim ? only([hooks.claim]) : [],
  };
}

function hooksOf(printer: Printer, property: Property, name: string): Hooks {
  if ('everyAction' in property)
    return {
      // Which actions have happened is told by pan, and is no part of the state.
      declare: [`c_decl { static char happened[${printer.model.actions.length}]; }`],
      before:
        'c_code { if (!happened[action]) { happened[action] = 1; printf("happened: %d\\n", action); } };',
    };
  if ('deadlockUnless' in property)
    return { more: `:: else -> assert(${printer.expression(property.deadlockUnless)}); break` };
  if ('step' in property) {
    const label = printer.names.labels.get(property.step)!;
    return { before: `assert(!(${label}(action) && ${printer.expression(property.when)}));` };
  }
  if ('from' in property) return leadsTo(printer, property, name);
  const wanted = property.kind === 'always' ? property.of : not(property.of);
  const check = `assert(${printer.expression(wanted)});`;
  return { begin: check, after: check };
}

/**
 * `from` and `to` are bits of the state, and so is for each label whether its fairness is kept just now: an
 * action with it was taken, or none is enabled. A fair run is one in which each of these is true again and again.
 */
function leadsTo(printer: Printer, property: Property & { kind: 'leadsTo' }, name: string): Hooks {
  const fair = property.fairness.map((label) => {
    const has = printer.names.labels.get(label)!;
    return { bit: `fair_${name}_${has}`, has, enabled: enabled(printer, label) };
  });
  const update = (action: string) =>
    [
      `from_${name} = ${asBit(printer.expression(property.from))};`,
      `to_${name} = ${asBit(printer.expression(property.to))};`,
      ...fair.map(({ bit, has, enabled }) => `${bit} = (${has}(${action}) || !(${enabled}));`),
    ].join(' ');
  const kept = fair.map(({ bit }) => `([]<> (${bit} == 1))`);
  const response = `([] ((from_${name} == 1) -> <> (to_${name} == 1)))`;
  const formula = kept.length > 0 ? `((${kept.join(' && ')}) -> ${response})` : response;
  return {
    declare: [`bit from_${name};`, `bit to_${name};`, ...fair.map(({ bit }) => `bit ${bit};`)],
    begin: `d_step { ${update('-1')} };`,
    after: update('action'),
    // A run may stay where it is.
    more: `:: d_step { 1 -> ${update('-1')} }`,
    claim: `ltl ${name} { ${formula} }`,
  };
}

/** 0 or 1: a bit would keep the lowest bit only. */
const asBit = (text: string): string => `((${text}) != 0)`;

function enabled(printer: Printer, label: string): string {
  const having = printer.model.actions.filter((action: Action) => action.labels.includes(label));
  return having.map((action) => `(${printer.guard(action)})`).join(' || ');
}

/** The labels that properties ask for, as macros that take the index of an action. */
export function labelMacros({ model, names }: Printer): string[] {
  const asked = model.properties.flatMap((property) =>
    'step' in property ? [property.step] : 'fairness' in property ? property.fairness : [],
  );
  const all = model.actions.map((_, index) => index);
  return [...new Set(asked)].map((label) => {
    const runs = runsOf(
      all.filter((index) => model.actions[index]!.labels.includes(label)),
      all,
    );
    const tests = runs.map(({ first, last }) =>
      first === last ? `action == ${first}` : `(action >= ${first} && action <= ${last})`,
    );
    return `#define ${names.labels.get(label)}(action) (${tests.join(' || ')})`;
  });
}
