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

/** The model with so many more variables in each member of its groups, set by the actions of that member to one of two values. */
export function widenedMembers(model: Model, more: number): Model {
  const none = { op: '==', of: [{ variable: model.variables[0]!.name }, 0] } as const;
  const own = (member: readonly string[]) =>
    Array.from({ length: more }, (_, index) => `${member[0]} ballast${index}`);
  const members = model.symmetry.flatMap((group) => group.members);
  return {
    ...model,
    variables: [
      ...model.variables,
      ...members.flatMap(own).map((name) => ({ name, words: 'ballast', max: 255, initial: 254 })),
    ],
    actions: model.actions.map((action) => {
      const touched = [
        ...action.sync.map((each) => each.component),
        ...action.set.map((each) => each.variable),
      ];
      const set = members
        .filter((member) => member.some((name) => touched.includes(name)))
        .flatMap(own)
        .map((variable) => ({ variable, to: { op: '+', of: [254, none] } as const }));
      return { ...action, set: [...action.set, ...set] };
    }),
    symmetry: model.symmetry.map((group) => ({
      ...group,
      members: group.members.map((member) => [...member, ...own(member)]),
    })),
  };
}
