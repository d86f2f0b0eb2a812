import type { Lasso } from './leads-to.js';
import type { Program } from './program.js';
import type { Search } from './search.js';

/** A run of the model as it is: indices of its actions, and the words of the state in which it ends. */
export interface Run {
  readonly actions: readonly number[];
  readonly end: Int32Array;
}

/**
 * Turns ways through the states of a search into runs of the model as it is. Where members were exchanged, a
 * state of the search stands for all of its orders; a run follows it forward, by successors that become the next
 * one.
 */
export class Runs {
  /**
   * @param initial words of the initial state, members in the model's order
   * @param orbits per action a number that is equal for those that are one action up to members' names
   */
  constructor(
    readonly search: Search,
    readonly program: Program,
    readonly initial: readonly number[],
    readonly orbits: readonly number[],
  ) {}

  /** A shortest run to a state, or to one that differs from it in the order of members. */
  to(state: number): Run {
    const end = Int32Array.from(this.initial);
    const chain = this.search.chainTo(state).slice(1);
    return { actions: chain.map((next) => this.#step(end, next, null)), end };
  }

  /**
   * A lasso of the search as one of the model. A cycle that comes back with members exchanged is followed again,
   * until a state comes back as it was; what it takes and passes is of the same orbits, so it is as fair.
   */
  lasso({ path, loop }: Lasso): Lasso {
    const at = Int32Array.from(this.initial);
    let state = 0;
    const follow = (actions: readonly number[]): number[] =>
      actions.map((action) => {
        state = this.#successor(state, action);
        return this.#step(at, state, this.orbits[action]!);
      });
    const actions = follow(path.slice(0, loop));
    const cycle = path.slice(loop);
    const begun = new Map<string, number>();
    while (!begun.has(at.join())) {
      begun.set(at.join(), actions.length);
      actions.push(...follow(cycle));
    }
    return { path: actions, loop: begun.get(at.join())! };
  }

  #successor(state: number, action: number): number {
    let found = -1;
    this.search.successors(state, (by, to) => {
      if (by === action) found = to;
    });
    return found;
  }

  /** Moves on to a state that stands for `next`; returns the action, which is of an orbit when that is asked for. */
  #step(at: Int32Array, next: number, orbit: number | null): number {
    const { words, out, acts } = this.program;
    const count = this.program.expand(at, 0);
    const form = new Int32Array(words);
    for (let index = 0; index < count; index++) {
      const to = out.subarray(index * words, (index + 1) * words);
      form.set(to);
      this.program.canonical(form, 0);
      if (orbit !== null && this.orbits[acts[index]!] !== orbit) continue;
      if (!this.search.isAt(next, form, 0)) continue;
      at.set(to);
      return acts[index]!;
    }
    throw new Error('a state that was reached has no way to it');
  }
}
