/**
 * Expressions over the state of a model, as plain data: the search compiles them to code, the exports print
 * them as Promela, TLA+ and C, the replay evaluates them as they stand. Truth is 1, falsehood 0.
 */
export type Expression =
  | number
  /** The value of a variable. */
  | { readonly variable: string }
  /** Whether a region of a component is in one of these states. */
  | { readonly component: string; readonly region: string; readonly in: readonly string[] }
  /** Whether a component takes this event now. */
  | { readonly component: string; readonly takes: string }
  | { readonly op: Operator; readonly of: readonly Expression[] };

/**
 * `not` takes one operand; `and`, `or`, `+`, `min`, `max` one or more; `if` three (condition, then, else);
 * all others two. Numbers are small and never negative but as results in the midst of an expression.
 */
export const OPERATORS = ['not', 'and', 'or', '==', '!=', '<', '<=', '+', '-', 'min', 'max', 'if'] as const;
export type Operator = (typeof OPERATORS)[number];

const make =
  (op: Operator) =>
  (...of: readonly Expression[]): Expression => ({ op, of });

/** 1 where it is 0, else 0. */
export const not = (of: Expression): Expression => ({ op: 'not', of: [of] });
/** All of them; 1 for none. */
export const and = (...of: readonly Expression[]): Expression =>
  of.length === 0 ? 1 : of.length === 1 ? of[0]! : { op: 'and', of };
/** Any of them; 0 for none. */
export const or = (...of: readonly Expression[]): Expression =>
  of.length === 0 ? 0 : of.length === 1 ? of[0]! : { op: 'or', of };
/** `a` implies `b`. */
export const implies = (a: Expression, b: Expression): Expression => or(not(a), b);
/** 1 where both are equal, else 0. */
export const eq = (a: Expression, b: Expression): Expression => ({ op: '==', of: [a, b] });
/** 1 where both differ, else 0. */
export const ne = (a: Expression, b: Expression): Expression => ({ op: '!=', of: [a, b] });
/** 1 where the first is smaller than the second, else 0. */
export const lt = (a: Expression, b: Expression): Expression => ({ op: '<', of: [a, b] });
/** 1 where the first is not greater than the second, else 0. */
export const le = (a: Expression, b: Expression): Expression => ({ op: '<=', of: [a, b] });
/** 1 where the first is greater than the second, else 0. */
export const gt = (a: Expression, b: Expression): Expression => lt(b, a);
/** 1 where the first is not smaller than the second, else 0. */
export const ge = (a: Expression, b: Expression): Expression => le(b, a);
/** The sum of both. */
export const plus = make('+');
/** The first without the second. */
export const minus = (a: Expression, b: Expression): Expression => ({ op: '-', of: [a, b] });
/** The smaller of both. */
export const min = make('min');
/** The greater of both. */
export const max = make('max');
/** The second where the first is not 0, else the third. */
export const either = (condition: Expression, then: Expression, otherwise: Expression): Expression => ({
  op: 'if',
  of: [condition, then, otherwise],
});

/** What an evaluation asks of a state. */
export interface Valuation {
  value(variable: string): number;
  /** The state of a component's region. */
  region(component: string, region: string): string;
  takes(component: string, event: string): boolean;
}

/** The value of an expression. */
export function evaluate(expression: Expression, state: Valuation): number {
  if (typeof expression === 'number') return expression;
  if ('variable' in expression) return state.value(expression.variable);
  if ('in' in expression)
    return Number(expression.in.includes(state.region(expression.component, expression.region)));
  if ('takes' in expression) return Number(state.takes(expression.component, expression.takes));
  const { op, of } = expression;
  const value = (index: number): number => evaluate(of[index]!, state);
  switch (op) {
    case 'not':
      return Number(value(0) === 0);
    case 'and':
      return Number(of.every((each) => evaluate(each, state) !== 0));
    case 'or':
      return Number(of.some((each) => evaluate(each, state) !== 0));
    case '==':
      return Number(value(0) === value(1));
    case '!=':
      return Number(value(0) !== value(1));
    case '<':
      return Number(value(0) < value(1));
    case '<=':
      return Number(value(0) <= value(1));
    case '+':
      return of.reduce((sum: number, each) => sum + evaluate(each, state), 0);
    case '-':
      return value(0) - value(1);
    case 'min':
      return Math.min(...of.map((each) => evaluate(each, state)));
    case 'max':
      return Math.max(...of.map((each) => evaluate(each, state)));
    case 'if':
      return value(0) !== 0 ? value(1) : value(2);
  }
}

/** Every expression in an expression, itself first. */
export function* parts(expression: Expression): Generator<Expression> {
  yield expression;
  if (typeof expression === 'object' && 'op' in expression)
    for (const each of expression.of) yield* parts(each);
}
