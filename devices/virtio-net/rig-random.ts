import { mix, nextRandom } from '../e810-vf/random.js';

/** Draws of a rig: the same for the same seed. */
export class RigRandom {
  #state: number;

  constructor(...seed: readonly number[]) {
    this.#state = mix(...seed) || 1;
  }

  /** From 0 on, below `below`. */
  below(below: number): number {
    this.#state = nextRandom(this.#state);
    return (this.#state >>> 3) % below;
  }

  /** From `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** True in so many of a hundred cases. */
  percent(chance: number): boolean {
    return this.below(100) < chance;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }
}
