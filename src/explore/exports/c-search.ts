import { type Automaton, REFUSED } from '../../automaton/automaton.js';
import type { Action, Component, Model } from '../model.js';
import { C_MAIN } from './c-search-main.js';
import { allStates, bitsFor, componentOf, Printer, stateName } from './lowering.js';
import { comment, type Names, namesOf } from './names.js';

/**
 * A stand-alone C program (C11 with the GNU extensions that gcc and clang have) that counts the states of a
 * model: breadth-first search over states packed into 64-bit words, exact keys in an open-addressing table.
 *
 *     cc -O2 -o search FILE && ./search [MOST_STATES]
 *
 * It prints one line: `states N edges N depth N seconds S bytes N`, and ends with 0; with 1 and a message when
 * a variable would leave its range, and with 2 when there is no memory or more states than asked for.
 */
export function toCSearch(model: Model): string {
  const names = namesOf(model);
  const printer = new Printer(model, names, C);
  const fields = layout(model, names);
  const tables = distinctTables(model);
  const table = ({ automaton }: Component) => `next_${tables.findIndex((each) => same(each, automaton))}`;
  return [
    `/* ${comment(`${model.name}: ${model.title}`)}`,
    '   cc -O2 -o search FILE && ./search [MOST_STATES] */',
    '#define _GNU_SOURCE',
    '#include <stdint.h>',
    '#include <stdio.h>',
    '#include <stdlib.h>',
    '#include <string.h>',
    '#include <time.h>',
    '',
    `#define WORDS ${Math.max(1, ...fields.map(({ word }) => word + 1))}`,
    `#define MOST_SUCCESSORS ${Math.max(1, model.actions.length)}`,
    'typedef struct { uint64_t w[WORDS]; } packed;',
    '',
    ...tables.flatMap(tableText),
    'static inline int least(int a, int b) { return a < b ? a : b; }',
    'static inline int most(int a, int b) { return a > b ? a : b; }',
    '',
    'static inline void out_of_range(const char *action, const char *variable, int value)',
    '{',
    '\tfprintf(stderr, "%s sets %s to %d, which is out of its range\\n", action, variable, value);',
    '\texit(1);',
    '}',
    '',
    'static const packed initial = { {',
    `\t${words(fields).join(', ')}`,
    '} };',
    '',
    '/* Writes the states after all enabled actions; gives their number. */',
    'static int successors(const packed *from, packed *to)',
    '{',
    '\tint count = 0;',
    ...fields.map(
      ({ name, word, shift, bits, words }) =>
        `\tconst int ${name} = (int)(from->w[${word}] >> ${shift} & ${mask(bits)}); /* ${comment(words)} */`,
    ),
    ...model.actions.map((action) => actionText(printer, fields, action, table)),
    '\treturn count;',
    '}',
    '',
    C_MAIN,
  ].join('\n');
}

const C = {
  condition: (condition: string, then: string, otherwise: string) =>
    `(${condition} ? ${then} : ${otherwise})`,
  least: (a: string, b: string) => `least(${a}, ${b})`,
  most: (a: string, b: string) => `most(${a}, ${b})`,
};

/** The tables of the machines; identical devices share one. */
function distinctTables(model: Model): Automaton[] {
  const tables: Automaton[] = [];
  for (const { automaton } of model.components)
    if (!tables.some((each) => same(each, automaton))) tables.push(automaton);
  return tables;
}

const same = (a: Automaton, b: Automaton): boolean =>
  a.name === b.name && a.events.join() === b.events.join() && a.next.join() === b.next.join();

function tableText({ name, states, events, next }: Automaton, index: number): string[] {
  const row = (state: number) => next.subarray(state * events.length, (state + 1) * events.length).join(', ');
  return [
    `/* ${comment(name)}: a row for each state, a column for each event. */`,
    `static const int16_t next_${index}[${states.length}][${events.length}] = {`,
    ...states.map((_, state) => `\t{ ${row(state)} },`),
    '};',
    '',
  ];
}

/** Where a machine's state or a variable stands in the packed state. */
interface Field {
  readonly name: string;
  readonly words: string;
  readonly word: number;
  readonly shift: number;
  readonly bits: number;
  readonly max: number;
  readonly initial: number;
}

/** Fields one behind the other, none across two words. */
function layout(model: Model, names: Names): Field[] {
  const parts = [
    ...model.components.map((component) => ({
      name: names.components.get(component.name)!,
      words: `${component.name}, at first ${stateName(component, 0)}`,
      max: allStates(component).length - 1,
      initial: 0,
    })),
    ...model.variables.map(({ name, words, max, initial }) => ({
      name: names.variables.get(name)!,
      words: `${name}: ${words}`,
      max,
      initial,
    })),
  ];
  let word = 0;
  let shift = 0;
  return parts.map((part) => {
    const bits = bitsFor(part.max);
    if (shift + bits > 64) {
      word++;
      shift = 0;
    }
    const field = { ...part, word, shift, bits };
    shift += bits;
    return field;
  });
}

const mask = (bits: number): string => `0x${(2 ** bits - 1).toString(16)}u`;

function words(fields: readonly Field[]): string[] {
  const sums: bigint[] = [0n];
  for (const { word, shift, initial } of fields)
    sums[word] = (sums[word] ?? 0n) | (BigInt(initial) << BigInt(shift));
  return sums.map((sum) => `0x${sum.toString(16)}u`);
}

function actionText(
  printer: Printer,
  fields: readonly Field[],
  action: Action,
  table: (component: Component) => string,
): string {
  const { names, model } = printer;
  const put = (name: string, value: string): string => {
    const { word, shift, bits } = fields.find((each) => each.name === name)!;
    return `\t\tt.w[${word}] = (t.w[${word}] & ~((uint64_t)${mask(bits)} << ${shift})) | (uint64_t)${value} << ${shift};`;
  };
  const moves = action.sync.map(({ component, event }) => {
    const moved = componentOf(model, component);
    const name = names.components.get(component)!;
    return put(name, `${table(moved)}[${name}][${moved.automaton.eventIndex.get(event)}]`);
  });
  const sets = action.set.flatMap(({ variable, to }) => {
    const name = names.variables.get(variable)!;
    const { max } = fields.find((each) => each.name === name)!;
    const quoted = [action.name, variable].map((each) => JSON.stringify(comment(each)));
    if (typeof to === 'number') return [put(name, String(to))];
    return [
      `\t\tconst int n_${name} = ${printer.expression(to)};`,
      `\t\tif (n_${name} < 0 || n_${name} > ${max}) out_of_range(${quoted.join(', ')}, n_${name});`,
      put(name, `n_${name}`),
    ];
  });
  return [
    `\t/* ${comment(action.name)} */`,
    `\tif (${guard(printer, action, table)}) {`,
    '\t\tpacked t = *from;',
    ...moves,
    ...sets,
    '\t\tto[count++] = t;',
    '\t}',
  ].join('\n');
}

function guard(printer: Printer, action: Action, table: (component: Component) => string): string {
  const takes = action.sync.map(({ component, event }) => {
    const moved = componentOf(printer.model, component);
    return `${table(moved)}[${printer.names.components.get(component)}][${moved.automaton.eventIndex.get(event)}] != ${REFUSED}`;
  });
  return [...takes, printer.expression(action.when)].join(' && ');
}
