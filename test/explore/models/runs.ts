import fc from 'fast-check';
import { expect } from 'vitest';
import { traceOf } from '../../../src/explore/counterexample/trace.js';
import { explore } from '../../../src/explore/engine/explore.js';
import { initialState, successors } from '../../../src/explore/interpret.js';
import type { Model, ModelEntry, ModelOptions } from '../../../src/explore/model.js';
import { modelOptions } from '../../../src/explore/models/options.js';
import type { Path, PropertyResult } from '../../../src/explore/result.js';
import { validateEvents } from '../../../src/validate/index.js';

/** Runs of models, and what the validator says of their traces. */

export const make = (entry: ModelEntry, given: Partial<ModelOptions> = {}): Model =>
  entry.make(modelOptions(entry, given));

/** Rules that are broken in the trace of a run, notes left out. */
export function findings(model: Model, actions: readonly string[]): string[] {
  const traced = new Set(model.actions.flatMap(({ events }) => events.map(({ kind }) => kind)));
  const path: Path = { actions, end: 'state', loop: null };
  const { violations } = validateEvents(traceOf(model, path), { traced });
  return [...new Set(violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule))].sort();
}

/** A run that takes, at each step, one of the actions that are enabled, as the numbers say. */
export function walk(model: Model, choices: readonly number[]): string[] {
  let state = initialState(model);
  const actions: string[] = [];
  for (const choice of choices) {
    const enabled = successors(model, state);
    if (enabled.length === 0) break;
    // What users and faults do ends most runs early: it is taken seldom, unless there is nothing else.
    const usual = enabled.filter(({ action }) => !action.labels.some((label) => RARE.has(label)));
    const among = usual.length === 0 || choice % RARELY === 0 ? enabled : usual;
    const { action, to } = among[choice % among.length]!;
    actions.push(action.name);
    state = to;
  }
  return actions;
}

const RARE: ReadonlySet<string> = new Set(['fault', 'user', 'device']);
const RARELY = 23;
/** Numbers for runs that are long enough for each of the models. */
const choices = fc.array(fc.nat(5039), { minLength: 150, maxLength: 150 });

/** Holds that the validator finds nothing in any of many runs of the model, and that these events are among them. */
export function holdsConformant(model: Model, numRuns: number, among: readonly string[]): void {
  const happened = new Set<string>();
  fc.assert(
    fc.property(choices, (numbers) => {
      const actions = walk(model, numbers);
      for (const action of actions) happened.add(action);
      expect(findings(model, actions)).toEqual([]);
    }),
    { numRuns },
  );
  expect(among.filter((name) => !happened.has(name))).toEqual([]);
}

/** States, edges and depth of a model of this size; every property is to hold. */
export async function counts(entry: ModelEntry, given: Partial<ModelOptions>): Promise<number[]> {
  const { verdict, states, edges, depth } = await explore(make(entry, given));
  expect(verdict).toBe('holds');
  return [states, edges, depth];
}

/** What an exploration says of one property of a variant. */
export async function resultOf(
  entry: ModelEntry,
  variant: string,
  property: string,
): Promise<{ model: Model; result: PropertyResult }> {
  const model = make(entry, { variant });
  const { properties } = await explore(model, { properties: [property] });
  return { model, result: properties[0]! };
}

/** Rules that the validator finds broken in the shortest counterexample. */
export async function judged(entry: ModelEntry, variant: string, property: string): Promise<string[]> {
  const { model, result } = await resultOf(entry, variant, property);
  return findings(model, result.counterexample!.actions);
}

/** Rules that the validator finds broken in some of many runs. */
export function judgedInSome(model: Model, numRuns: number): string[] {
  const runs = fc.sample(choices, { numRuns, seed: 7 }).map((numbers) => walk(model, numbers));
  return [...new Set(runs.flatMap((actions) => findings(model, actions)))].sort();
}
