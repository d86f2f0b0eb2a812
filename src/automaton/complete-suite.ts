import { characterizingSet, type Observed, observed, reduced } from './distinguish.js';
import { harmonizedIdentifiers, identifiers } from './identify.js';
import type { Mealy, Word } from './mealy.js';
import { ROOT, WordTree } from './word-tree.js';

/** How states are identified: by all of W, by W and then state identifiers, by harmonized identifiers. */
export const COMPLETE_METHODS = ['w', 'wp', 'hsi'] as const;
export type CompleteMethod = (typeof COMPLETE_METHODS)[number];

/** Most words that a suite may have. */
const MAX_WORDS = 1_000_000;

export interface CompleteSuiteOptions {
  readonly method: CompleteMethod;
  /** k: how many states more than the model an implementation may have. */
  readonly extraStates: number;
  /** The input that is a status message. */
  readonly status?: string;
}

export interface CompleteSuite {
  /** The words, none the beginning of another; each is run from the initial state. */
  readonly words: readonly Word[];
  /** How many words, and inputs in all of them. The status message, after each input, is not counted. */
  readonly tests: number;
  readonly requests: number;
  /** A: a word to each state, the empty one first. */
  readonly stateCover: readonly Word[];
  /** W. */
  readonly characterizing: readonly Word[];
  /** The model, with one state for all those that cannot be told apart. */
  readonly model: Observed;
  /** The names of states that cannot be told apart by what is seen, class by class. */
  readonly indistinguishable: readonly (readonly string[])[];
}

/**
 * An m-complete suite, m = n + k for a model of n states that can be reached and told apart: each
 * implementation with at most m states that passes all words answers every word as the model does. It is
 * k-A-complete besides: the number of states does not matter where each is reached by a word of the state
 * cover A and then at most k inputs. After a word of A and up to k + 1 inputs the state is identified.
 *
 * The machine may have states that are equal, or that cannot be reached: the model is reduced first.
 * @throws RangeError for a status message that is none, or when the suite would have more than a million words
 */
export function completeSuite(machine: Mealy, options: CompleteSuiteOptions): CompleteSuite {
  const { method, extraStates } = options;
  if (!Number.isInteger(extraStates) || extraStates < 0)
    throw new RangeError(`${extraStates} extra states: a whole number from 0 on is needed`);
  const { watched, members } = reduced(observed(machine, options.status));
  const characterizing = characterizingSet(watched);
  const cover = stateCover(watched);
  const most = cover.length * watched.inputs.length ** (extraStates + 1) * characterizing.length;
  if (most > MAX_WORDS)
    throw new RangeError(
      `${machine.name}: ${extraStates} extra states give about ${most.toExponential(0)} words, ` +
        `and ${MAX_WORDS} are the most; take fewer extra states`,
    );
  const tree = new WordTree();
  const append = (depth: number, ends: (state: number) => readonly Word[]) =>
    appendAfter(watched, cover, depth, tree, ends);
  if (method === 'w') append(extraStates + 1, () => characterizing);
  if (method === 'wp') {
    const ends = identifiers(watched, characterizing);
    append(extraStates, () => characterizing);
    append(extraStates + 1, (state) => ends[state]!);
  }
  if (method === 'hsi') {
    const ends = harmonizedIdentifiers(watched, characterizing);
    append(extraStates + 1, (state) => ends[state]!);
  }
  const words = tree.words();
  return {
    words,
    tests: words.length,
    requests: words.reduce((sum, word) => sum + word.length, 0),
    stateCover: cover,
    characterizing,
    model: watched,
    indistinguishable: members
      .filter((states) => states.length > 1)
      .map((states) => states.map((state) => machine.states[state]!)),
  };
}

/** A state cover: a shortest word to each state, null to a state that cannot be reached. */
export function stateCover(watched: Observed): Word[] {
  const { machine, inputs } = watched;
  const words: Word[] = [];
  words[0] = [];
  const queue = [0];
  for (const state of queue) {
    for (const input of inputs) {
      const to = machine.next[state * machine.inputs.length + input]!;
      if (words[to] !== undefined) continue;
      words[to] = [...words[state]!, input];
      queue.push(to);
    }
  }
  return words.filter((word) => word !== undefined);
}

/** A transition cover: the state cover, and each of its words with every input behind it. */
export function transitionCover(watched: Observed): Word[] {
  const tree = new WordTree();
  for (const word of stateCover(watched))
    for (const input of watched.inputs) tree.child(tree.add(word), input);
  return tree.words();
}

/** Adds, after each word of the cover and each up to `depth` inputs, the words that belong to the state there. */
function appendAfter(
  watched: Observed,
  cover: readonly Word[],
  depth: number,
  tree: WordTree,
  ends: (state: number) => readonly Word[],
): void {
  const { machine, inputs } = watched;
  const visit = (node: number, state: number, left: number): void => {
    for (const word of ends(state)) tree.add(word, node);
    if (left === 0) return;
    for (const input of inputs)
      visit(tree.child(node, input), machine.next[state * machine.inputs.length + input]!, left - 1);
  };
  for (const word of cover) {
    let state = 0;
    for (const input of word) state = machine.next[state * machine.inputs.length + input]!;
    visit(tree.add(word, ROOT), state, depth);
  }
}
