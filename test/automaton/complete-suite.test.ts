import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  after,
  COMPLETE_METHODS,
  completeSuite,
  Examiner,
  equivalent,
  type Mealy,
  mutants,
  type Word,
} from '../../src/automaton/index.js';
import {
  allWords,
  arbitraryMealy,
  arbitraryStatusMachine,
  mealy,
  type Size,
  STATUS,
  withStatus,
} from './arbitrary-mealy.js';

/** Every machine of a size, with every labelling if it has a status message; always the same object, whose tables change. */
function* everyMachine({ states, inputs, outputs }: Size, status: boolean): Generator<Mealy> {
  const empty = mealy(
    { states, inputs, outputs },
    Array(states * inputs).fill(0),
    Array(states * inputs).fill(0),
  );
  const machine = status ? withStatus(empty, Array(states).fill(0)) : empty;
  const places = [...machine.next.keys()];
  const asks = (place: number) => machine.inputs[place % machine.inputs.length] === STATUS;
  const wheels = [
    ...places.filter((place) => !asks(place)).map((place) => ({ table: machine.next, place, count: states })),
    ...places.map((place) => ({ table: machine.output, place, count: outputs })),
  ];
  for (;;) {
    yield machine;
    const turned = wheels.findIndex(({ table, place, count }) => {
      table[place] = (table[place]! + 1) % count;
      return table[place] !== 0;
    });
    if (turned < 0) return;
  }
}

/** Suites of all methods, as examiners; with the words of W first. */
function examinersFor(machine: Mealy, extraStates: number, status?: string) {
  return COMPLETE_METHODS.map((method) => {
    const suite = completeSuite(machine, { method, extraStates, ...(status ? { status } : {}) });
    return { method, suite, examiner: new Examiner(suite.model, suite.words) };
  });
}

/** Every machine with at most so many states that passes a suite is the model, as far as it can be seen. */
function findsAll(machine: Mealy, most: number, status?: string): void {
  const { model } = completeSuite(machine, { method: 'w', extraStates: 0, ...(status ? { status } : {}) });
  const extraStates = most - model.machine.states.length;
  const examiners = examinersFor(machine, extraStates, status);
  const size = { states: most, inputs: model.inputs.length, outputs: machine.outputs.length };
  for (const other of everyMachine(size, status !== undefined)) {
    const same = equivalent(model.machine, other);
    for (const { examiner, method } of examiners)
      if (examiner.passes(other) !== same)
        expect.fail(`${method} with k = ${extraStates}: ${JSON.stringify([machine, other])}`);
  }
}

