import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  answers,
  Examiner,
  equivalent,
  faultText,
  mutants,
  observed,
  responses,
  treeOf,
} from '../../src/automaton/index.js';
import { allWords, arbitraryMealy, arbitraryStatusMachine, mealy, STATUS } from './arbitrary-mealy.js';

const SIZE = { states: 3, inputs: 2, outputs: 2 };

test('machines are equivalent when they answer every word alike', () => {
  const differ = { no: 0, yes: 0 };
  fc.assert(
    fc.property(arbitraryMealy(SIZE), arbitraryMealy(SIZE), (a, b) => {
      // Machines of at most 3 states that differ do so within 5 inputs.
      const alike = allWords([0, 1], 5).every(
        (word) => answers(a, 0, word).join() === answers(b, 0, word).join(),
      );
      expect(equivalent(a, b)).toBe(alike);
      differ[alike ? 'no' : 'yes']++;
    }),
    { numRuns: 500 },
  );
  expect(Math.min(differ.no, differ.yes)).toBeGreaterThan(5);
});

test('an examiner is the words, one by one', () => {
  const words = fc.array(fc.array(fc.nat({ max: 1 }), { maxLength: 5 }), { maxLength: 6 });
  const machines = fc.tuple(arbitraryStatusMachine(SIZE), arbitraryStatusMachine(SIZE));
  fc.assert(
    fc.property(machines, words, fc.boolean(), ([right, other], list, asked) => {
      const status = asked ? STATUS : undefined;
      const [model, seen] = [observed(right, status), observed(other, status)];
      const alike = [[], ...list].every(
        (word) => responses(model, 0, word).join() === responses(seen, 0, word).join(),
      );
      expect(new Examiner(model, list).passes(other)).toBe(alike);
    }),
    { numRuns: 500 },
  );
});

test('a tree has the words that begin no other one', () => {
  expect(treeOf([[0, 1], [0], [1], [0, 1, 1], [], [0, 2]]).words()).toEqual([[0, 1, 1], [0, 2], [1]]);
});

test('mutants have one fault each, and none is the model', () => {
  // A chain: a goes on, b goes back; only the last state answers o1 to a.
  const model = observed(mealy(SIZE, [1, 0, 2, 0, 2, 0], [0, 0, 0, 0, 1, 0]));
  const text = [...mutants(model)].map(({ fault }) => faultText(model.machine, fault));
  // 6 transitions with 2 wrong targets and 1 wrong output each: none is equivalent.
  expect(text).toHaveLength(18);
  expect(new Set(text)).toHaveLength(18);
  expect(text[0]).toBe('s0 on i0 goes to s0');
  expect(text.at(-1)).toBe('s2 on i1 answers o1');
  // 6 ways into a hidden state, in which 2 transitions have 3 faults each.
  const hidden = [...mutants(model, 1)];
  expect(hidden).toHaveLength(6 * 6);
  for (const { machine } of hidden) {
    expect(machine.states).toHaveLength(4);
    expect(equivalent(model.machine, machine)).toBe(false);
  }
  expect(faultText(model.machine, hidden.at(-1)!.fault)).toBe('s2 on i1, then s0 on i1 answers o1');
});
