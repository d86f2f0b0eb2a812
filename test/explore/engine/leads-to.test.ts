import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Lasso, leadsTo, type Question } from '../../../src/explore/engine/leads-to.js';
import type { StateSpace } from '../../../src/explore/engine/space.js';

/** A graph as edges `[from, action, to]`; 0 is the initial state. */
interface Graph {
  states: number;
  edges: (readonly [from: number, action: number, to: number])[];
  from: boolean[];
  to: boolean[];
  fair: number[][];
}

const graph: fc.Arbitrary<Graph> = fc.integer({ min: 1, max: 8 }).chain((states) =>
  fc.record({
    states: fc.constant(states),
    edges: fc.array(fc.tuple(fc.nat(states - 1), fc.nat(4), fc.nat(states - 1)), { maxLength: 3 * states }),
    from: fc.array(fc.boolean(), { minLength: states, maxLength: states }),
    to: fc.array(
      fc.nat(3).map((n) => n === 0),
      { minLength: states, maxLength: states },
    ),
    fair: fc.array(fc.uniqueArray(fc.nat(4), { maxLength: 3 }), { maxLength: 3 }),
  }),
);

/** Only what can be reached is in a state space. */
function reachable({ states, edges }: Graph): boolean[] {
  const seen = Array.from({ length: states }, (_, state) => state === 0);
  for (let round = 0; round < states; round++)
    for (const [from, , to] of edges) if (seen[from]) seen[to] = true;
  return seen;
}

function space(given: Graph): StateSpace {
  const seen = reachable(given);
  return {
    count: given.states,
    successors: (state, visit) => {
      for (const [from, action, to] of given.edges) if (from === state && seen[from]) visit(action, to);
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

/** By definition, on the closure of the relation: is there a fair set of states to stay in? */
function violated(given: Graph): boolean {
  const { states, edges, from, to, fair } = given;
  const seen = reachable(given);
  const inside = edges.filter(([a, , b]) => seen[a] && !to[a] && !to[b]);
  const reach = Array.from({ length: states }, (_, a) => Array.from({ length: states }, (_, b) => a === b));
  for (let k = 0; k < states; k++)
    for (const [a, , b] of inside) for (let c = 0; c < states; c++) if (reach[b]![c]) reach[a]![c] = true;
  const starts = [...from.keys()].filter((state) => seen[state] && from[state] && !to[state]);
  return starts.some((start) =>
    [...from.keys()].some((goal) => {
      if (!reach[start]![goal] || to[goal]) return false;
      const part = [...from.keys()].filter((each) => reach[goal]![each] && reach[each]![goal] && !to[each]);
      const own = inside.filter(([a, , b]) => part.includes(a) && part.includes(b));
      return fair.every(
        (actions) =>
          own.some(([, action]) => actions.includes(action)) ||
          part.some((each) => !edges.some(([a, action]) => a === each && actions.includes(action))),
      );
    }),
  );
}

/** The states along a run, if it is one: each action may have several edges, so all that fit are followed. */
function follow(given: Graph, actions: readonly number[], start: number): Set<number> {
  let at = new Set([start]);
  for (const action of actions)
    at = new Set(given.edges.filter(([a, by]) => at.has(a) && by === action).map(([, , b]) => b));
  return at;
}

test('fair cycles, and states to stay in, are found, and what is found is one', () => {
  fc.assert(
    fc.property(graph, (given) => {
      const seen = reachable(given);
      // The states of a space are all reached.
      const question = {
        from: (state: number) => seen[state]! && given.from[state]!,
        to: (state: number) => given.to[state]!,
        fair: given.fair,
      };
      const lasso = look(space(given), question);
      if (lasso === 'memory') throw new Error('there is room enough');
      expect(lasso !== null).toBe(violated(given));
      if (lasso !== null) check(given, lasso);
    }),
    { numRuns: 3000 },
  );
});

function check(given: Graph, { path, loop }: Lasso): void {
  const heads = follow(given, path.slice(0, loop), 0);
  expect([...heads].some((head) => follow(given, path.slice(loop), head).has(head))).toBe(true);
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
