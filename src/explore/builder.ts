import { compile } from '../automaton/compile.js';
import { type Machine, regionsOf } from '../machines/index.js';
import type { TraceEvent } from '../trace/event.js';
import { and, type Expression, parts } from './expression.js';
import {
  type Action,
  type Assignment,
  type ChartArrow,
  type Component,
  type Model,
  ModelError,
  type ModelOptions,
  type Property,
  type SymmetricGroup,
  type Sync,
  type Variable,
} from './model.js';

/** A component as models speak of it. */
export interface ComponentHandle {
  readonly name: string;
  /** Whether a region is in one of these states. A chart of one region has its own name as region. */
  in(region: string, ...states: readonly string[]): Expression;
  /** The event, for an action's `sync`. */
  on(event: string): Sync;
  /** Whether the event would be taken. */
  takes(event: string): Expression;
}

/** A variable as models speak of it: an expression, with its assignments. */
export type VariableHandle = { readonly variable: string } & {
  to(value: Expression): Assignment;
};

/** An action as models write it. */
export interface ActionDraft {
  readonly when?: Expression | readonly Expression[];
  readonly sync?: readonly Sync[];
  readonly set?: readonly Assignment[];
  readonly labels?: readonly string[];
  /** Left out: a note at the part of the name before `: `. */
  readonly chart?: Partial<ChartArrow>;
  readonly events?: readonly TraceEvent[];
}

/** Puts a model together, and refuses what is not well formed at once. */
export class ModelBuilder {
  readonly #components = new Map<string, Component>();
  readonly #variables = new Map<string, Variable>();
  readonly #actions = new Map<string, Action>();
  readonly #properties = new Map<string, Property>();
  readonly #symmetry: SymmetricGroup[] = [];

  constructor(
    readonly name: string,
    readonly title: string,
    readonly options: ModelOptions,
  ) {}

  component(name: string, machine: Machine): ComponentHandle {
    this.#claim(name);
    const automaton = compile(machine);
    this.#components.set(name, { name, machine, automaton });
    return {
      name,
      in: (region, ...states) => this.#checked({ component: name, region, in: states }),
      on: (event) => this.#checkedSync({ component: name, event }),
      takes: (event) => this.#checked({ component: name, takes: event }),
    };
  }

  variable(name: string, words: string, max: number, initial = 0): VariableHandle {
    this.#claim(name);
    if (!(Number.isInteger(max) && max >= 1 && max <= 255 && initial >= 0 && initial <= max))
      throw new ModelError(`${this.name}: variable ${name} needs 1 <= max <= 255 and 0 <= initial <= max`);
    this.#variables.set(name, { name, words, max, initial });
    return { variable: name, to: (value) => ({ variable: name, to: value }) };
  }

