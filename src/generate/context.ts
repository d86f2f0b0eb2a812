import type { CompleteMethod } from '../automaton/index.js';
import type { CapabilitySet } from '../machines/index.js';
import type { Case } from '../suite/index.js';

/** What every criterion is told. */
export interface GenerateContext {
  readonly capabilities: CapabilitySet;
  /** Calls that the target has no form for (the names of `OptionalCall`). */
  readonly lacks: ReadonlySet<string>;
  /** Whether the state is asked for (GET of MIG_DEVICE_STATE) after each request. */
  readonly status: boolean;
  /** Of what is drawn at random. */
  readonly seed: number;
  /** Steps that the whole suite may have; null: as many as the criteria need. */
  readonly budget: number | null;
  /** Names of whole migrations that the target's guest can play. */
  readonly scenarios: readonly string[];
  /** Hidden states that a device may have beyond the model's, for a complete suite. */
  readonly extraStates: number;
  /** How the states behind a transition are told apart in a complete suite. */
  readonly method: CompleteMethod;
}

/** What a criterion makes. */
export interface Made {
  readonly cases: readonly Case[];
  /** Fewer steps than these reach the criterion in no suite; `proof`: by what this is known. */
  readonly lowerBound?: { readonly steps: number; readonly proof: string };
  /** What a device that passes is known to do, where it depends on the device and the options. */
  readonly guarantee?: string;
}