describe('a complete suite', () => {
  test('finds every machine that differs, of all those with at most n + k states', () => {
    // Three states that answer alike in part: the model of a run has one, two or three of them.
    fc.assert(
      fc.property(arbitraryMealy({ states: 3, inputs: 2, outputs: 2 }), (machine) => findsAll(machine, 3)),
      { numRuns: 8 },
    );
    fc.assert(
      fc.property(arbitraryMealy({ states: 2, inputs: 2, outputs: 3 }), (machine) => findsAll(machine, 2)),
      { numRuns: 20 },
    );
  });

  test('the same with a status message, which need not tell all states apart', () => {
    fc.assert(
      fc.property(arbitraryStatusMachine({ states: 2, inputs: 2, outputs: 2 }), (machine) =>
        findsAll(machine, 2, STATUS),
      ),
      { numRuns: 20 },
    );
    fc.assert(
      fc.property(arbitraryStatusMachine({ states: 3, inputs: 1, outputs: 2 }), (machine) =>
        findsAll(machine, 3, STATUS),
      ),
      { numRuns: 20 },
    );
  });

  test('finds every fault behind k hidden states', () => {
    const machines = fc.oneof(
      arbitraryMealy({ states: 5, inputs: 3, outputs: 2 }).map((machine) => ({ machine, status: undefined })),
      arbitraryStatusMachine({ states: 5, inputs: 3, outputs: 2 }).map((machine) => ({
        machine,
        status: STATUS,
      })),
    );
    fc.assert(
      fc.property(machines, fc.nat({ max: 1 }), ({ machine, status }, extraStates) => {
        for (const { examiner, suite, method } of examinersFor(machine, extraStates, status))
          for (let hidden = 0; hidden <= extraStates; hidden++)
            for (const { machine: mutant, fault } of mutants(suite.model, hidden))
              if (examiner.passes(mutant)) expect.fail(`${method}: ${JSON.stringify(fault)} is not found`);
      }),
      { numRuns: 60 },
    );
  });

  test('finds machines with many states, each reached by a word of A and k inputs more', () => {
    const SIZE = { states: 4, inputs: 2, outputs: 2 };
    fc.assert(
      fc.property(
        arbitraryMealy(SIZE),
        fc.nat({ max: 1 }),
        fc.infiniteStream(fc.nat({ max: 2 ** 30 })),
        (machine, k, stream) => {
          const draw = (below: number) => stream.next().value! % below;
          const examiners = examinersFor(machine, k);
          for (let time = 0; time < 12; time++) {
            const other = nearA(examiners[0]!.suite.model.machine, examiners[0]!.suite.stateCover, k, draw);
            const same = equivalent(examiners[0]!.suite.model.machine, other);
            for (const { examiner } of examiners) expect(examiner.passes(other)).toBe(same);
          }
        },
      ),
    );
  });

  test('Wp and HSI never need more than W, and the words are those of its tree', () => {
    const beginsAny = (words: readonly Word[]) =>
      new Set(words.flatMap((word) => word.map((_, at) => word.slice(0, at + 1).join())));
    fc.assert(
      fc.property(arbitraryMealy({ states: 5, inputs: 3, outputs: 2 }), fc.nat({ max: 1 }), (machine, k) => {
        const [w, ...others] = examinersFor(machine, k).map(({ suite }) => suite);
        const all = beginsAny(w!.words);
        for (const suite of others) {
          expect(suite.tests).toBeLessThanOrEqual(w!.tests);
          expect(suite.requests).toBeLessThanOrEqual(w!.requests);
          for (const word of suite.words) expect(all).toContain(word.join());
        }
        for (const { words, tests, requests } of [w!, ...others]) {
          expect([tests, requests]).toEqual([words.length, words.flat().length]);
          for (const word of words)
            expect(words.filter((other) => other.join() === word.join())).toHaveLength(1);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('states that cannot be told apart are named, and the model has one for them', () => {
    // s1 and s2 answer alike and lead to the same places.
    const machine = mealy({ states: 3, inputs: 2, outputs: 2 }, [1, 2, 0, 1, 0, 1], [0, 0, 1, 0, 1, 0]);
    const suite = completeSuite(machine, { method: 'w', extraStates: 0 });
    expect(suite.indistinguishable).toEqual([['s1', 's2']]);
    expect(suite.model.machine.states).toEqual(['s0', 's1 | s2']);
  });

  test('a suite that would be endless is refused', () => {
    const machine = mealy({ states: 1, inputs: 2, outputs: 1 }, [0, 0], [0, 0]);
    const make = (extraStates: number) => completeSuite(machine, { method: 'w', extraStates });
    expect(() => make(30)).toThrow('30 extra states give about 2e+9 words, and 1000000 are the most');
    expect(() => make(-1)).toThrow('-1 extra states: a whole number');
    expect(make(3).tests).toBe(16);
  });
});

/**
 * A machine in which each state is reached by a word of A and at most k inputs: one state for each such word.
 * Mostly it does as the model; behind the last inputs it goes to any state that may be meant for the right one.
 */
function nearA(model: Mealy, cover: readonly Word[], k: number, draw: (below: number) => number): Mealy {
  const inputs = [...model.inputs.keys()];
  const words = [
    ...new Map(
      cover.flatMap((a) => allWords(inputs, k).map((x) => [...a, ...x])).map((w) => [w.join(), w]),
    ).values(),
  ];
  words.sort((a, b) => a.length - b.length);
  const number = new Map(words.map((word, at) => [word.join(), at]));
  const means = words.map((word) => after(model, 0, word));
  const next: number[] = [];
  const output: number[] = [];
  for (const [at, word] of words.entries()) {
    for (const input of inputs) {
      const right = means[at]! * inputs.length + input;
      const alike = words.flatMap((_, to) => (means[to] === model.next[right] ? [to] : []));
      const wrong = draw(25) === 0;
      const drawn = wrong ? draw(words.length) : alike[draw(alike.length)]!;
      next.push(number.get([...word, input].join()) ?? drawn);
      output.push(draw(25) === 0 ? draw(model.outputs.length) : model.output[right]!);
    }
  }
  return mealy({ states: words.length, inputs: inputs.length, outputs: model.outputs.length }, next, output);
}
