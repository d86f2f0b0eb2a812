import type { MigState } from '../../uapi/vfio.js';
import { type Arc, joinOutputs, type PrefixTree, type TreeState } from './prefix-tree.js';

/** What was merged: for each state of the tree the state of the machine, and those states; the first is state 0's. */
export interface Merged {
  readonly stateOf: readonly number[];
  readonly states: readonly TreeState[];
}

/**
 * State merging, red and blue, with evidence (RPNI with the scores of EDSM): a state of the tree becomes one of
 * the machine's when their futures agree wherever both were seen, and the device has said that it is in the same
 * state, or else when some answers do agree. It becomes a state of its own when it fits none.
 */
export function mergeStates(tree: PrefixTree): Merged {
  return new Merger(tree).merge();
}

/** States that were made one, so far or on trial: a class has what its members have. */
class Merger {
  readonly #parent: number[];
  readonly #classes: TreeState[];

  constructor(readonly tree: PrefixTree) {
    this.#parent = tree.states.map((_, index) => index);
    this.#classes = tree.states.map(({ told, arcs }) => ({ told, arcs: new Map(arcs) }));
  }

  merge(): Merged {
    const red: number[] = [0];
    // Breadth first: states after short words come before those behind them.
    const queue = [...this.#children(0), ...this.tree.roots.slice(1)];
    for (let at = 0; at < queue.length; at++) {
      const blue = this.#find(queue[at]!);
      if (red.some((each) => this.#find(each) === blue)) continue;
      const best = this.#best(red, blue);
      if (best !== null) best.keep();
      else red.push(blue);
      const here = this.#find(blue);
      for (const child of this.#children(here)) queue.push(child);
    }
    return this.#result(red);
  }

  #result(red: readonly number[]): Merged {
    const numbers = new Map<number, number>();
    for (const each of red) {
      const of = this.#find(each);
      if (!numbers.has(of)) numbers.set(of, numbers.size);
    }
    const stateOf = this.#parent.map((_, state) => numbers.get(this.#find(state))!);
    const states = [...numbers.keys()].map((of) => {
      const { told, arcs } = this.#classes[of]!;
      return {
        told,
        arcs: new Map([...arcs].map(([input, { output, to }]) => [input, { output, to: stateOf[to]! }])),
      };
    });
    return { stateOf, states };
  }

  #find(state: number): number {
    let of = state;
    while (this.#parent[of] !== of) of = this.#parent[of]!;
    this.#parent[state] = of;
    return of;
  }

  #children(state: number): number[] {
    return [...this.#classes[state]!.arcs.values()].map(({ to }) => to);
  }

  #best(red: readonly number[], blue: number): Trial | null {
    let best: Trial | null = null;
    const { told } = this.#classes[blue]!;
    for (const each of red) {
      const trial = new Trial(this.#parent, this.#classes);
      if (!trial.fold(this.#find(each), blue)) continue;
      const same = told !== null && told === this.#classes[this.#find(each)]!.told;
      if ((same || trial.score > 0) && (best === null || trial.score > best.score)) best = trial;
    }
    return best;
  }
}

/** A merge on trial: nothing is changed until it is kept. */
class Trial {
  /** Answers that both sides have, and that agree. */
  score = 0;
  readonly #parent = new Map<number, number>();
  readonly #classes = new Map<number, { told: MigState | null; arcs: Map<string, Arc> }>();

  constructor(
    readonly parent: number[],
    readonly classes: TreeState[],
  ) {}

  /** Makes two states one, and with them all that has to be one then. Returns whether nothing contradicts it. */
  fold(one: number, other: number): boolean {
    const pairs: [number, number][] = [[one, other]];
    for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
      const [a, b] = [this.#find(pair[0]), this.#find(pair[1])];
      if (a === b) continue;
      const into = this.#own(a);
      const from = this.#classes.get(b) ?? this.classes[b]!;
      if (into.told !== null && from.told !== null && into.told !== from.told) return false;
      into.told ??= from.told;
      this.#parent.set(b, a);
      for (const [input, arc] of from.arcs) {
        const known = into.arcs.get(input);
        const output = known === undefined ? arc.output : joinOutputs(known.output, arc.output);
        if (output === null) return false;
        into.arcs.set(input, { output, to: known?.to ?? arc.to });
        if (known === undefined) continue;
        this.score++;
        pairs.push([known.to, arc.to]);
      }
    }
    return true;
  }

  keep(): void {
    for (const [state, to] of this.#parent) this.parent[state] = to;
    for (const [state, own] of this.#classes) this.classes[state] = own;
  }

  #find(state: number): number {
    let of = state;
    for (;;) {
      const to = this.#parent.get(of) ?? this.parent[of]!;
      if (to === of) return of;
      of = to;
    }
  }

  /** The class of a state, to be changed on trial. */
  #own(state: number): { told: MigState | null; arcs: Map<string, Arc> } {
    const known = this.#classes.get(state);
    if (known !== undefined) return known;
    const { told, arcs } = this.classes[state]!;
    const own = { told, arcs: new Map(arcs) };
    this.#classes.set(state, own);
    return own;
  }
}
