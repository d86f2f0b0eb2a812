import type { StateSpace } from './space.js';

export interface Question {
  from(state: number): boolean;
  to(state: number): boolean;
  /** A list of actions (their indices) for each class to which runs are weakly fair. */
  readonly fair: readonly (readonly number[])[];
}

/**
 * A run that never comes to `to`. `loop` is the index into `path` at which its cycle begins; at the end of the
 * path: the run stays in its last state, because nothing more has to happen.
 */
export interface Lasso {
  readonly path: number[];
  readonly loop: number;
}

interface Edge {
  readonly action: number;
  readonly to: number;
}

/**
 * Looks for a run that comes to a state with `from`, and from there on is never in one with `to`, although it
 * is weakly fair. A run may stay where it is for ever when fairness asks for nothing there. So a run that is
 * looked for ends in a strongly connected part of the states without `to` in which each class is disabled
 * somewhere, or taken; a part that fulfils this in parts does so as a whole, so the maximal ones are enough.
 */
export function leadsTo(space: StateSpace, question: Question): Lasso | null {
  const region = regionOf(space, question);
  const parts = partsOf(space, region);
  const goal = nearestEnd(space, region, parts, question.fair);
  if (goal === null) return null;
  const before = [...space.pathTo(region.seedOf(goal)), ...region.actionsTo(goal)];
  return { path: [...before, ...fairCycle(space, parts, goal, question.fair)], loop: before.length };
}

const NONE = -1;

/** States that a run can be in after `from`, without `to` since. */
class Region {
  /** In the order of a breadth-first walk from all states with `from`. */
  readonly order: number[] = [];
  readonly #parent: Int32Array;
  readonly #action: Int32Array;

  constructor(readonly states: number) {
    this.#parent = new Int32Array(states).fill(-2);
    this.#action = new Int32Array(states);
  }

  has(state: number): boolean {
    return this.#parent[state]! > -2;
  }

  add(state: number, parent: number, action: number): void {
    if (this.has(state)) return;
    this.#parent[state] = parent;
    this.#action[state] = action;
    this.order.push(state);
  }

