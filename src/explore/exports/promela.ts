import { type Expression, parts } from '../expression.js';
import type { Action, Component, Model, Property } from '../model.js';
import { allStates, bitsFor, componentOf, moveOf, Printer, stateName } from './lowering.js';
import { comment, type Names, namesOf } from './names.js';
import { EMPTY_MACROS, labelMacros, promelaProperty } from './promela-properties.js';

/**
 * A model in Promela, for Spin 6: one process whose loop has one `d_step` for each action, so that what Spin
 * stores are the states of the model, and its transitions are the edges and one more, which is how Spin counts
 * the initial state. Build it for counting with `-DSAFETY -DNOREDUCE`, and run `pan -m` with room enough.
 *
 * Properties are macros, off unless asked for: `spin -a -DPROPERTY_p_ID` (see `promelaProperties`). They may
 * add states; none of them is in the way of a run that counts.
 */
export function toPromela(model: Model): string {
  const names = namesOf(model);
  const printer = new Printer(model, names, PROMELA);
  const actions = model.actions.map((action) => actionText(printer, action));
  const temporaries = Math.max(0, ...actions.map((each) => each.temporaries));
  const properties = model.properties.map((property) => promelaProperty(printer, property));
  return [
    ...head(model, names),
    '',
    ...model.components.flatMap((component) => componentText(names, component)),
    ...model.variables.map(
      ({ name, words, max, initial }) =>
        `${declared(names.variables.get(name)!, max, initial)} /* ${comment(`${name}: ${words}`)} */`,
    ),
    ...Array.from(
      { length: temporaries },
      (_, index) => `hidden int t_${index}; /* not part of the state */`,
    ),
    '',
    ...labelMacros(printer),
    ...properties.flatMap((each) => each.macros),
    ...EMPTY_MACROS,
    '',
    'active proctype system()',
    '{',
    '\tBEGIN',
    'end:',
    '\tdo',
    ...actions.map((each) => each.text),
    ...outOfRange(model, names),
    '\tMORE',
    '\tod',
    '}',
    ...properties.flatMap((each) => each.claim),
    '',
  ].join('\n');
}

/** What a property is called in the Promela text, and what a run of Spin that finds an error says of it. */
export interface PromelaProperty {
  readonly id: string;
  /** `spin -a -D…`. */
  readonly define: string;
  /**
   * `violated`: an error breaks the property. `witness`: an error is what `sometimes` asks for, and none breaks
   * it. `actions`: pan prints `happened: N` once for each action (index into the model's) that happens.
   */
  readonly error: 'violated' | 'witness' | 'actions';
  /** `safety`: `-DSAFETY`; `liveness`: without it, and `pan -a`. */
  readonly run: 'safety' | 'liveness';
}

/** The properties of a model as `toPromela` names them. */
export function promelaProperties(model: Model): PromelaProperty[] {
  const names = namesOf(model);
  return model.properties.map((property) => ({
    id: property.id,
    define: `PROPERTY_${names.properties.get(property.id)}`,
    error: 'everyAction' in property ? 'actions' : property.kind === 'sometimes' ? 'witness' : 'violated',
    run: property.kind === 'leadsTo' ? 'liveness' : 'safety',
  }));
}

const PROMELA = {
  condition: (condition: string, then: string, otherwise: string) =>
    `(${condition} -> ${then} : ${otherwise})`,
  least: (a: string, b: string) => `(${a} < ${b} -> ${a} : ${b})`,
  most: (a: string, b: string) => `(${a} > ${b} -> ${a} : ${b})`,
};

function head(model: Model, names: Names): string[] {
  const { devices, pages, faults, variant } = model.options;
  const line = (property: Property) =>
    `   PROPERTY_${names.properties.get(property.id)}  ${property.kind}: ${comment(property.words)}`;
  return [
    `/* ${comment(`${model.name}: ${model.title}`)}`,
    `   devices ${devices}, pages ${pages}, faults ${faults}, variant ${comment(variant ?? 'none')}`,
    '',
    '   States and transitions:',
    '     spin -a FILE && cc -O2 -DSAFETY -DNOREDUCE -o pan pan.c && ./pan -m10000000',
    '   A property: spin -a -DPROPERTY_… FILE, and so on; leadsTo without -DSAFETY, and with pan -a.',
    '   One property at a time. Of a sometimes the error is the witness; for all actions pan prints those that happen.',
    '   To halt is an error only where that is asked for.',
    ...model.properties.map(line),
    '*/',
  ];
}

