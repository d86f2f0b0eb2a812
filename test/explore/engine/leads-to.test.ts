import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Lasso, leadsTo, type Question } from '../../../src/explore/engine/leads-to.js';
import type { StateSpace } from '../../../src/explore/engine/space.js';

/** A graph as edges `[from, action, to]`; 0 is the initial state. An action has one edge from a state, as in models. */
interface Graph {
  states: number;
  edges: (readonly [from: number, action: number, to: number])[];
  from: boolean[];
  to: boolean[];
  fair: number[][];
}

const graph: fc.Arbitrary<Graph> = fc
  .integer({ min: 1, max: 9 })
  .chain((states) =>
    fc.record({
      states: fc.constant(states),
      edges: fc.uniqueArray(fc.tuple(fc.nat(states - 1), fc.nat(4), fc.nat(states - 1)), {
        maxLength: 3 * states,
        selector: ([from, action]) => `${from} ${action}`,
      }),
      from: fc.array(fc.boolean(), { minLength: states, maxLength: states }),
      to: fc.array(
        fc.nat(3).map((n) => n === 0),
        { minLength: states, maxLength: states },
      ),
      fair: fc.array(fc.uniqueArray(fc.nat(4), { maxLength: 3 }), { maxLength: 3 }),
    }),
  )
  .map(numbered);

/** The part that can be reached, in the order in which breadth-first search reaches it. */
function numbered({ edges, from, to, fair }: Graph): Graph {
  const order = [0];
  for (const at of order) for (const [a, , b] of edges) if (a === at && !order.includes(b)) order.push(b);
  const number = (state: number): number => order.indexOf(state);
  return {
    states: order.length,
    edges: edges.filter(([a]) => order.includes(a)).map(([a, by, b]) => [number(a), by, number(b)] as const),
    from: order.map((state) => from[state]!),
    to: order.map((state) => to[state]!),
    fair,
  };
}

function space(given: Graph): StateSpace {
  return {
    count: given.states,
    successors: (state, visit) => {
      for (const [from, action, to] of given.edges) if (from === state) visit(action, to);
    },
    predicate: () => () => false,
    pathTo(state) {
      const paths = new Map<number, number[]>([[0, []]]);
      for (const [at, path] of paths)
        for (const [from, action, to] of given.edges)
          if (from === at && !paths.has(to)) paths.set(to, [...path, action]);
      return paths.get(state)!;
    },
  };
}

/** Looks to the end, without a bound of memory. */
function look(of: StateSpace, question: Omit<Question, 'room'>, room = 2 ** 30): Lasso | null | 'memory' {
  const looking = leadsTo(of, { ...question, room });
  for (;;) {
    const step = looking.next();
    if (step.done) return step.value;
  }
}

/** States in which a run may stay for ever, by definition, on the closure of the relation outside `to`. */
function stays({ states, edges, to, fair }: Graph): boolean[] {
  const all = Array.from({ length: states }, (_, state) => state);
  const inside = edges.filter(([a, , b]) => !to[a] && !to[b]);
  const reach = all.map((a) => all.map((b) => a === b));
  // A round for each length of a way.
  for (const _ of all)
    for (const [a, , b] of inside) for (const c of all) if (reach[b]![c]) reach[a]![c] = true;
  return all.map((goal) => {
    const part = all.filter((each) => reach[goal]![each] && reach[each]![goal]);
    const own = inside.filter(([a, , b]) => part.includes(a) && part.includes(b));
    const isFair = (actions: readonly number[]): boolean =>
      own.some(([, action]) => actions.includes(action)) ||
      part.some((each) => !edges.some(([a, action]) => a === each && actions.includes(action)));
    return !to[goal] && fair.every(isFair);
  });
}

/** The least number of steps to where a run may stay after `from`, without `to` since; null: there is no way. */
function shortest(given: Graph): number | null {
  const { edges, from, to } = given;
  const end = stays(given);
  const asked = (state: number, before: boolean): boolean => (before || from[state]!) && !to[state];
  const steps = new Map([[`0 ${asked(0, false)}`, 0]]);
  for (const [key, length] of steps) {
    const state = Number.parseInt(key, 10);
    const before = key.endsWith('true');
    if (before && end[state]) return length;
    for (const [a, , b] of edges) {
      const next = `${b} ${asked(b, before)}`;
      if (a === state && !steps.has(next)) steps.set(next, length + 1);
    }
  }
  return null;
}

test('what is found is a fair run that never answers, with the shortest way to its cycle', () => {
  const found = { none: 0, cycle: 0, stay: 0 };
  fc.assert(
    fc.property(graph, (given) => {
      const { from, to, fair } = given;
      const question = { from: (state: number) => from[state]!, to: (state: number) => to[state]!, fair };
      const lasso = look(space(given), question);
      if (lasso === 'memory') throw new Error('there is room enough');
      expect(lasso?.loop ?? null).toBe(shortest(given));
      if (lasso !== null) check(given, lasso);
      found[lasso === null ? 'none' : lasso.loop === lasso.path.length ? 'stay' : 'cycle']++;
    }),
    { numRuns: 5000 },
  );
  expect(Math.min(found.none, found.cycle, found.stay)).toBeGreaterThan(200);
});

function check({ edges, from, to, fair }: Graph, { path, loop }: Lasso): void {
  const states = [0];
  for (const action of path) {
    const edge = edges.find(([a, by]) => a === states.at(-1) && by === action);
    states.push(edge![2]);
  }
  expect(states.at(-1)).toBe(states[loop]);
  const answered = states.findLastIndex((state) => to[state]);
  expect(answered).toBeLessThan(loop);
  expect(states.slice(answered + 1).some((state) => from[state])).toBe(true);
  const cycle = states.slice(loop);
  for (const actions of fair) {
    const taken = path.slice(loop).some((action) => actions.includes(action));
    const enabled = (state: number) => edges.some(([a, by]) => a === state && actions.includes(by));
    expect(taken || !cycle.every(enabled)).toBe(true);
  }
}

describe('a long chain', () => {
  const states = 200_000;
  const chain: StateSpace = {
    count: states,
    successors: (state, visit) => visit(0, (state + 1) % states),
    predicate: () => () => false,
    pathTo: (state) => new Array<number>(state).fill(0),
  };
  const question = { from: (state: number) => state === 0, to: () => false, fair: [[0]] };

  test('does not need a deep stack', () => {
    const lasso = look(chain, question) as Lasso;
    expect(lasso.loop).toBe(0);
    expect(lasso.path.length).toBe(states);
  });

  test('ends where memory does, and lets others have their turn', () => {
    expect(look(chain, question, 4 * states)).toBe('memory');
    expect(look(chain, question, 20 * states)).toBe('memory');
    const checked = [...leadsTo(chain, { ...question, room: 2 ** 30 })];
    expect(checked.length).toBeGreaterThan(10);
    expect(checked.at(-1)).toBe(states);
  });
});
