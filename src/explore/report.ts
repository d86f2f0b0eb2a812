import { type Changes, changes } from './counterexample/changes.js';
import { replay } from './counterexample/replay.js';
import type { Model, Property } from './model.js';
import type { Exploration, Path, PropertyResult } from './result.js';

/** Name and version of the JSON of `explore`. */
export const EXPLORE_SCHEMA = 'stopcopy-explore-1';

/** A run with what it does, as reports hold it. */
export interface ReportedPath extends Path {
  /** For each action what it changed. */
  readonly changes: readonly Changes[];
  /** Null: the run was replayed on the XState machines, and shows what it is said to. Else what went wrong. */
  readonly problem: string | null;
}

export interface ReportedProperty extends PropertyResult {
  readonly counterexample: ReportedPath | null;
  readonly witness: ReportedPath | null;
}

/** What `explore --json` prints. */
export interface ExploreReport extends Exploration {
  readonly schema: typeof EXPLORE_SCHEMA;
  readonly properties: readonly ReportedProperty[];
}

/**
 * The report of an exploration. Each counterexample and witness is replayed on the machines first: one that
 * does not stand makes its property `unknown`, with the problem as reason.
 */
export function exploreReport(model: Model, exploration: Exploration): ExploreReport {
  const properties = exploration.properties.map((result) => {
    const property = model.properties.find(({ id }) => id === result.id)!;
    const counterexample = reported(model, property, result.counterexample);
    const witness = reported(model, property, result.witness);
    const problem = counterexample?.problem ?? witness?.problem ?? null;
    const judged =
      problem === null ? result : { ...result, verdict: 'unknown' as const, reason: `replay: ${problem}` };
    return { ...judged, counterexample, witness };
  });
  const violated = properties.some(({ verdict }) => verdict === 'violated');
  const unknown = !exploration.complete || properties.some(({ verdict }) => verdict === 'unknown');
  const verdict = violated ? 'violated' : unknown ? 'unknown' : 'holds';
  return { schema: EXPLORE_SCHEMA, ...exploration, verdict, properties };
}

function reported(model: Model, property: Property, path: Path | null): ReportedPath | null {
  if (path === null) return null;
  const { states, problem } = replay(model, property, path);
  return { ...path, changes: states.slice(1).map((state, index) => changes(states[index]!, state)), problem };
}
