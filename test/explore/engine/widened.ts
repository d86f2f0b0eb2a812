import type { Model } from '../../../src/explore/model.js';

/**
 * The model with so many more variables of eight bits, so that its states are of several words. Each action sets all
 * of them by what the first variable was.
 */
export function widened(model: Model, ballast: number): Model {
  const names = Array.from({ length: ballast }, (_, index) => `ballast${index}`);
  const { name, max } = model.variables[0]!;
  const words = 'ballast';
  const set = names.map((variable) => ({
    variable,
    to: { op: '+', of: [255 - max, { variable: name }] } as const,
  }));
  return {
    ...model,
    variables: [
      ...model.variables,
      ...names.map((each) => ({ name: each, words, max: 255, initial: 255 - max })),
    ],
    actions: model.actions.map((action) => ({ ...action, set: [...action.set, ...set] })),
  };
}
