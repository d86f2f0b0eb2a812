import type { Mealy } from '../automaton/index.js';

/** The output of a transition that was not asked for, because learning ended before. */
export const NOT_ASKED = 'not asked';

/** The same word from the same beginning, with different answers. */
export interface Nondeterminism {
  /** Inputs; the answers to the last one differ. */
  readonly word: readonly string[];
  /** Each list of answers that was given, one answer an input; with a status, it stands in brackets. */
  readonly answers: readonly (readonly string[])[];
}

/**
 * Why learning ended before it was complete: the budget was used up, it was interrupted, the device answers
 * the same word differently, or it does not come back to where words begin.
 */
export type LearnEnd = 'budget' | 'interrupted' | 'nondeterminism' | 'lost';

/** What was learned of a device. */
export interface Learned {
  /** The device, as the user named it. */
  readonly target: string;
  /**
   * The machine. Its states are named by what GET said there, `STOP#2` and so on where several share it; without
   * GET by a shortest word that leads there. A transition that was not asked for answers `NOT_ASKED` and stays.
   */
  readonly machine: Mealy;
  /** The inputs of the machine, in its order; `GET` is the last one where the status was asked for. */
  readonly inputs: readonly string[];
  /** Calls that were put to the device, those of fresh starts among them. */
  readonly requests: number;
  /** Fresh starts of the device. */
  readonly resets: number;
  /** Words that were put to the device. */
  readonly words: number;
  /** For which devices the machine is right, in words. */
  readonly guarantee: string;
  /** Whether learning came to its end. */
  readonly complete: boolean;
  /** Why it did not, `recorded` when nothing was asked and traces show no more; null when it did. */
  readonly reason: LearnEnd | 'recorded' | null;
  /** What differed, with the reason `nondeterminism`. */
  readonly nondeterminism: Nondeterminism | null;
  /** What else has to be known: how words began, inputs that were left out and why, calls that hung. */
  readonly notes: readonly string[];
  /**
   * Whether a word (names of inputs of words) was put to the device, and answered as the machine answers it. Where
   * it was not, the machine's answer is a conclusion, and of a machine that is not complete perhaps a wrong one.
   */
  wasPut?(word: readonly string[]): boolean;
}
