/** Draws by a seed (xorshift32): the same in every run. */
export class Draw {
  #state: number;

  constructor(seed: number) {
    // A state of 0 could not be left, and neighbouring seeds shall not begin alike.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0 || 1;
    for (let turn = 0; turn < 8; turn++) this.below(2);
  }

  /** A whole number from 0 on, below a bound. */
  below(bound: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % bound;
  }

  /** Once in so many draws. */
  once(every: number): boolean {
    return this.below(every) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** So many numbers below a bound, in any order; the same one may come again. */
  several(count: number, bound: number): number[] {
    return Array.from({ length: count }, () => this.below(bound));
  }
}
