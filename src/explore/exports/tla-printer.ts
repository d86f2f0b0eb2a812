import type { Expression, Operator } from '../expression.js';
import type { Action, Component, Model } from '../model.js';
import { allStates, componentOf, moveOf, runsOf, type States, statesIn, statesTaking } from './lowering.js';
import type { Names } from './names.js';

const COMPARISONS: Partial<Record<Operator, string>> = { '==': '=', '!=': '#', '<': '<', '<=': '<=' };

/** Prints expressions. TLA+ keeps truth and numbers apart: each expression has a form for either use. */
export class TlaPrinter {
  constructor(
    readonly model: Model,
    readonly names: Names,
  ) {}

  /** As a truth value: whether it is not 0. */
  truth(expression: Expression): string {
    if (typeof expression === 'number') return expression === 0 ? 'FALSE' : 'TRUE';
    if ('variable' in expression) return `(${this.number(expression)} # 0)`;
    if (!('op' in expression)) return this.#about(expression);
    const { op, of } = expression;
    if (op === 'not') return `~${this.truth(of[0]!)}`;
    if (op === 'and' || op === 'or') return this.#joined(op, of);
    if (op === 'if')
      return `(IF ${this.truth(of[0]!)} THEN ${this.truth(of[1]!)} ELSE ${this.truth(of[2]!)})`;
    const sign = COMPARISONS[op];
    if (sign === undefined) return `(${this.number(expression)} # 0)`;
    return `(${this.number(of[0]!)} ${sign} ${this.number(of[1]!)})`;
  }

  /** As a number. */
  number(expression: Expression): string {
    if (typeof expression === 'number') return expression < 0 ? `(${expression})` : String(expression);
    if ('variable' in expression) return this.names.variables.get(expression.variable)!;
    if ('op' in expression) {
      const { op, of } = expression;
      const numbers = () => of.map((each) => this.number(each));
      if (op === '+' || op === '-') return `(${numbers().join(` ${op} `)})`;
      if (op === 'min') return numbers().reduceRight((rest, part) => `Least(${part}, ${rest})`);
      if (op === 'max') return numbers().reduceRight((rest, part) => `Most(${part}, ${rest})`);
      if (op === 'if')
        return `(IF ${this.truth(of[0]!)} THEN ${this.number(of[1]!)} ELSE ${this.number(of[2]!)})`;
    }
    return `(IF ${this.truth(expression)} THEN 1 ELSE 0)`;
  }

  /** Whether a component is in one of `states`, when it can be in those of `possible` only. */
  among(component: Component, states: States, possible: States = allStates(component)): string {
    const name = this.names.components.get(component.name)!;
    if (states.length === 0) return 'FALSE';
    if (states.length === possible.length) return 'TRUE';
    const tests = runsOf(states, possible).map(({ first, last }) =>
      first === last ? `${name} = ${first}` : `${name} \\in ${first}..${last}`,
    );
    return `(${tests.join(' \\/ ')})`;
  }

  /** When an action is enabled. */
  guard(action: Action): string {
    const parts = [
      ...action.sync.map(({ component, event }) => {
        const moved = componentOf(this.model, component);
        return this.among(moved, statesTaking(moved, event));
      }),
      this.truth(action.when),
    ].filter((part) => part !== 'TRUE');
    return parts.length === 0 ? 'TRUE' : parts.join(' /\\ ');
  }

  /** The state after an event. */
  move(component: Component, event: string): string {
    const { from, stay, to } = moveOf(component, event);
    const name = this.names.components.get(component.name)!;
    const cases = to.map(({ target, sources }) => ({ value: String(target), sources }));
    if (stay.length > 0) cases.push({ value: name, sources: stay });
    const [first, ...others] = cases;
    return others.reduceRight(
      (rest, { value, sources }) => `(IF ${this.among(component, sources, from)} THEN ${value} ELSE ${rest})`,
      first?.value ?? name,
    );
  }

  #about(expression: Exclude<Expression, number | { variable: string } | { op: Operator }>): string {
    const component = componentOf(this.model, expression.component);
    return 'in' in expression
      ? this.among(component, statesIn(component, expression.region, expression.in))
      : this.among(component, statesTaking(component, expression.takes));
  }

  #joined(op: 'and' | 'or', of: readonly Expression[]): string {
    if (of.length === 0) return op === 'and' ? 'TRUE' : 'FALSE';
    return `(${of.map((each) => this.truth(each)).join(op === 'and' ? ' /\\ ' : ' \\/ ')})`;
  }
}
