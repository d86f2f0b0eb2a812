import { createTestModel } from 'xstate/graph';
import { makeCase } from '../../src/generate/case.js';
import { meterFor } from '../../src/generate/generate.js';
import { REQUESTS, type Request, requestMachine } from '../../src/generate/request-machine.js';
import { lowerRequests } from '../../src/generate/steps.js';
import { type CapabilitySet, machineNamed, statesOf } from '../../src/machines/index.js';
import { createMachine, type Machine } from '../../src/machines/xstate.js';
import { type Case, type CoverageMeasure, planned } from '../../src/suite/index.js';

/** What `xstate/graph` makes of the same requests, to compare suites with. */

interface Path {
  readonly steps: readonly { event: { type: string }; state: { value: unknown } }[];
}

const flat = (id: string, states: Record<string, Record<string, string>>): Machine =>
  createMachine({
    id,
    initial: Object.keys(states)[0]!,
    states: Object.fromEntries(Object.entries(states).map(([name, on]) => [name, { on }])),
  } as never);

/** The requests of a device as a chart: a state for each state, an event for each request. */
function requestChart(caps: CapabilitySet): Machine {
  const { states, inputs, next } = requestMachine(caps);
  const leaving = (from: number) =>
    inputs.map((request, input) => [request, states[next[from * inputs.length + input]!]!]);
  return flat(
    'requests',
    Object.fromEntries(states.map((name, from) => [name, Object.fromEntries(leaving(from))])),
  );
}

/** The same with a state for each request in each state, so that its edges are pairs of requests. */
function pairChart(caps: CapabilitySet): Machine {
  const { states, inputs, next } = requestMachine(caps);
  const leaving = (state: string) =>
    Object.fromEntries(inputs.map((request) => [request, `${state}>${request}`]));
  const nodes = states.flatMap((state, from) =>
    inputs.map((request, input) => [
      `${state}>${request}`,
      leaving(states[next[from * inputs.length + input]!]!),
    ]),
  );
  return flat('pairs', { start: leaving(states[0]!), ...Object.fromEntries(nodes) });
}

/** The requests of its shortest paths, one path at least to the end of each edge. */
function edgePaths(chart: Machine): Request[][] {
  const serializeState = (state: { value: unknown }, event?: { type: string }, before?: { value: unknown }) =>
    `${before?.value} ${event?.type} ${state.value}`;
  // Paths that are the beginning of others are dropped here: where the model does it, each is compared with each.
  const options = { serializeState, allowDuplicatePaths: true };
  const paths = createTestModel(chart).getShortestPaths(options as never) as unknown as Path[];
  const requests = paths.map(({ steps }) =>
    steps.map(({ event }) => event.type as Request).filter((type) => REQUESTS.includes(type)),
  );
  const beginnings = new Set(
    requests.flatMap((path) => path.map((_, length) => path.slice(0, length).join())),
  );
  return [...new Map(requests.map((path) => [path.join(), path])).values()].filter(
    (path) => !beginnings.has(path.join()),
  );
}

/**
 * Cases for a measure from the shortest paths of `xstate/graph`: only those of its paths that the measure needs,
 * the best of them first, lowered to steps as ours are.
 */
export function graphCases(caps: CapabilitySet, measure: CoverageMeasure): Case[] {
  const meter = meterFor({ capabilities: caps, lacks: new Set() });
  const paths = edgePaths(measure === 'pairs' ? pairChart(caps) : requestChart(caps));
  let left = paths
    .filter((path) => path.length > 0)
    .map((path) => {
      const each = makeCase('graph', 'path', path.join(), lowerRequests(caps, path, { status: true }));
      const items = [...meter.itemsOf(planned(each))].filter(([of]) => of === measure);
      return { each, items: new Set(items.map(([, item]) => item)) };
    });
  const covered = new Set<string>();
  const chosen: Case[] = [];
  for (;;) {
    left = left.flatMap(({ each, items }) => {
      const fresh = new Set([...items].filter((item) => !covered.has(item)));
      return fresh.size > 0 ? [{ each, items: fresh }] : [];
    });
    const worth = ({ each, items }: (typeof left)[number]) => items.size / each.steps.length;
    const [best] = left.toSorted((one, other) => worth(other) - worth(one));
    if (best === undefined) return chosen;
    chosen.push(best.each);
    for (const item of best.items) covered.add(item);
  }
}

/** What `createTestModel().getShortestPaths()`, as it is, makes of the published chart of the device. */
export function publishedChartPaths(caps: CapabilitySet): {
  paths: number;
  events: number;
  requests: number;
} {
  const model = createTestModel(machineNamed('vfio-device')!.make(caps));
  const paths = model.getShortestPaths() as unknown as Path[];
  const requests = new Set<string>();
  let events = 0;
  for (const { steps } of paths) {
    let from = 'RUNNING';
    for (const { event, state } of steps) {
      if (event.type.startsWith('xstate.')) continue;
      events++;
      const [call, to] = event.type.split('.');
      if (call === 'SET' || call === 'FAIL') requests.add(`${from} > ${to}`);
      if (call === 'RESET') requests.add(`${from} > RESET`);
      from = (state.value as { device: string }).device;
    }
  }
  const ofStates = statesOf(caps).filter((state) => state !== 'ERROR');
  const counted = [...requests].filter((each) => ofStates.some((state) => each.startsWith(`${state} > `)));
  return { paths: paths.length, events, requests: counted.length };
}
