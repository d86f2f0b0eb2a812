import { minCostFlow } from './min-cost-flow.js';

/** An edge of a graph that walks are made in. */
export interface TourEdge {
  readonly from: number;
  readonly to: number;
  /** A positive integer. */
  readonly cost: number;
}

/** Walks that each begin at the start, as indices of edges, and what they cost together. */
export interface Tour {
  readonly walks: readonly (readonly number[])[];
  /** Sum of the costs of their edges. To begin another walk is free. */
  readonly cost: number;
}

/** Beginning another walk costs nothing, but of two tours of the same cost the one with fewer walks is taken. */
const HOME = 1;

/**
 * The cheapest walks from `start` that take every required edge: the directed Chinese postman, who may go
 * home at any time for nothing and begin again. Exact: a min-cost flow says how often each edge is taken, and
 * an Euler circuit puts them in order. The cost is thus also the lower bound of any such walks.
 * @param required which edges have to be taken; default all. They have to be connected. Where none of them
 * leaves the start, the edges that do have to lead to them.
 * @throws RangeError when the required edges cannot be taken from the start
 */
export function postmanTour(
  nodes: number,
  edges: readonly TourEdge[],
  start: number,
  required: (edge: number) => boolean = () => true,
): Tour {
  const home = nodes;
  const needed = [...edges.keys()].filter(required);
  if (needed.length === 0) return { walks: [], cost: 0 };
  const begins = needed.some((edge) => edges[edge]!.from === start);
  const ways = [...Array(nodes).keys()].filter((from) => begins || from !== start);
  const all = [
    ...beside(edges, needed.length),
    ...ways.map((from) => ({ from, to: home, cost: HOME })),
    { from: home, to: start, cost: 0 },
  ];
  // A walk has to leave a start that no required edge leaves.
  if (!begins) needed.push(all.length - 1);
  const excess = Array.from({ length: nodes + 1 }, () => 0);
  for (const edge of needed) {
    excess[all[edge]!.to]! += 1;
    excess[all[edge]!.from]! -= 1;
  }
  const times = minCostFlow(nodes + 1, all, excess);
  for (const edge of needed) times[edge]! += 1;
  return tourOf(splitAt(eulerCircuit(nodes + 1, all, times, start), edges.length), edges);
}

/** The edges, so dear that as many ways home as these cost less than any of them. */
function beside(edges: readonly TourEdge[], waysHome: number): TourEdge[] {
  return edges.map((edge) => ({ ...edge, cost: edge.cost * (waysHome + 1) * HOME }));
}

/**
 * A circuit that takes each edge as often as `times` says. (Hierholzer.)
 * @throws RangeError when not all of them can be taken in one circuit from the start
 */
function eulerCircuit(
  nodes: number,
  edges: readonly TourEdge[],
  times: readonly number[],
  start: number,
): number[] {
  const leaving: number[][] = Array.from({ length: nodes }, () => []);
  for (let edge = edges.length - 1; edge >= 0; edge--)
    for (let time = 0; time < times[edge]!; time++) leaving[edges[edge]!.from]!.push(edge);
  const circuit: number[] = [];
  const stack: number[] = [];
  for (let node = start; ; ) {
    const edge = leaving[node]!.pop();
    if (edge !== undefined) {
      stack.push(edge);
      node = edges[edge]!.to;
      continue;
    }
    const done = stack.pop();
    if (done === undefined) break;
    circuit.push(done);
    node = edges[done]!.from;
  }
  if (circuit.length !== times.reduce((sum, time) => sum + time, 0))
    throw new RangeError('the edges of the tour are not connected with its start');
  return circuit.reverse();
}

/** Most labels that `coverLabels` can tell apart. */
const MAX_LABELS = 20;

/**
 * The cheapest walks from `start` that see every label at least once; as with `postmanTour`, beginning
 * another walk is free. Exact: Dijkstra's search over nodes and sets of labels seen, so the cost is also the
 * lower bound of any such walks. An edge may see several labels, or none.
 * @param labels for each edge a set of labels, as bits from bit 0
 * @param seenAtStart labels that need no edge
 * @throws RangeError for more than 20 labels, or when a label cannot be seen
 */
export function coverLabels(
  nodes: number,
  edges: readonly TourEdge[],
  labels: readonly number[],
  start: number,
  seenAtStart = 0,
): Tour {
  const all = labels.reduce((set, bits) => set | bits, seenAtStart);
  if (all >>> MAX_LABELS !== 0) throw new RangeError(`more than ${MAX_LABELS} labels`);
  const homes = Array.from({ length: nodes }, (_, from) => ({ from, to: start, cost: HOME }));
  const steps = [...beside(edges, MAX_LABELS), ...homes];
  const leaving = homes.map((_, node) => usefulFrom(node, steps, labels));
  // A place is a node and a set of labels seen.
  const sets = all + 1;
  const best = new Int32Array(nodes * sets).fill(0x7fffffff);
  const by = new Int32Array(best.length).fill(-1);
  const before = new Int32Array(best.length).fill(-1);
  const buckets: number[][] = [[start * sets + seenAtStart]];
  best[buckets[0]![0]!] = 0;
  for (let cost = 0; cost < buckets.length; cost++) {
    for (const place of buckets[cost] ?? []) {
      if (best[place] !== cost) continue;
      const seen = place % sets;
      if (seen === all) return tourOf(splitAt(walkTo(place, by, before), edges.length), edges);
      for (const edge of leaving[Math.floor(place / sets)]!) {
        const next = steps[edge]!.to * sets + (seen | (labels[edge] ?? 0));
        const total = cost + steps[edge]!.cost;
        if (total >= best[next]!) continue;
        best[next] = total;
        by[next] = edge;
        before[next] = place;
        buckets[total] ??= [];
        buckets[total].push(next);
      }
    }
  }
  throw new RangeError('a label cannot be seen from the start');
}

/** The edges that leave a node, without those in whose place another one is at least as good. */
function usefulFrom(node: number, edges: readonly TourEdge[], labels: readonly number[]): number[] {
  const seen = (edge: number) => labels[edge] ?? 0;
  const isWorse = (edge: number, than: number) => {
    const [one, other] = [edges[edge]!, edges[than]!];
    if (one.to !== other.to || (seen(edge) & ~seen(than)) !== 0 || one.cost < other.cost) return false;
    // Of two that are equal the first one stays.
    return one.cost > other.cost || seen(edge) !== seen(than) || than < edge;
  };
  const leaving = [...edges.keys()].filter((edge) => edges[edge]!.from === node);
  return leaving.filter(
    (edge) =>
      (edges[edge]!.to !== node || seen(edge) !== 0) &&
      !leaving.some((other) => other !== edge && isWorse(edge, other)),
  );
}

function walkTo(place: number, by: Int32Array, before: Int32Array): number[] {
  const walk: number[] = [];
  for (let at = place; by[at]! >= 0; at = before[at]!) walk.push(by[at]!);
  return walk.reverse();
}

/** The parts of a walk between the edges that lead home: those from `homes` on. */
function splitAt(walk: readonly number[], homes: number): number[][] {
  const parts: number[][] = [[]];
  for (const edge of walk) {
    if (edge >= homes) parts.push([]);
    else parts.at(-1)!.push(edge);
  }
  return parts.filter((part) => part.length > 0);
}

function tourOf(walks: readonly (readonly number[])[], edges: readonly TourEdge[]): Tour {
  return { walks, cost: walks.flat().reduce((sum, edge) => sum + edges[edge]!.cost, 0) };
}