  /** The state with `from` at which the way to a state begins. */
  seedOf(state: number): number {
    let at = state;
    while (this.#parent[at] !== NONE) at = this.#parent[at]!;
    return at;
  }

  /** The actions from there to the state. */
  actionsTo(state: number): number[] {
    const actions: number[] = [];
    for (let at = state; this.#parent[at] !== NONE; at = this.#parent[at]!) actions.push(this.#action[at]!);
    return actions.reverse();
  }
}

function regionOf(space: StateSpace, { from, to }: Question): Region {
  const region = new Region(space.count);
  for (let state = 0; state < space.count; state++)
    if (from(state) && !to(state)) region.add(state, NONE, NONE);
  for (const state of region.order)
    space.successors(state, (action, next) => {
      if (!to(next)) region.add(next, state, action);
    });
  return region;
}

/** Tarjan's algorithm with a stack of its own: for each state of the region the number of its part. */
function partsOf(space: StateSpace, region: Region): Int32Array {
  const part = new Int32Array(space.count).fill(NONE);
  const index = new Int32Array(space.count);
  const low = new Int32Array(space.count);
  const open: number[] = [];
  const frames: { state: number; next: number[]; at: number }[] = [];
  let counter = 0;
  let parts = 0;
  const enter = (state: number): void => {
    index[state] = low[state] = ++counter;
    open.push(state);
    const next: number[] = [];
    space.successors(state, (_, to) => {
      if (region.has(to)) next.push(to);
    });
    frames.push({ state, next, at: 0 });
  };
  const close = (state: number): void => {
    for (let member = NONE; member !== state; ) {
      member = open.pop()!;
      part[member] = parts;
    }
    parts++;
  };
  for (const root of region.order) {
    if (index[root] !== 0) continue;
    enter(root);
    while (frames.length > 0) {
      const frame = frames.at(-1)!;
      const { state, next } = frame;
      if (frame.at < next.length) {
        const to = next[frame.at++]!;
        if (index[to] === 0) enter(to);
        else if (part[to] === NONE) low[state] = Math.min(low[state]!, index[to]!);
        continue;
      }
      frames.pop();
      const parent = frames.at(-1)?.state;
      if (parent !== undefined) low[parent] = Math.min(low[parent]!, low[state]!);
      if (low[state] === index[state]) close(state);
    }
  }
  return part;
}

/** The first state, in the order of the walk, in whose part a run may stay for ever; null: there is none. */
function nearestEnd(
  space: StateSpace,
  region: Region,
  parts: Int32Array,
  fair: readonly (readonly number[])[],
): number | null {
  const classOf = classesOf(fair);
  const all = 2 ** fair.length - 1;
  /** Per part, a bit for each class that is disabled somewhere or taken inside. */
  const content = new Int32Array(space.count);
  for (const state of region.order) {
    const part = parts[state]!;
    let enabled = 0;
    let taken = 0;
    space.successors(state, (action, to) => {
      const bits = classOf.get(action) ?? 0;
      enabled |= bits;
      if (parts[to] === part) taken |= bits;
    });
    content[part]! |= taken | (all & ~enabled);
  }
  return region.order.find((state) => content[parts[state]!] === all) ?? null;
}

/** The classes of each action, a bit for each. */
function classesOf(fair: readonly (readonly number[])[]): Map<number, number> {
  const bits = new Map<number, number>();
  for (const [index, actions] of fair.entries())
    for (const action of actions) bits.set(action, (bits.get(action) ?? 0) | (1 << index));
  return bits;
}

/** A cycle from a state through its part that takes each class, or passes a state where it is disabled; empty: stay there. */
function fairCycle(
  space: StateSpace,
  parts: Int32Array,
  start: number,
  fair: readonly (readonly number[])[],
): number[] {
  const classOf = classesOf(fair);
  const part = parts[start]!;
  const path: number[] = [];
  let at = start;
  let missing = 2 ** fair.length - 1;
  const edges = (state: number): { inside: Edge[]; enabled: number } => {
    const inside: Edge[] = [];
    let enabled = 0;
    space.successors(state, (action, to) => {
      enabled |= classOf.get(action) ?? 0;
      if (parts[to] === part) inside.push({ action, to });
    });
    return { inside, enabled };
  };
  const pass = (state: number): void => {
    missing &= edges(state).enabled;
  };
  const follow = (way: readonly Edge[]): void => {
    for (const { action, to } of way) {
      path.push(action);
      missing &= ~(classOf.get(action) ?? 0);
      pass(to);
      at = to;
    }
  };
  pass(at);
  while (missing !== 0) {
    const wanted = missing;
    follow(
      shortest(edges, at, ({ action, to }) => {
        const bits = classOf.get(action) ?? 0;
        return (bits & wanted) !== 0 || (wanted & ~edges(to).enabled) !== 0;
      }),
    );
  }
  if (at !== start) follow(shortest(edges, at, ({ to }) => to === start));
  return path;
}

/** The shortest way inside a part whose last edge is wanted. */
function shortest(
  edges: (state: number) => { inside: Edge[] },
  start: number,
  wanted: (edge: Edge) => boolean,
): Edge[] {
  const cameBy = new Map<number, { from: number; edge: Edge }>();
  const queue = [start];
  for (const state of queue) {
    for (const edge of edges(state).inside) {
      if (wanted(edge)) {
        const way = [edge];
        for (let at = state; at !== start; at = cameBy.get(at)!.from) way.push(cameBy.get(at)!.edge);
        return way.reverse();
      }
      if (edge.to === start || cameBy.has(edge.to)) continue;
      cameBy.set(edge.to, { from: state, edge });
      queue.push(edge.to);
    }
  }
  throw new Error('a strongly connected part has no way through it');
}
