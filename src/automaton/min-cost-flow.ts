/** An edge of a flow network. There is no upper bound on its flow. */
export interface FlowEdge {
  readonly from: number;
  readonly to: number;
  /** Price of one unit; a non-negative integer. */
  readonly cost: number;
}

/**
 * The cheapest flow that takes what nodes have too much of to where it lacks: how often to use each edge.
 * Successive shortest paths, which is exact. For small networks.
 * @param excess units that a node gives (positive) or takes (negative); the sum is 0
 * @returns units on each edge
 * @throws RangeError when no path leads to where units lack
 */
export function minCostFlow(nodes: number, edges: readonly FlowEdge[], excess: readonly number[]): number[] {
  const flow = edges.map(() => 0);
  const left = [...excess];
  for (;;) {
    if (!left.some((units) => units > 0)) return flow;
    const { distance, by } = shortestPaths(nodes, edges, flow, left);
    let sink = -1;
    for (let node = 0; node < nodes; node++) {
      if (left[node]! < 0 && distance[node]! < (sink < 0 ? Infinity : distance[sink]!)) sink = node;
    }
    if (sink < 0) throw new RangeError('the edges do not connect what gives with what takes');
    push(edges, flow, left, by, sink);
  }
}

/** `2 * edge` for the edge taken forwards, `+ 1` for flow on it that is taken back; -1 at a source. */
type Taken = number;

/** Bellman-Ford from all nodes that still give, over the residual network. */
function shortestPaths(
  nodes: number,
  edges: readonly FlowEdge[],
  flow: readonly number[],
  left: readonly number[],
) {
  const distance = Array.from({ length: nodes }, (_, node) => (left[node]! > 0 ? 0 : Infinity));
  const by: Taken[] = Array.from({ length: nodes }, () => -1);
  for (let again = true; again; ) {
    again = false;
    const relax = (from: number, to: number, cost: number, taken: Taken) => {
      if (distance[from]! + cost >= distance[to]!) return;
      distance[to] = distance[from]! + cost;
      by[to] = taken;
      again = true;
    };
    for (const [index, { from, to, cost }] of edges.entries()) {
      relax(from, to, cost, 2 * index);
      if (flow[index]! > 0) relax(to, from, -cost, 2 * index + 1);
    }
  }
  return { distance, by };
}

/** Sends along the path that ends in `sink` as much as its ends and the flow taken back allow. */
function push(
  edges: readonly FlowEdge[],
  flow: number[],
  left: number[],
  by: readonly Taken[],
  sink: number,
): void {
  const path: Taken[] = [];
  let node = sink;
  for (let taken = by[node]!; taken >= 0; taken = by[node]!) {
    path.push(taken);
    node = taken % 2 === 0 ? edges[taken >> 1]!.from : edges[taken >> 1]!.to;
  }
  const back = path.filter((taken) => taken % 2 === 1).map((taken) => flow[taken >> 1]!);
  const units = Math.min(left[node]!, -left[sink]!, ...back);
  for (const taken of path) flow[taken >> 1]! += taken % 2 === 0 ? units : -units;
  left[node]! -= units;
  left[sink]! += units;
}
