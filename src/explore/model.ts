import type { Automaton } from '../automaton/automaton.js';
import type { CapabilitySet } from '../machines/capabilities.js';
import type { Machine } from '../machines/index.js';
import type { TraceEvent } from '../trace/event.js';
import type { Expression } from './expression.js';

/**
 * A model: machines of the protocol that run side by side and meet on events, with small bounded data
 * between them. It is data. Whoever explores, replays or exports it reads the same definition.
 */
export interface Model {
  readonly name: string;
  readonly title: string;
  /** What it was made with. */
  readonly options: ModelOptions;
  readonly components: readonly Component[];
  readonly variables: readonly Variable[];
  readonly actions: readonly Action[];
  readonly properties: readonly Property[];
  /** Groups of identical members (devices, pages), whose order does not matter. */
  readonly symmetry: readonly SymmetricGroup[];
}

/** How large a model is, and which implementation it follows. */
export interface ModelOptions {
  readonly devices: number;
  /** Pages of guest memory that are told apart. */
  readonly pages: number;
  /** How many faults (errors of a driver, cuts of the channel, deaths) one run may have. */
  readonly faults: number;
  /** The capabilities of the devices: of device i, the entry i modulo the length. */
  readonly capabilities: readonly CapabilitySet[];
  /** Name of a variant of the model; null: the protocol as it should be. */
  readonly variant: string | null;
}

/** One machine in the model. */
export interface Component {
  /** Such as `vf0`, `source VMM`. */
  readonly name: string;
  /** The chart: what a replay steps. */
  readonly machine: Machine;
  /** The chart's table: what the search steps. */
  readonly automaton: Automaton;
}

/** Bounded data beside the machines. */
export interface Variable {
  readonly name: string;
  /** What it stands for. */
  readonly words: string;
  /** It holds 0 to `max`, at most 255. */
  readonly max: number;
  readonly initial: number;
}

/**
 * One thing that can happen. It is enabled when `when` is not 0 and every component in `sync` takes its
 * event; then, in one step, the components move and the variables get their values, all computed from the
 * state before.
 */
export interface Action {
  /** Unique, such as `vf0: SET_STATE STOP_COPY`. Nondeterministic choices are actions of their own. */
  readonly name: string;
  readonly when: Expression;
  readonly sync: readonly Sync[];
  readonly set: readonly Assignment[];
  /** What properties and fairness know it by, such as `dma`, `progress`, `fault`. */
  readonly labels: readonly string[];
  /** How a sequence chart draws it: from one lane to another, or at one lane. */
  readonly chart: ChartArrow;
  /** What a recording of it would hold; what `stopcopy validate` judges. `t` is left out. */
  readonly events: readonly TraceEvent[];
}

/** A component that moves with an action, and the event that it takes. */
export interface Sync {
  readonly component: string;
  readonly event: string;
}

/** A variable, and what it is after the action: computed from the state before. */
export interface Assignment {
  readonly variable: string;
  readonly to: Expression;
}

/** What a sequence chart draws of an action. */
export interface ChartArrow {
  readonly from: string;
  /** Undefined: a note at `from`. */
  readonly to: string | undefined;
  readonly text: string;
}

/** What shall hold of a model. `id` is unique in its model and stable; `words` says it in a sentence. */
export type Property = { readonly id: string; readonly words: string } & (
  | { readonly kind: 'always' | 'never' | 'sometimes'; readonly of: Expression }
  /** Never: an action with this label happens in a state where `when` is not 0. */
  | { readonly kind: 'never'; readonly step: string; readonly when: Expression }
  /** Never: a state in which no action is enabled, and that is not a legal end. */
  | { readonly kind: 'never'; readonly deadlockUnless: Expression }
  /** Sometimes: each action happens in some run (no event that can never happen). */
  | { readonly kind: 'sometimes'; readonly everyAction: true }
  /**
   * From each state with `from`, every fair run comes to a state with `to`. Fair (weakly): for each label in
   * `fairness`, a run in which actions with it are enabled without end from some point on takes one again and again.
   * Where none of these is enabled a run may stay for ever.
   */
  | {
      readonly kind: 'leadsTo';
      readonly from: Expression;
      readonly to: Expression;
      readonly fairness: readonly string[];
    }
);

/** What a property asks of states, or of runs. */
export type PropertyKind = Property['kind'];

/** Members that can be exchanged: parallel lists of names of their components and variables. */
export interface SymmetricGroup {
  readonly name: string;
  readonly members: readonly (readonly string[])[];
}

/** A variant of a model: a mutant (one thing done wrongly), or as a published version behaves. */
export interface Variant {
  readonly name: string;
  readonly title: string;
  /** `mutant`: seeded; `implementation`: as software behaves that was observed. */
  readonly kind: 'mutant' | 'implementation';
  /** Ids of the properties that it breaks (of a `sometimes`: whose witness is gone). */
  readonly breaks: readonly string[];
  /** The least options that are needed to show it; others as the model's own. */
  readonly options?: Partial<ModelOptions>;
  /** Where it was seen: a folder of recorded traces. */
  readonly seen?: string;
}

/** A bound that a model has for an option. */
export interface OptionRange {
  readonly least: number;
  readonly most: number;
  /** What is taken when nothing is said. */
  readonly usual: number;
}

/** A model by name, in whatever size is wanted. */
export interface ModelEntry {
  readonly name: string;
  readonly title: string;
  /** A paragraph: what takes part, what can happen, what is left out. */
  readonly words: string;
  /** The options that the model has; it ignores others. */
  readonly ranges: {
    readonly devices?: OptionRange;
    readonly pages?: OptionRange;
    readonly faults?: OptionRange;
  };
  /** The capability sets of the devices when nothing is said; empty: the model has no VFIO devices. */
  readonly capabilities: readonly CapabilitySet[];
  readonly variants: readonly Variant[];
  /** @throws RangeError for options out of their ranges and for an unknown variant */
  make(options: ModelOptions): Model;
}

/** The model is not well formed: a name twice, an unknown name, a value out of its range. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
}
