import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { coverLabels, postmanTour, type Tour, type TourEdge } from '../../src/automaton/index.js';

interface Graph {
  readonly nodes: number;
  readonly edges: readonly TourEdge[];
}

/** Small graphs with a ring, so that all nodes reach each other, and some edges more. */
const graphs = fc.integer({ min: 1, max: 4 }).chain((nodes) => {
  const node = fc.integer({ min: 0, max: nodes - 1 });
  const cost = fc.integer({ min: 1, max: 4 });
  return fc.record({
    nodes: fc.constant(nodes),
    edges: fc
      .tuple(
        fc.array(cost, { minLength: nodes, maxLength: nodes }),
        fc.array(fc.record({ from: node, to: node, cost }), { maxLength: 5 }),
      )
      .map(([ring, more]): TourEdge[] => [
        ...ring.map((price, from) => ({ from, to: (from + 1) % nodes, cost: price })),
        ...more,
      ]),
  });
});

/** The least cost to see all labels from node 0, by relaxing every place until nothing gets cheaper. */
function leastCost({ nodes, edges }: Graph, labels: readonly number[]): number {
  const all = labels.reduce((set, bits) => set | bits, 0);
  const cost = Array.from({ length: nodes }, () => Array.from({ length: all + 1 }, () => Infinity));
  cost[0]![0] = 0;
  for (let again = true; again; ) {
    again = false;
    const offer = (node: number, seen: number, price: number) => {
      if (price >= cost[node]![seen]!) return;
      cost[node]![seen] = price;
      again = true;
    };
    for (let seen = 0; seen <= all; seen++) {
      for (let node = 0; node < nodes; node++) offer(0, seen, cost[node]![seen]!);
      for (const [index, { from, to, cost: price }] of edges.entries())
        offer(to, seen | labels[index]!, cost[from]![seen]! + price);
    }
  }
  return Math.min(...cost.map((row) => row[all]!));
}

/** Every walk begins in node 0 and hangs together, and the cost is what it says. */
function expectWalks({ edges }: Graph, tour: Tour): Set<number> {
  for (const walk of tour.walks) {
    let at = 0;
    for (const edge of walk) {
      expect(edges[edge]!.from).toBe(at);
      at = edges[edge]!.to;
    }
  }
  const taken = tour.walks.flat();
  expect(tour.cost).toBe(taken.reduce((sum, edge) => sum + edges[edge]!.cost, 0));
  return new Set(taken);
}

describe('the postman', () => {
  test('takes every edge, and no walks that do are cheaper', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const tour = postmanTour(graph.nodes, graph.edges, 0);
        expect(expectWalks(graph, tour).size).toBe(graph.edges.length);
        const each = graph.edges.map((_, index) => 1 << index);
        expect(tour.cost).toBe(leastCost(graph, each));
      }),
      { numRuns: 150 },
    );
  });

  test('leaves a start that none of the required edges leaves', () => {
    // 0 leads to a ring of two, of which only the ring is wanted.
    const edges = [
      { from: 0, to: 1, cost: 3 },
      { from: 0, to: 2, cost: 1 },
      { from: 1, to: 2, cost: 1 },
      { from: 2, to: 1, cost: 1 },
    ];
    const tour = postmanTour(3, edges, 0, (edge) => edge >= 2);
    expect(tour).toEqual({ walks: [[1, 3, 2]], cost: 3 });
  });

  test('goes home for nothing, but not without need', () => {
    const star = [
      { from: 0, to: 1, cost: 1 },
      { from: 0, to: 2, cost: 1 },
    ];
    expect(postmanTour(3, star, 0).walks).toHaveLength(2);
    const ring = [
      { from: 0, to: 1, cost: 1 },
      { from: 1, to: 0, cost: 1 },
    ];
    expect(postmanTour(2, ring, 0).walks).toEqual([[0, 1]]);
  });

  test('stays at home when nothing is wanted', () => {
    const edges = [{ from: 0, to: 0, cost: 1 }];
    expect(postmanTour(1, edges, 0, () => false)).toEqual({ walks: [], cost: 0 });
  });

  test('says when edges are out of reach', () => {
    const apart = [
      { from: 0, to: 0, cost: 1 },
      { from: 1, to: 1, cost: 1 },
    ];
    expect(() => postmanTour(2, apart, 0)).toThrow(RangeError);
  });
});

describe('the search over labels', () => {
  const labelled = graphs.chain((graph) =>
    fc.record({
      graph: fc.constant(graph),
      labels: fc.array(fc.integer({ min: 0, max: 31 }), {
        minLength: graph.edges.length,
        maxLength: graph.edges.length,
      }),
    }),
  );

  test('sees every label, and no walks that do are cheaper', () => {
    fc.assert(
      fc.property(labelled, ({ graph, labels }) => {
        const tour = coverLabels(graph.nodes, graph.edges, labels, 0);
        const all = labels.reduce((set, bits) => set | bits, 0);
        const seen = [...expectWalks(graph, tour)].reduce((set, edge) => set | labels[edge]!, 0);
        expect(seen).toBe(all);
        expect(tour.cost).toBe(leastCost(graph, labels));
      }),
      { numRuns: 150 },
    );
  });

  test('needs no edge for what is seen at the start', () => {
    const loop = [{ from: 0, to: 0, cost: 1 }];
    expect(coverLabels(1, loop, [1], 0, 1)).toEqual({ walks: [], cost: 0 });
  });

  test('refuses more labels than it can hold, and such as nobody sees', () => {
    const loop = [{ from: 0, to: 0, cost: 1 }];
    expect(() => coverLabels(1, loop, [1 << 20], 0)).toThrow(/more than 20 labels/);
    expect(() => coverLabels(2, [{ from: 1, to: 1, cost: 1 }], [1], 0)).toThrow(/cannot be seen/);
  });
});
