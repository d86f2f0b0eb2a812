import fc from 'fast-check';
import { initialState, keyOf, type ModelState, successors } from '../../../src/explore/interpret.js';
import type { Model, Property } from '../../../src/explore/model.js';
import type { Path } from '../../../src/explore/result.js';
import { randomModel } from '../random-models.js';

/** A run of a model, with its states. */
export interface Walk {
  readonly model: Model;
  readonly actions: readonly string[];
  readonly states: readonly ModelState[];
}

/** Runs of random models, as long as something is enabled. */
export const walks = (most: number): fc.Arbitrary<Walk> =>
  fc
    .tuple(randomModel, fc.array(fc.nat(5039), { maxLength: most }))
    .map(([model, choices]) => walked(model, choices));

/** The run that takes, at each step, the action that the number chooses from those enabled. */
export function walked(model: Model, choices: readonly number[]): Walk {
  const states = [initialState(model)];
  const actions: string[] = [];
  for (const choice of choices) {
    const enabled = successors(model, states.at(-1)!);
    if (enabled.length === 0) break;
    const { action, to } = enabled[choice % enabled.length]!;
    actions.push(action.name);
    states.push(to);
  }
  return { model, actions, states };
}

/** What a run could be said to show of a property: with each cycle that it could end in. */
export function claims({ model, actions, states }: Walk, property: Property): Path[] {
  if ('everyAction' in property) return [];
  if ('deadlockUnless' in property) return [{ actions, end: 'deadlock', loop: null }];
  if ('step' in property) return [{ actions, end: 'step', loop: null }];
  if ('of' in property) return [{ actions, end: 'state', loop: null }];
  const last = keyOf(model, states.at(-1)!);
  return [...states.keys()]
    .filter((at) => keyOf(model, states[at]!) === last)
    .map((loop) => ({ actions, end: 'cycle', loop }));
}
