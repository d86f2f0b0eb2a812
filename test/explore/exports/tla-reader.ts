/**
 * Reads the part of TLA+ that exports use, and explores it as TLC would. It knows nothing of models: what it
 * finds comes from the text alone. An operator that is not defined, a variable that a step leaves open, and
 * truth where a number belongs are errors, as they are in TLC.
 */

type Value = number | boolean;
export type State = ReadonlyMap<string, number>;
/** Where an expression is evaluated: a state, and the state after it as far as it is said. */
interface Scope {
  now: State;
  next: Map<string, number> | null;
  locals: ReadonlyMap<string, Value>;
}
type Node = (scope: Scope) => Value;
interface Operator {
  parameters: readonly string[];
  text: readonly string[];
  body: Node;
  /** The lines of a list of `\/`; empty for other bodies. */
  choices: readonly Node[];
}

export interface TlaModule {
  readonly name: string;
  readonly variables: readonly string[];
  readonly operators: ReadonlyMap<string, Operator>;
  /** Operators with temporal formulas, as they stand. */
  readonly formulas: ReadonlyMap<string, string>;
}

const TOKEN = /\s*(\/\\|\\\/|\\in\b|\.\.|<<|>>|<=|[A-Za-z_]\w*|\d+|[-+#=<~(),'])/y;

/** @param extended the module that it extends, if that is not one of TLA+'s own */
export function readTla(text: string, extended?: TlaModule): TlaModule {
  const lines = text
    .split('\n')
    .map((line) => line.replace(/\\\*.*$/, '').trimEnd())
    .filter((line) => line !== '');
  const name = /^---- MODULE (\w+) ----$/.exec(lines[0] ?? '')?.[1];
  if (name === undefined || lines.at(-1) !== '====') throw new Error('no whole module');
  const variables: string[] = [];
  const operators = new Map<string, Operator>(extended?.operators);
  const formulas = new Map<string, string>(extended?.formulas);
  const module: TlaModule = { name, variables, operators, formulas };
  let body: string[] = [];
  for (const line of lines.slice(1, -1).reverse()) {
    const defined = /^(\w+)(?:\(([\w, ]+)\))? ==(.*)$/.exec(line);
    if (defined) {
      const [, operator, parameters = '', rest] = defined;
      const text = [rest!.trim(), ...body].filter((each) => each !== '');
      if (operators.has(operator!)) throw new Error(`${operator} is defined twice`);
      if (/\[\]|WF_|~>|^<<|Spec/.test(text.join(' '))) formulas.set(operator!, text.join(' '));
      else operators.set(operator!, read(module, parameters.split(', '), text));
      body = [];
    } else if (/^\s/.test(line)) body.unshift(line.trim());
    else if (line.startsWith('VARIABLE')) variables.push(...line.replace(/^VARIABLES? /, '').split(', '));
    else if (!/^EXTENDS \w+$/.test(line)) throw new Error(`cannot read '${line}'`);
  }
  return module;
}

function read(module: TlaModule, parameters: readonly string[], text: readonly string[]): Operator {
  const bullet = text[0]?.slice(0, 2);
  if (bullet !== '/\\' && bullet !== '\\/')
    return { parameters, text, body: new Parser(module, text.join(' ')).whole(), choices: [] };
  const items = text.map((line) => {
    if (!line.startsWith(bullet)) throw new Error(`a list of ${bullet} has '${line}'`);
    return new Parser(module, line.slice(2)).whole();
  });
  const all: Node = (scope) => items.every((each) => truth(each(scope)));
  const any: Node = (scope) => items.some((each) => truth(each(scope)));
  return bullet === '/\\'
    ? { parameters, text, body: all, choices: [] }
    : { parameters, text, body: any, choices: items };
}

function truth(value: Value): boolean {
  if (typeof value !== 'boolean') throw new Error(`${value} is no truth value`);
  return value;
}

function number(value: Value): number {
  if (typeof value !== 'number') throw new Error(`${value} is no number`);
  return value;
}

/** `name' = value`: says what the next state is, or whether it is that. */
function becomes({ next }: Scope, name: string, value: number): boolean {
  const said = next!.get(name);
  if (said === undefined) next!.set(name, value);
  return said === undefined || said === value;
}

/** By precedence, as in TLA+: `\/` and `/\`, `~`, comparisons, `..`, `+` and `-`. */
class Parser {
  readonly #tokens: string[] = [];
  #at = 0;

  constructor(
    readonly module: TlaModule,
    text: string,
  ) {
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const from = TOKEN.lastIndex;
      const found = TOKEN.exec(text);
      if (!found) throw new Error(`cannot read '${text.slice(from)}'`);
      this.#tokens.push(found[1]!);
    }
  }

  whole(): Node {
    const node = this.#junction();
    if (this.#at < this.#tokens.length) throw new Error(`cannot read on at '${this.#tokens[this.#at]}'`);
    return node;
  }

  #take(...tokens: readonly string[]): string | null {
    const token = this.#tokens[this.#at];
    if (token === undefined || !tokens.includes(token)) return null;
    this.#at++;
    return token;
  }

  #need(token: string): void {
    if (this.#take(token) === null)
      throw new Error(`'${token}' is missing before '${this.#tokens[this.#at] ?? 'the end'}'`);
  }

  /** One operator only: TLA+ has no order between the two. */
  #junction(): Node {
    const items = [this.#negation()];
    const sign = this.#take('/\\', '\\/');
    if (sign === null) return items[0]!;
    do items.push(this.#negation());
    while (this.#take(sign) !== null);
    return sign === '/\\'
      ? (scope) => items.every((each) => truth(each(scope)))
      : (scope) => items.some((each) => truth(each(scope)));
  }

  #negation(): Node {
    if (this.#take('~') === null) return this.#comparison();
    const of = this.#negation();
    return (scope) => !truth(of(scope));
  }

  #comparison(): Node {
    if (this.#take('UNCHANGED') !== null) return this.#unchanged();
    const target = this.#tokens[this.#at]!;
    if (this.#tokens[this.#at + 1] === "'") return this.#assignment(target);
    const left = this.#sum();
    const sign = this.#take('=', '#', '<', '<=', '\\in');
    if (sign === null) return left;
    const right = this.#sum();
    if (sign === '\\in') {
      this.#need('..');
      const last = this.#sum();
      return (scope) => {
        const value = number(left(scope));
        return value >= number(right(scope)) && value <= number(last(scope));
      };
    }
    return (scope) => {
      const [a, b] = [number(left(scope)), number(right(scope))];
      if (sign === '=') return a === b;
      if (sign === '#') return a !== b;
      return sign === '<' ? a < b : a <= b;
    };
  }

  #assignment(target: string): Node {
    this.#at += 2;
    this.#need('=');
    const value = this.#sum();
    return (scope) => becomes(scope, target, number(value(scope)));
  }

  #unchanged(): Node {
    const names: string[] = [];
    this.#need('<<');
    do names.push(this.#tokens[this.#at++]!);
    while (this.#take(',') !== null);
    this.#need('>>');
    return (scope) => names.every((name) => becomes(scope, name, scope.now.get(name)!));
  }

  #sum(): Node {
    let left = this.#factor();
    for (let sign = this.#take('+', '-'); sign !== null; sign = this.#take('+', '-')) {
      const [a, b, factor] = [left, this.#factor(), sign === '+' ? 1 : -1];
      left = (scope) => number(a(scope)) + factor * number(b(scope));
    }
    return left;
  }

  #factor(): Node {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error('something is missing at the end');
    if (/^\d/.test(token)) return () => Number(token);
    if (token === 'TRUE' || token === 'FALSE') return () => token === 'TRUE';
    if (token === '-') {
      const of = this.#factor();
      return (scope) => -number(of(scope));
    }
    if (token === '(') {
      const inner = this.#junction();
      this.#need(')');
      return inner;
    }
    if (token === 'IF') return this.#choice();
    if (!/^\w/.test(token)) throw new Error(`'${token}' cannot stand here`);
    return this.#named(token);
  }

  #choice(): Node {
    const condition = this.#junction();
    this.#need('THEN');
    const then = this.#junction();
    this.#need('ELSE');
    const otherwise = this.#junction();
    return (scope) => (truth(condition(scope)) ? then(scope) : otherwise(scope));
  }

  #named(name: string): Node {
    const given: Node[] = [];
    if (this.#take('(') !== null) {
      do given.push(this.#junction());
      while (this.#take(',') !== null);
      this.#need(')');
    }
    const { module } = this;
    return (scope) => {
      const value = scope.locals.get(name) ?? (given.length === 0 ? scope.now.get(name) : undefined);
      if (value !== undefined) return value;
      const operator = module.operators.get(name);
      if (operator === undefined) throw new Error(`'${name}' is not defined`);
      const locals = new Map(operator.parameters.map((each, index) => [each, given[index]?.(scope) ?? 0]));
      return operator.body({ ...scope, locals });
    };
  }
}

export interface TlaResult {
  states: number;
  edges: number;
  /** Names of invariants that some state breaks. */
  broken: Set<string>;
}

/** Explores a module from `Init` by `Next`, and looks at the invariants of a configuration. */
export function exploreTla(module: TlaModule, config: string, most = 100_000): TlaResult {
  const invariants = [...config.matchAll(/^INVARIANT (\w+)$/gm)].map(([, name]) => operatorOf(module, name!));
  const first = initialState(module);
  const seen = new Set([keyOf(module, first)]);
  const queue = [first];
  const broken = new Set<string>();
  let edges = 0;
  for (const now of queue) {
    for (const { name, body } of invariants)
      if (!truth(body({ now, next: null, locals: new Map() }))) broken.add(name);
    for (const next of stepsOf(module, now)) {
      edges++;
      const key = keyOf(module, next);
      if (seen.has(key)) continue;
      if (seen.size >= most) throw new Error(`more than ${most} states`);
      seen.add(key);
      queue.push(next);
    }
  }
  return { states: seen.size, edges, broken };
}

/** The states after `now`, one for each line of `Next` that allows a step. */
export function* stepsOf(module: TlaModule, now: State): Generator<Map<string, number>> {
  for (const choice of operatorOf(module, 'Next').choices) {
    const next = new Map<string, number>();
    if (!truth(choice({ now, next, locals: new Map() }))) continue;
    if (next.size !== module.variables.length) throw new Error('a step leaves a variable open');
    yield next;
  }
}

/** The value of an operator in a state, or of a pair of states, as far as the second is said. */
export function holds(
  module: TlaModule,
  name: string,
  now: State,
  next: Map<string, number> | null,
): boolean {
  return truth(operatorOf(module, name).body({ now, next, locals: new Map() }));
}

/** A truth value that stands in a formula, as a test of states. */
export function stateTest(module: TlaModule, text: string): (now: State) => boolean {
  const node = new Parser(module, text).whole();
  return (now) => truth(node({ now, next: null, locals: new Map() }));
}

function operatorOf(module: TlaModule, name: string): Operator & { name: string } {
  const operator = module.operators.get(name);
  if (operator === undefined) throw new Error(`'${name}' is not defined`);
  return { name, ...operator };
}

export const keyOf = (module: TlaModule, state: State): string =>
  module.variables.map((name) => state.get(name)).join();

/** The one state of `Init`, which is a list of `variable = number`. */
export function initialState(module: TlaModule): State {
  const state = new Map<string, number>();
  for (const line of operatorOf(module, 'Init').text) {
    const [, name, value] = /^\/\\ (\w+) = (\d+)$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`Init says '${line}'`);
    state.set(name, Number(value));
  }
  if (module.variables.some((name) => !state.has(name)) || state.size !== module.variables.length)
    throw new Error('Init leaves a variable open');
  return state;
}