  action(name: string, draft: ActionDraft): void {
    if (this.#actions.has(name)) throw new ModelError(`${this.name}: two actions are named '${name}'`);
    const when = Array.isArray(draft.when) ? and(...draft.when) : ((draft.when ?? 1) as Expression);
    const [lane, text] = name.includes(': ') ? name.split(/: (.*)/s) : [this.name, name];
    const set = draft.set ?? [];
    const sync = draft.sync ?? [];
    this.#checked(when);
    for (const each of set) {
      this.#checked(each.to);
      this.#checked({ variable: each.variable });
    }
    if (new Set(set.map((each) => each.variable)).size < set.length)
      throw new ModelError(`${this.name}: '${name}' sets a variable twice`);
    if (new Set(sync.map((each) => each.component)).size < sync.length)
      throw new ModelError(`${this.name}: '${name}' moves a component twice`);
    for (const each of sync) this.#checkedSync(each);
    this.#actions.set(name, {
      name,
      when,
      sync,
      set,
      labels: draft.labels ?? [],
      chart: { from: lane!, to: undefined, text: text!, ...draft.chart },
      events: draft.events ?? [],
    });
  }

  property(property: Property): void {
    const { id } = property;
    if (this.#properties.has(id)) throw new ModelError(`${this.name}: two properties have the id '${id}'`);
    for (const each of expressionsOf(property)) this.#checked(each);
    this.#properties.set(id, property);
  }

  always(id: string, words: string, of: Expression): void {
    this.property({ id, words, kind: 'always', of });
  }

  never(id: string, words: string, of: Expression): void {
    this.property({ id, words, kind: 'never', of });
  }

  sometimes(id: string, words: string, of: Expression): void {
    this.property({ id, words, kind: 'sometimes', of });
  }

  /** No action with this label happens where `when` holds. */
  neverStep(id: string, words: string, step: string, when: Expression): void {
    this.property({ id, words, kind: 'never', step, when });
  }

  leadsTo(id: string, words: string, from: Expression, to: Expression, fairness: readonly string[]): void {
    this.property({ id, words, kind: 'leadsTo', from, to, fairness });
  }

  /** The two properties that every model has: no deadlock, no event that can never happen. */
  sound(legalEnd: Expression): void {
    this.property({
      id: 'no-deadlock',
      words: 'No run comes to a halt anywhere but at a legal end.',
      kind: 'never',
      deadlockUnless: legalEnd,
    });
    this.property({
      id: 'every-event-happens',
      words: 'Each event of the model happens in some run.',
      kind: 'sometimes',
      everyAction: true,
    });
  }

  /** Identical members: for each the names of its components and variables, in one order for all. */
  symmetric(name: string, members: readonly (readonly string[])[]): void {
    for (const each of members.flat())
      if (!this.#components.has(each) && !this.#variables.has(each))
        throw new ModelError(`${this.name}: symmetric group ${name} names '${each}', which there is not`);
    if (members.length > 1) this.#symmetry.push({ name, members });
  }

  build(): Model {
    const labels = new Set([...this.#actions.values()].flatMap((action) => action.labels));
    for (const property of this.#properties.values()) {
      const needed = 'fairness' in property ? property.fairness : 'step' in property ? [property.step] : [];
      for (const label of needed)
        if (!labels.has(label))
          throw new ModelError(
            `${this.name}: property ${property.id} needs label '${label}', no action has it`,
          );
    }
    return {
      name: this.name,
      title: this.title,
      options: this.options,
      components: [...this.#components.values()],
      variables: [...this.#variables.values()],
      actions: [...this.#actions.values()],
      properties: [...this.#properties.values()],
      symmetry: this.#symmetry,
    };
  }

  #claim(name: string): void {
    if (this.#components.has(name) || this.#variables.has(name))
      throw new ModelError(`${this.name}: two components or variables are named '${name}'`);
  }

  #checked<T extends Expression>(expression: T): T {
    for (const part of parts(expression)) {
      if (typeof part === 'number' || 'op' in part) continue;
      if ('variable' in part) {
        if (!this.#variables.has(part.variable))
          throw new ModelError(`${this.name}: there is no variable '${part.variable}'`);
      } else if ('takes' in part) this.#checkedSync({ component: part.component, event: part.takes });
      else this.#checkStates(part.component, part.region, part.in);
    }
    return expression;
  }

  #checkStates(name: string, region: string, states: readonly string[]): void {
    const component = this.#components.get(name);
    const found = component && regionsOf(component.machine).find((each) => each.name === region);
    if (!found) throw new ModelError(`${this.name}: there is no region '${region}' in '${name}'`);
    for (const state of states)
      if (!found.states.some((each) => each.name === state))
        throw new ModelError(`${this.name}: region '${region}' of '${name}' has no state '${state}'`);
  }

  #checkedSync(sync: Sync): Sync {
    const component = this.#components.get(sync.component);
    if (!component?.automaton.eventIndex.has(sync.event))
      throw new ModelError(`${this.name}: '${sync.component}' knows no event '${sync.event}'`);
    return sync;
  }
}

/** The expressions of a property. */
export function expressionsOf(property: Property): Expression[] {
  if ('of' in property) return [property.of];
  if ('step' in property) return [property.when];
  if ('deadlockUnless' in property) return [property.deadlockUnless];
  if ('everyAction' in property) return [];
  return [property.from, property.to];
}