/** The smallest type. */
function declared(name: string, max: number, initial: number): string {
  const bits = bitsFor(max);
  return `${bits === 1 ? 'bit ' : 'unsigned '}${name}${bits === 1 ? '' : ` : ${bits}`} = ${initial};`;
}

function componentText(names: Names, component: Component): string[] {
  const name = names.components.get(component.name)!;
  const { regions, name: machine } = component.automaton;
  return [
    `/* ${comment(`${component.name}: machine ${machine}, regions ${regions.join('/')}`)}`,
    ...allStates(component).map((state) => `   ${state}  ${comment(stateName(component, state))}`),
    '*/',
    declared(name, Math.max(1, component.automaton.states.length - 1), 0),
  ];
}

/**
 * An option that is never taken, for nothing is out of its range. It reads every variable: Spin leaves out of the
 * state what nothing reads, such as what only a property asks for.
 */
function outOfRange(model: Model, names: Names): string[] {
  const tests = [
    ...model.components.map(
      ({ name, automaton }) => `${names.components.get(name)} > ${Math.max(1, automaton.states.length - 1)}`,
    ),
    ...model.variables.map(({ name, max }) => `${names.variables.get(name)} > ${max}`),
  ];
  if (tests.length === 0) return [];
  return [
    '\t:: d_step { /* out of range; it makes Spin keep all variables */',
    `\t\t(${tests.join(' || ')}) ->`,
    '\t\tassert(false)',
    '\t}',
  ];
}

/** One assignment of an action, of a variable or of a machine's state. */
interface Write {
  readonly target: string;
  readonly value: string;
  /** What the value is computed from. */
  readonly reads: ReadonlySet<string>;
}

function actionText(printer: Printer, action: Action): { text: string; temporaries: number } {
  const { lines, temporaries } = inOrder(writes(printer, action));
  const index = printer.model.actions.indexOf(action);
  const text = [
    `\t:: d_step { /* ${comment(action.name)} */`,
    `\t\t${printer.guard(action)} ->`,
    `\t\tBEFORE(${index})`,
    ...(lines.length > 0 ? lines : ['skip']).map((line) => `\t\t${line};`),
    `\t\tAFTER(${index})`,
    '\t}',
  ].join('\n');
  return { text, temporaries };
}

function writes(printer: Printer, action: Action): Write[] {
  const { model, names } = printer;
  const moves = action.sync.flatMap(({ component, event }) => {
    const moved = componentOf(model, component);
    const target = names.components.get(component)!;
    const value = moveText(printer, moved, event);
    return value === target ? [] : [{ target, value, reads: new Set([target]) }];
  });
  const sets = action.set.map(({ variable, to }) => ({
    target: names.variables.get(variable)!,
    value: printer.expression(to),
    reads: new Set(namesIn(names, to)),
  }));
  return [...moves, ...sets];
}

/** The state after an event as an expression of the state before. */
function moveText(printer: Printer, component: Component, event: string): string {
  const { from, stay, to } = moveOf(component, event);
  const name = printer.names.components.get(component.name)!;
  const cases = to.map(({ target, sources }) => ({ value: String(target), sources }));
  if (stay.length > 0) cases.push({ value: name, sources: stay });
  cases.sort((a, b) => b.sources.length - a.sources.length);
  const [most, ...others] = cases;
  return others.reduceRight(
    (rest, { value, sources }) => PROMELA.condition(printer.among(component, sources, from), value, rest),
    most?.value ?? name,
  );
}

function namesIn(names: Names, expression: Expression): string[] {
  return [...parts(expression)].flatMap((part) => {
    if (typeof part === 'number' || 'op' in part) return [];
    return 'variable' in part ? names.variables.get(part.variable)! : names.components.get(part.component)!;
  });
}

/**
 * Assignments that mean what simultaneous ones would: each is made after all that read its target; where they
 * read each other, values are kept in temporaries.
 */
function inOrder(all: readonly Write[]): { lines: string[]; temporaries: number } {
  const left = [...all];
  const lines: string[] = [];
  const late: string[] = [];
  while (left.length > 0) {
    const free = left.findIndex((write) =>
      left.every((other) => other === write || !other.reads.has(write.target)),
    );
    const [write] = left.splice(Math.max(free, 0), 1);
    if (free >= 0) lines.push(`${write!.target} = ${write!.value}`);
    else {
      lines.push(`t_${late.length} = ${write!.value}`);
      late.push(`${write!.target} = t_${late.length}`);
    }
  }
  return { lines: [...lines, ...late], temporaries: late.length };
}
