import { expect, test } from 'vitest';
import { compile } from '../../../src/automaton/compile.js';
import { toXState } from '../../../src/explore/exports/xstate.js';
import { exploreNaively } from '../naive.js';
import { everything, logged, mayStay, response } from './small-models.js';
import { exploreByXState } from './xstate-graph.js';

test.each([
  ['logged', logged()],
  ['logged, mutant', logged(true)],
  ['everything', everything()],
  ['response', response()],
  ['may stay', mayStay()],
])("%s: XState's own exploration finds the same states and edges", (_, model) => {
  const { states, edges } = exploreNaively(model);
  expect(exploreByXState(model)).toEqual({ states, edges });
});

test('such a machine is none that tables can hold', () => {
  expect(() => compile(toXState(logged()))).toThrow('transitions stand at the states themselves');
});
