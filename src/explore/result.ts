import type { ModelOptions, PropertyKind } from './model.js';

/** What an exploration found. It never says `holds` of what it did not see whole. */
export interface Exploration {
  readonly model: string;
  readonly options: ModelOptions;
  /** `violated` when a property is; else `unknown` when one is, or the search was not complete; else `holds`. */
  readonly verdict: Verdict;
  /** Whether every reachable state was seen, by exact keys. */
  readonly complete: boolean;
  /** Why it is not complete. */
  readonly reason: Incomplete | null;
  /** States seen; with symmetry, one for all states that differ in the order of identical members. */
  readonly states: number;
  /** Enabled actions of all states whose successors were made, with those that change nothing. */
  readonly edges: number;
  /** Actions on a shortest path to the furthest state. */
  readonly depth: number;
  readonly properties: readonly PropertyResult[];
  readonly bounds: Bounds;
  readonly statistics: Statistics;
}

/** `unknown`: a bound ended the search before it was clear. */
export type Verdict = 'holds' | 'violated' | 'unknown';

/** Why a search ended before its end. */
export type Incomplete = 'memory' | 'states' | 'depth' | 'time' | 'interrupted';

/** What the search was bound by; null: not. */
export interface Bounds {
  /** Bytes for states and their table. */
  readonly memory: number;
  readonly states: number | null;
  readonly depth: number | null;
  /** Seconds. */
  readonly time: number | null;
  readonly symmetry: boolean;
}

/** What a search cost. */
export interface Statistics {
  readonly seconds: number;
  /** Bytes of states and table at the end, divided by the states. */
  readonly bytesPerState: number;
  readonly statesPerSecond: number;
  readonly edgesPerSecond: number;
  readonly workers: number;
}

/** What a search says of one property. */
export interface PropertyResult {
  readonly id: string;
  readonly kind: PropertyKind;
  readonly words: string;
  readonly verdict: Verdict;
  /** In words, why it is not known, or what is missing (actions that never happen). */
  readonly reason: string | null;
  /** A shortest path that breaks it. A `sometimes` has none: what breaks it is that there is no path. */
  readonly counterexample: Path | null;
  /** A shortest path to what `sometimes` asks for. */
  readonly witness: Path | null;
}

/** A run of the model from its initial state: names of actions in their order. */
export interface Path {
  readonly actions: readonly string[];
  /**
   * `state`: the last state shows it; `step`: the last action does; `deadlock`: nothing is enabled after the
   * last; `cycle`: the actions from index `loop` on are repeated without end, or, when there are none, the run
   * stays in the last state.
   */
  readonly end: 'state' | 'step' | 'deadlock' | 'cycle';
  /** Index into `actions` where the cycle begins, or their number; null without one. */
  readonly loop: number | null;
}
