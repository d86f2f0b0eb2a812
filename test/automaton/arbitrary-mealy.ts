import fc from 'fast-check';
import type { Mealy } from '../../src/automaton/index.js';

export interface Size {
  states: number;
  inputs: number;
  outputs: number;
}

/** Name of the status message of `arbitraryStatusMachine`. */
export const STATUS = '?';

/** A machine with these tables; states, inputs and outputs are called by their numbers. */
export function mealy(size: Size, next: readonly number[], output: readonly number[]): Mealy {
  const names = (count: number, letter: string) => Array.from({ length: count }, (_, at) => `${letter}${at}`);
  return {
    name: 'arbitrary',
    states: names(size.states, 's'),
    inputs: names(size.inputs, 'i'),
    outputs: names(size.outputs, 'o'),
    next: Int16Array.from(next),
    output: Int16Array.from(output),
  };
}

const table = (length: number, values: number) =>
  fc.array(fc.nat({ max: values - 1 }), { minLength: length, maxLength: length });

/** Any machine of at most this size: it may have equal states, and states that cannot be reached. */
export function arbitraryMealy(most: Size): fc.Arbitrary<Mealy> {
  return fc.integer({ min: 1, max: most.states }).chain((states) => {
    const places = states * most.inputs;
    return fc
      .tuple(table(places, states), table(places, most.outputs))
      .map(([next, output]) => mealy({ ...most, states }, next, output));
  });
}

/** The same with a status message, whose answers may be the same in several states. */
export function arbitraryStatusMachine(most: Size): fc.Arbitrary<Mealy> {
  return arbitraryMealy(most).chain((machine) =>
    table(machine.states.length, most.outputs).map((labels) => withStatus(machine, labels)),
  );
}

/** A machine with a status message more, which answers with these labels. */
export function withStatus(machine: Mealy, labels: readonly number[]): Mealy {
  const width = machine.inputs.length;
  const rows = machine.states.map((_, state) => state);
  const wider = (column: Int16Array, last: (state: number) => number) =>
    Int16Array.from(
      rows.flatMap((state) => [...column.subarray(state * width, (state + 1) * width), last(state)]),
    );
  return {
    ...machine,
    inputs: [...machine.inputs, STATUS],
    next: wider(machine.next, (state) => state),
    output: wider(machine.output, (state) => labels[state]!),
  };
}

/** All words of up to so many inputs. */
export function allWords(inputs: readonly number[], most: number): number[][] {
  const words: number[][] = [[]];
  for (const word of words) if (word.length < most) words.push(...inputs.map((input) => [...word, input]));
  return words;
}
