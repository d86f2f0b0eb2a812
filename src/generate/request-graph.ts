import type { Mealy, TourEdge } from '../automaton/index.js';
import { arcsOf, requestedPath } from '../machines/index.js';
import type { MigState } from '../uapi/vfio.js';
import type { GenerateContext } from './context.js';
import { type Request, requestMachine } from './request-machine.js';
import { lowerRequests } from './steps.js';

/** A request in a state. */
export interface RequestEdge extends TourEdge {
  readonly request: Request;
}

/**
 * The requests of a device as a graph: node 0 is RUNNING. What an edge costs is the number of steps that its
 * request takes: the request, the GET after it, the data without which it would fail, the close of a data_fd
 * that has ended.
 */
export interface RequestGraph {
  readonly states: readonly MigState[];
  readonly edges: readonly RequestEdge[];
}

export function requestGraph(context: GenerateContext): RequestGraph {
  const machine = requestMachine(context.capabilities);
  const inputs = machine.inputs as readonly Request[];
  const reach = shortestWords(machine);
  const edges = machine.states.flatMap((_, from) =>
    inputs.flatMap((request, input): RequestEdge[] => {
      if (request === 'RESET' && context.lacks.has('reset')) return [];
      const prefix = reach[from]!.map((each) => inputs[each]!);
      const cost = stepsOf(context, [...prefix, request]) - stepsOf(context, prefix);
      return [{ from, to: machine.next[from * inputs.length + input]!, cost, request }];
    }),
  );
  return { states: machine.states as readonly MigState[], edges };
}

function stepsOf({ capabilities, status }: GenerateContext, requests: readonly Request[]): number {
  return lowerRequests(capabilities, requests, { status }).length;
}

/** For each state a shortest word that leads there from the initial one. */
function shortestWords({ states, inputs, next }: Mealy): number[][] {
  const words: number[][] = [[]];
  const queue = [0];
  for (const from of queue) {
    for (const input of inputs.keys()) {
      const to = next[from * inputs.length + input]!;
      if (words[to] !== undefined) continue;
      words[to] = [...words[from]!, input];
      queue.push(to);
    }
  }
  return states.map((_, state) => words[state]!);
}

/** For each edge the arcs of the uAPI that its request walks, as bits in the order of `arcsOf`. */
export function arcLabels({ capabilities }: GenerateContext, { states, edges }: RequestGraph): number[] {
  const arcs = arcsOf(capabilities);
  return edges.map(({ from, request }) => {
    if (request === 'RESET') return 0;
    let at = states[from]!;
    let bits = 0;
    for (const hop of requestedPath(at, request, capabilities) ?? []) {
      bits |= 1 << arcs.findIndex((arc) => arc.from === at && arc.to === hop);
      at = hop;
    }
    return bits;
  });
}

/**
 * The graph whose nodes are the edges of another, and whose edges are two of them that follow each other. The
 * last node is the beginning, from which those lead that leave node 0.
 */
export function lineGraph(edges: readonly TourEdge[]): { nodes: number; start: number; edges: TourEdge[] } {
  const start = edges.length;
  const after = (node: number, from: number): TourEdge[] =>
    edges.flatMap((edge, index) => (edge.from === from ? [{ from: node, to: index, cost: edge.cost }] : []));
  return {
    nodes: edges.length + 1,
    start,
    edges: [...edges.flatMap(({ to }, index) => after(index, to)), ...after(start, 0)],
  };
}
