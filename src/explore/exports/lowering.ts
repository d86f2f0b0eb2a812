import { REFUSED, step } from '../../automaton/automaton.js';
import type { Expression, Operator } from '../expression.js';
import type { Action, Component, Model } from '../model.js';
import type { Names } from './names.js';

/**
 * What all exports say in the same way: machines as numbered states with tables, and expressions over them.
 * Nothing here comes from the search engine, so that an error there does not reach what it is compared with.
 */

/** Numbers of the states of a component that satisfy something, in ascending order. */
export type States = readonly number[];

/** The states in which a region is in one of `names`. */
export function statesIn({ automaton }: Component, region: string, names: readonly string[]): States {
  const at = automaton.regions.indexOf(region);
  return statesWhere(automaton.states.length, (state) => names.includes(automaton.states[state]![at]!));
}

/** The states that take an event. */
export function statesTaking({ automaton }: Component, event: string): States {
  const at = automaton.eventIndex.get(event)!;
  return statesWhere(automaton.states.length, (state) => step(automaton, state, at) !== REFUSED);
}

const statesWhere = (count: number, holds: (state: number) => boolean): States =>
  Array.from({ length: count }, (_, state) => state).filter(holds);

/** Where an event leads: the states that it leaves as they are, and for each other target its sources. */
export interface Move {
  readonly from: States;
  readonly stay: States;
  /** The target with most sources first. */
  readonly to: readonly { readonly target: number; readonly sources: States }[];
}

export function moveOf(component: Component, event: string): Move {
  const { automaton } = component;
  const at = automaton.eventIndex.get(event)!;
  const from = statesTaking(component, event);
  const targets = new Map<number, number[]>();
  const stay: number[] = [];
  for (const source of from) {
    const target = step(automaton, source, at);
    if (target === source) stay.push(source);
    else targets.set(target, [...(targets.get(target) ?? []), source]);
  }
  const to = [...targets].map(([target, sources]) => ({ target, sources }));
  to.sort((a, b) => b.sources.length - a.sources.length || a.target - b.target);
  return { from, stay, to };
}

/** From `first` to `last`, of the states that can occur at all. */
export interface Run {
  readonly first: number;
  readonly last: number;
}

/** States as runs. What lies between two of `possible` does not occur, and so may be in a run. */
export function runsOf(states: States, possible: States): Run[] {
  const wanted = new Set(states);
  const runs: { first: number; last: number }[] = [];
  let open = false;
  for (const state of possible) {
    if (!wanted.has(state)) open = false;
    else if (open) runs.at(-1)!.last = state;
    else {
      runs.push({ first: state, last: state });
      open = true;
    }
  }
  return runs;
}

/** All states of a component. */
export const allStates = ({ automaton }: Component): States => automaton.states.map((_, state) => state);

/** The component or variable with this name; the builder has checked that it is there. */
export const componentOf = (model: Model, name: string): Component =>
  model.components.find((each) => each.name === name)!;

/** The words of a language in which C's operators mean what they mean in C. */
export interface Style {
  readonly condition: (condition: string, then: string, otherwise: string) => string;
  readonly least: (a: string, b: string) => string;
  readonly most: (a: string, b: string) => string;
}

/** Prints expressions in languages whose operators are those of C: Promela and C. */
export class Printer {
  constructor(
    readonly model: Model,
    readonly names: Names,
    readonly style: Style,
  ) {}

  expression(expression: Expression): string {
    if (typeof expression === 'number') return String(expression);
    if ('variable' in expression) return this.names.variables.get(expression.variable)!;
    if ('op' in expression) return this.#operation(expression.op, expression.of);
    const component = componentOf(this.model, expression.component);
    const states =
      'in' in expression
        ? statesIn(component, expression.region, expression.in)
        : statesTaking(component, expression.takes);
    return this.among(component, states);
  }

  /** Whether a component is in one of `states`, when it can be in those of `possible` only. */
  among(component: Component, states: States, possible: States = allStates(component)): string {
    const name = this.names.components.get(component.name)!;
    if (states.length === 0) return '0';
    if (states.length === possible.length) return '1';
    const tests = runsOf(states, possible).map(({ first, last }) => {
      if (first === last) return `${name} == ${first}`;
      if (first === possible[0]) return `${name} <= ${last}`;
      if (last === possible.at(-1)) return `${name} >= ${first}`;
      return `(${name} >= ${first} && ${name} <= ${last})`;
    });
    return `(${tests.join(' || ')})`;
  }

  /** When an action is enabled. */
  guard(action: Action): string {
    const parts = [
      ...action.sync.map(({ component, event }) => {
        const moved = componentOf(this.model, component);
        return this.among(moved, statesTaking(moved, event));
      }),
      this.expression(action.when),
    ].filter((part) => part !== '1');
    return parts.length === 0 ? '1' : parts.join(' && ');
  }

  #operation(op: Operator, of: readonly Expression[]): string {
    const parts = of.map((each) => this.expression(each));
    switch (op) {
      case 'not':
        return `(!${parts[0]})`;
      case 'and':
        return parts.length > 1 ? `(${parts.join(' && ')})` : truth(parts[0] ?? '1');
      case 'or':
        return parts.length > 1 ? `(${parts.join(' || ')})` : truth(parts[0] ?? '0');
      case 'min':
        return parts.reduceRight((rest, part) => this.style.least(part, rest));
      case 'max':
        return parts.reduceRight((rest, part) => this.style.most(part, rest));
      case 'if':
        return this.style.condition(parts[0]!, parts[1]!, parts[2]!);
      default:
        return `(${parts.join(` ${op} `)})`;
    }
  }
}

/** 1 for whatever is not 0. */
const truth = (part: string): string => `(${part} != 0)`;

/** Bits that hold 0 to `max`; at least one. */
export const bitsFor = (max: number): number => Math.max(1, 32 - Math.clz32(max));

/** The configuration of a state in a comment: the states of all regions. */
export const stateName = ({ automaton }: Component, state: number): string =>
  automaton.states[state]!.join('/');
