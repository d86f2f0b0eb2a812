import { coverLabels, drawFrom, postmanTour, type Tour } from '../automaton/index.js';
import type { Case } from '../suite/index.js';
import { makeCase } from './case.js';
import type { GenerateContext, Made } from './context.js';
import { arcLabels, lineGraph, type RequestGraph, requestGraph } from './request-graph.js';
import type { Request } from './request-machine.js';
import { lowerRequests } from './steps.js';

/** A case is cut where the device is in RUNNING again, but not before so many requests. */
const CASE_LENGTH = 8;
/** Requests of a random case, and steps of all of them when there is no budget. */
const RANDOM_CASE = 16;
const RANDOM_STEPS = 400;

const FLOW = 'optimum of a min-cost flow (directed Chinese postman)';
const SEARCH = 'optimum of an exhaustive search over state and what was seen';

/** Every state that requests reach. */
export function coverStates(context: GenerateContext): Made {
  const graph = requestGraph(context);
  const seen = graph.edges.map(({ to }) => 1 << to);
  const tour = coverLabels(graph.states.length, graph.edges, seen, 0, 1);
  return made('states', context, graph, tour, SEARCH);
}

/** Every arc of the uAPI. */
export function coverArcs(context: GenerateContext): Made {
  const graph = requestGraph(context);
  const tour = coverLabels(graph.states.length, graph.edges, arcLabels(context, graph), 0);
  return made('arcs', context, graph, tour, SEARCH);
}

/** Every request in every state. */
export function coverRequests(context: GenerateContext): Made {
  const graph = requestGraph(context);
  const tour = postmanTour(graph.states.length, graph.edges, 0);
  return made('requests', context, graph, tour, FLOW, () => true);
}

/** Every two requests that follow each other. */
export function coverPairs(context: GenerateContext): Made {
  const graph = requestGraph(context);
  const line = lineGraph(graph.edges);
  const tour = postmanTour(
    line.nodes,
    line.edges,
    line.start,
    (edge) => line.edges[edge]!.from !== line.start,
  );
  const walks = tour.walks.map((walk) => walk.map((edge) => line.edges[edge]!.to));
  // A pair that comes again may be cut in two.
  const times = new Map<string, number>();
  const pair = (first: number, second: number) => `${first} ${second}`;
  for (const walk of walks)
    for (const [index, second] of walk.slice(1).entries()) {
      const key = pair(walk[index]!, second);
      times.set(key, (times.get(key) ?? 0) + 1);
    }
  const mayCut = (first: number, second: number): boolean => {
    const left = times.get(pair(first, second))!;
    if (left > 1) times.set(pair(first, second), left - 1);
    return left > 1;
  };
  return made('pairs', context, graph, { walks, cost: tour.cost }, FLOW, mayCut);
}

/** Requests drawn at random, each as likely as the others. */
export function randomWalks(context: GenerateContext): Made {
  const graph = requestGraph(context);
  const draw = drawFrom(context.seed);
  const cases: Case[] = [];
  for (let steps = 0; steps < (context.budget ?? RANDOM_STEPS); steps += cases.at(-1)!.steps.length) {
    let at = 0;
    const requests = Array.from({ length: RANDOM_CASE }, () => {
      const leaving = graph.edges.filter(({ from }) => from === at);
      const edge = leaving[draw(leaving.length)]!;
      at = edge.to;
      return edge.request;
    });
    cases.push(walkCase('random', context, requests));
  }
  return { cases };
}

/**
 * A suite that finds every device with so many hidden states has to try every word of one request more in every
 * state: behind any of them may be a state that is wrong in the last request only. No step ends two of them.
 */
export function completeBound(context: GenerateContext): Made['lowerBound'] {
  if (context.extraStates === 0) return coverRequests(context).lowerBound;
  if (context.extraStates === 1) return coverPairs(context).lowerBound;
  const { states, edges } = requestGraph(context);
  let words = states.map(() => 1);
  for (let length = 0; length < context.extraStates; length++) {
    const longer = states.map(() => 0);
    for (const { from, to } of edges) longer[to]! += words[from]!;
    words = longer;
  }
  const steps = edges.reduce((sum, { from, cost }) => sum + words[from]! * cost, 0);
  return { steps, proof: `every word of ${context.extraStates + 1} requests in every state has to be tried` };
}

type MayCut = (first: number, second: number) => boolean;

function made(
  criterion: string,
  context: GenerateContext,
  graph: RequestGraph,
  tour: Tour,
  proof: string,
  mayCut: MayCut = () => false,
): Made {
  const walks = tour.walks.flatMap((walk) => cut(graph, walk, mayCut));
  const requests = walks.map((walk) => walk.map((edge) => graph.edges[edge]!.request));
  return {
    cases: requests.map((walk) => walkCase(criterion, context, walk)),
    lowerBound: { steps: tour.cost, proof },
  };
}

/** Shorter walks say more when one fails. In RUNNING a walk ends and another begins without more steps. */
function cut({ edges }: RequestGraph, walk: readonly number[], mayCut: MayCut): number[][] {
  const parts: number[][] = [[]];
  for (const [index, edge] of walk.entries()) {
    const part = parts.at(-1)!;
    part.push(edge);
    const next = walk[index + 1];
    const isHome = edges[edge]!.to === 0 && part.length >= CASE_LENGTH;
    if (next !== undefined && isHome && mayCut(edge, next)) parts.push([]);
  }
  return parts;
}

/** A case that walks these requests from RUNNING. */
export function walkCase(
  criterion: string,
  { capabilities, status }: Pick<GenerateContext, 'capabilities' | 'status'>,
  requests: readonly Request[],
): Case {
  const more = requests.length - 1;
  const steps = lowerRequests(capabilities, requests, { status });
  const name = more === 0 ? `${requests[0]}` : `${requests[0]}+${more}`;
  return makeCase(criterion, name, titleOf(requests), steps);
}

function titleOf(requests: readonly Request[]): string {
  const shown = requests.length > 6 ? requests.slice(0, 5) : requests;
  const more = requests.length - shown.length;
  return more === 0 ? shown.join(', ') : `${shown.join(', ')} and ${more} more requests`;
}
