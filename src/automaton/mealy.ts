/**
 * A deterministic machine with inputs and outputs as dense tables: what tours and complete suites are
 * computed on. State 0 is the initial one.
 */
export interface Mealy {
  readonly name: string;
  readonly states: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** `next[state * inputs.length + input]`: a state. The machine is complete: it takes every input. */
  readonly next: Int16Array;
  /** `output[state * inputs.length + input]`: index into `outputs`. */
  readonly output: Int16Array;
}

/** A word: indices of inputs, in their order. */
export type Word = readonly number[];

/** Where a word leads from a state. */
export function after(machine: Mealy, state: number, word: Word): number {
  let at = state;
  for (const input of word) at = machine.next[at * machine.inputs.length + input]!;
  return at;
}

/** The outputs that a word gives from a state. */
export function answers(machine: Mealy, state: number, word: Word): number[] {
  let at = state;
  return word.map((input) => {
    const index = at * machine.inputs.length + input;
    at = machine.next[index]!;
    return machine.output[index]!;
  });
}
