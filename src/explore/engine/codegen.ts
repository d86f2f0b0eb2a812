import { REFUSED } from '../../automaton/automaton.js';
import type { Expression } from '../expression.js';
import type { Action, Component, Model } from '../model.js';
import type { Field, Layout } from './layout.js';

/**
 * Makes JavaScript of a model. Only numbers go into the code, never a name of the model; tables and messages
 * are handed in beside it.
 */
export class Codegen {
  /** Lookup tables that the code refers to as `T[n]`. */
  readonly tables: Int16Array[] = [];
  readonly #components: ReadonlyMap<string, Component>;

  constructor(
    readonly model: Model,
    readonly layout: Layout,
  ) {
    this.#components = new Map(model.components.map((each) => [each.name, each]));
  }

  field(name: string): Field {
    return this.layout.fields.get(name)!;
  }

  /** Reads a field out of the words `w0`, `w1`, … */
  read(name: string): string {
    const { word, shift, bits } = this.field(name);
    return bits === 32 ? `w${word}` : `(w${word}>>>${shift}&${2 ** bits - 1})`;
  }

  /** An expression as code that gives a number. */
  number(of: Expression): string {
    if (typeof of === 'number') return `(${Number(of)})`;
    if ('variable' in of) return this.read(of.variable);
    if ('in' in of || 'takes' in of) return this.#memberOf(of.component, this.#statesOf(of));
    const args = of.of;
    switch (of.op) {
      case '+':
        return `(${args.map((each) => this.number(each)).join('+')})`;
      case '-':
        return `(${this.number(args[0]!)}-${this.number(args[1]!)})`;
      case 'min':
      case 'max':
        return `Math.${of.op}(${args.map((each) => this.number(each)).join(',')})`;
      case 'if':
        return `(${this.truth(args[0]!)}?${this.number(args[1]!)}:${this.number(args[2]!)})`;
      default:
        return `(${this.truth(of)}?1:0)`;
    }
  }

  /** An expression as code that gives a truth. */
  truth(of: Expression): string {
    if (typeof of === 'number') return of === 0 ? 'false' : 'true';
    if (!('op' in of)) return `${this.number(of)}!==0`;
    const pair = (op: string): string => `${this.number(of.of[0]!)}${op}${this.number(of.of[1]!)}`;
    switch (of.op) {
      case 'not':
        return `!(${this.truth(of.of[0]!)})`;
      case 'and':
        return `(${of.of.map((each) => this.truth(each)).join('&&') || 'true'})`;
      case 'or':
        return `(${of.of.map((each) => this.truth(each)).join('||') || 'false'})`;
      case '==':
        return `(${pair('===')})`;
      case '!=':
        return `(${pair('!==')})`;
      case '<':
      case '<=':
        return `(${pair(of.op)})`;
      default:
        return `(${this.number(of)}!==0)`;
    }
  }

  /**
   * An action as a statement: when it is enabled, the words after it go to `out[o…]`, its number to `acts[n]`.
   * `hit` comes inside, in a state where the action is enabled.
   */
  action(action: Action, index: number, hit: string): string {
    const conditions = [
      ...action.sync.map(
        ({ component, event }) => `${this.#memberOf(component, this.#accepting(component, event))}!==0`,
      ),
      ...(action.when === 1 ? [] : [this.truth(action.when)]),
    ];
    const changes = [
      ...action.sync.map(({ component, event }) => ({
        field: this.field(component),
        value: `T[${this.#nextTable(component, event)}][${this.read(component)}]`,
      })),
      ...action.set.map(({ variable, to }) => ({
        field: this.field(variable),
        value: this.#ranged(index, variable, to),
      })),
    ];
    const words = Array.from({ length: this.layout.words }, (_, word) => this.#wordAfter(word, changes));
    const stores = words.map((word, at) => `out[o+${at}]=${word};`).join('');
    const body = `${hit}${stores}acts[n]=${index};o+=${words.length};n++;`;
    return conditions.length > 0 ? `if(${conditions.join('&&')}){${body}}` : `{${body}}`;
  }

  #wordAfter(word: number, changes: readonly { field: Field; value: string }[]): string {
    const own = changes.filter(({ field }) => field.word === word);
    if (own.length === 0) return `w${word}`;
    const mask = own.reduce((sum, { field }) => sum | ((2 ** field.bits - 1) << field.shift), 0);
    const parts = own.map(({ field, value }) => `(${value})<<${field.shift}`);
    return `w${word}&${~mask}|${parts.join('|')}`;
  }

  /** The value of an assignment; checked where it cannot be proven to be in range. */
  #ranged(index: number, variable: string, to: Expression): string {
    const { most } = this.field(variable);
    const [least, greatest] = this.#interval(to);
    if (least >= 0 && greatest <= most) return this.number(to);
    const place = this.model.variables.findIndex((each) => each.name === variable);
    return `R(${this.number(to)},${most},${index},${place})`;
  }

  #interval(of: Expression): readonly [number, number] {
    if (typeof of === 'number') return [of, of];
    if ('variable' in of) return [0, this.field(of.variable).most];
    if (!('op' in of)) return [0, 1];
    const parts = of.of.map((each) => this.#interval(each));
    const sum = (side: 0 | 1) => parts.reduce((total, part) => total + part[side], 0);
    switch (of.op) {
      case '+':
        return [sum(0), sum(1)];
      case '-':
        return [parts[0]![0] - parts[1]![1], parts[0]![1] - parts[1]![0]];
      case 'min':
        return [Math.min(...parts.map(([a]) => a)), Math.min(...parts.map(([, b]) => b))];
      case 'max':
        return [Math.max(...parts.map(([a]) => a)), Math.max(...parts.map(([, b]) => b))];
      case 'if':
        return [Math.min(parts[1]![0], parts[2]![0]), Math.max(parts[1]![1], parts[2]![1])];
      default:
        return [0, 1];
    }
  }

  /** The numbers of the automaton's states in which an `in` or a `takes` holds. */
  #statesOf(of: { component: string; region?: string; in?: readonly string[]; takes?: string }): boolean[] {
    if (of.takes !== undefined) return this.#accepting(of.component, of.takes);
    const { automaton } = this.#components.get(of.component)!;
    const region = automaton.regions.indexOf(of.region!);
    return automaton.states.map((state) => of.in!.includes(state[region]!));
  }

  #accepting(component: string, event: string): boolean[] {
    const { automaton } = this.#components.get(component)!;
    const column = automaton.eventIndex.get(event)!;
    return automaton.states.map(
      (_, state) => automaton.next[state * automaton.events.length + column] !== REFUSED,
    );
  }

  /** 1 when the component is in one of the states: a bit of a constant where one word holds them all. */
  #memberOf(component: string, states: readonly boolean[]): string {
    const at = this.read(component);
    if (states.length > 32) return `T[${this.#table(states.map(Number))}][${at}]`;
    const mask = states.reduce((bits, holds, state) => (holds ? bits | (1 << state) : bits), 0);
    return `(${mask}>>>${at}&1)`;
  }

  #nextTable(component: string, event: string): number {
    const { automaton } = this.#components.get(component)!;
    const column = automaton.eventIndex.get(event)!;
    return this.#table(
      automaton.states.map((_, state) => automaton.next[state * automaton.events.length + column]!),
    );
  }

  #table(values: readonly number[]): number {
    const known = this.tables.findIndex(
      (table) => table.length === values.length && table.every((value, at) => value === values[at]),
    );
    return known >= 0 ? known : this.tables.push(Int16Array.from(values)) - 1;
  }
}
