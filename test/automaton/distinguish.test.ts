import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  after,
  characterizingSet,
  distinguish,
  equivalent,
  harmonizedIdentifiers,
  identifiers,
  isMinimal,
  type Observed,
  observed,
  reduced,
  responses,
  stateCover,
  transitionCover,
  type Word,
} from '../../src/automaton/index.js';
import { allWords, arbitraryMealy, arbitraryStatusMachine, mealy, STATUS } from './arbitrary-mealy.js';

const SIZE = { states: 5, inputs: 2, outputs: 2 };
const watched = fc.oneof(
  arbitraryMealy(SIZE).map((machine) => observed(machine)),
  arbitraryStatusMachine(SIZE).map((machine) => observed(machine, STATUS)),
);

const looksAlike = (model: Observed, word: Word, a: number, b: number): boolean =>
  responses(model, a, word).join() === responses(model, b, word).join();

function pairsOf({ machine }: Observed): [number, number][] {
  const states = machine.states.map((_, state) => state);
  return states.flatMap((a) => states.filter((b) => b > a).map((b): [number, number] => [a, b]));
}

const beginnings = (words: readonly Word[]): Word[] =>
  words.flatMap((word) => [...word.keys(), word.length].map((length) => word.slice(0, length)));

describe('telling states apart', () => {
  test('separating words separate, no shorter word does, and without one no word does', () => {
    fc.assert(
      fc.property(watched, (model) => {
        const { classOf, separating } = distinguish(model);
        for (const [a, b] of pairsOf(model)) {
          const word = separating(a, b);
          expect(word === null).toBe(classOf[a] === classOf[b]);
          // Two of n states differ within n - 1 inputs, or never.
          const length = word?.length ?? model.machine.states.length;
          const shorter = allWords(model.inputs, length - 1).filter((each) => each.length < length);
          for (const each of shorter) expect(looksAlike(model, each, a, b)).toBe(true);
          if (word !== null) expect(looksAlike(model, word, a, b)).toBe(false);
        }
      }),
    );
  });

  test('W tells apart all that can be, and so do the identifiers', () => {
    fc.assert(
      fc.property(watched, (model) => {
        const { classOf } = distinguish(model);
        const characterizing = characterizingSet(model);
        const own = identifiers(model, characterizing);
        const harmonized = harmonizedIdentifiers(model, characterizing);
        const begins = new Set(beginnings(characterizing).map(String));
        for (const word of [...own, ...harmonized].flat()) expect(begins).toContain(String(word));
        for (const [a, b] of pairsOf(model)) {
          const differ = (words: readonly Word[]) => words.some((word) => !looksAlike(model, word, a, b));
          const apart = classOf[a] !== classOf[b];
          expect(differ(characterizing)).toBe(apart);
          expect([differ(own[a]!), differ(own[b]!)]).toEqual([apart, apart]);
          const ofB = harmonized[b]!.map(String);
          expect(differ(harmonized[a]!.filter((word) => ofB.includes(String(word))))).toBe(apart);
        }
      }),
    );
  });

  test('one empty word is W when the status message tells all states apart', () => {
    const machine = mealy({ states: 2, inputs: 2, outputs: 2 }, [1, 0, 0, 1], [0, 0, 0, 1]);
    const model = observed(machine, 'i1');
    expect(model.inputs).toEqual([0]);
    expect(characterizingSet(model)).toEqual([[]]);
    expect(characterizingSet(observed(machine))).toEqual([[1]]);
  });

  test('a status message that changes the state, or that is not there, is refused', () => {
    const machine = mealy({ states: 2, inputs: 1, outputs: 1 }, [1, 0], [0, 0]);
    expect(() => observed(machine, 'i0')).toThrow('arbitrary: i0 changes the state s0');
    expect(() => observed(machine, 'GET')).toThrow('arbitrary: no input is called GET');
  });
});

describe('reducing', () => {
  test('the reduced machine looks the same, is minimal, and all its states are reached', () => {
    fc.assert(
      fc.property(watched, (model) => {
        const { watched: smaller, members } = reduced(model);
        expect(equivalent(model.machine, smaller.machine)).toBe(true);
        expect(isMinimal(smaller)).toBe(true);
        expect(isMinimal(model)).toBe(distinguish(model).classes.length === model.machine.states.length);
        const cover = stateCover(smaller);
        expect(cover.map((word) => after(smaller.machine, 0, word))).toEqual([...members.keys()]);
        for (const states of members)
          for (const [a, b] of pairsOf(model))
            if (states.includes(a) && states.includes(b))
              expect(distinguish(model).separating(a, b)).toBeNull();
      }),
    );
  });

  test('covers leave out what cannot be reached', () => {
    const model = observed(
      mealy({ states: 3, inputs: 2, outputs: 2 }, [1, 0, 0, 1, 2, 2], [0, 0, 1, 0, 1, 1]),
    );
    expect(stateCover(model)).toEqual([[], [0]]);
    expect(transitionCover(model)).toEqual([[0, 0], [0, 1], [1]]);
    expect(reduced(model).members).toEqual([[0], [1]]);
  });
});
