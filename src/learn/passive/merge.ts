import type { MigState } from '../../uapi/vfio.js';
import { type Arc, joinOutputs, type PrefixTree, type TreeState } from './prefix-tree.js';

/** Most states that a machine gets: a device that answers at random would get one for each call. */
const MOST_STATES = 200;

/** What was merged. */
export interface Merged {
  /** For each state of the tree the state of the machine; undefined for one that has no place in it. */
  readonly stateOf: readonly (number | undefined)[];
  /** The states of the machine; the first is that of the tree's state 0. */
  readonly states: readonly TreeState[];
  /** Whether each state of the tree has a place; if not, merging ended with as many states as there may be. */
  readonly complete: boolean;
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
  /** Roots that were decided. */
  #roots = 0;

  constructor(readonly tree: PrefixTree) {
    this.#parent = tree.states.map((_, index) => index);
    this.#classes = tree.states.map(({ told, arcs }) => ({ told, arcs: new Map(arcs) }));
  }

  merge(): Merged {
    const red: number[] = [0];
    let complete = true;
    for (let blue = this.#blue(red); blue !== null; blue = this.#blue(red)) {
      const best = this.#best(red, blue);
      if (best !== null) best.keep();
      else if (red.length < MOST_STATES) red.push(blue);
      else {
        complete = false;
        break;
      }
    }
    return this.#result(red, complete);
  }

  /** A state to be decided: one behind a red state, or a root of words that began elsewhere; null when all are. */
  #blue(red: readonly number[]): number | null {
    const known = new Set(red.map((each) => this.#find(each)));
    for (const of of known)
      for (const { to } of this.#classes[of]!.arcs.values()) {
        const blue = this.#find(to);
        if (!known.has(blue)) return blue;
      }
    for (; this.#roots < this.tree.roots.length; this.#roots++) {
      const root = this.#find(this.tree.roots[this.#roots]!);
      if (!known.has(root)) return root;
    }
    return null;
  }

  #result(red: readonly number[], complete: boolean): Merged {
    const numbers = new Map<number, number>();
    for (const each of red) {
      const of = this.#find(each);
      if (!numbers.has(of)) numbers.set(of, numbers.size);
    }
    const stateOf = this.#parent.map((_, state) => numbers.get(this.#find(state)));
    const arc = (input: string, { output, to }: Arc): [string, Arc][] =>
      stateOf[to] === undefined ? [] : [[input, { output, to: stateOf[to] }]];
    const states = [...numbers.keys()].map((of) => {
      const { told, arcs } = this.#classes[of]!;
      return { told, arcs: new Map([...arcs].flatMap(([input, each]) => arc(input, each))) };
    });
    return { stateOf, states, complete };
  }

  #find(state: number): number {
    let of = state;
    while (this.#parent[of] !== of) of = this.#parent[of]!;
    this.#parent[state] = of;
    return of;
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
