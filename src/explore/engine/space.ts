import type { Expression } from '../expression.js';

/**
 * The states that a search has reached, by their numbers: 0 is the initial one, others in the order in
 * which breadth-first search reached them. What liveness is decided on.
 */
export interface StateSpace {
  readonly count: number;
  /**
   * Tells each enabled action of a state (index into the model's actions), and the number of the state after it.
   * `visit` must not ask for successors itself.
   */
  successors(state: number, visit: (action: number, to: number) => void): void;
  /** Makes a test of an expression of the model; it takes the number of a state. */
  predicate(expression: Expression): (state: number) => boolean;
  /** A shortest path to a state, as indices of actions. */
  pathTo(state: number): number[];
}
