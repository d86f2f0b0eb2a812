import { describe, expect, test } from 'vitest';
import { generate } from '../../src/generate/generate.js';
import { type GenerateOptions, generateSuite, suiteStats } from '../../src/generate/index.js';
import { statsOf } from '../../src/generate/stats.js';
import {
  arcsOf,
  CAPABILITY_SETS,
  type CapabilitySet,
  capabilityNames,
  requestedPath,
  statesOf,
} from '../../src/machines/index.js';
import { type Case, suiteSchema } from '../../src/suite/index.js';
import { MIG_STATES, type MigState } from '../../src/uapi/vfio.js';

const reachable = (caps: CapabilitySet) => statesOf(caps).filter((state) => state !== 'ERROR');
const pairsOf = <A, B>(some: readonly A[], others: readonly B[]) =>
  some.flatMap((a) => others.map((b) => `${a} > ${b}`));

/** Walks the cases by the path rule alone, and tells what they have tried, and where a step is wrong. */
function walked(caps: CapabilitySet, cases: readonly Case[]) {
  const seen = {
    states: new Set<string>(['RUNNING']),
    arcs: new Set<string>(),
    requests: new Set<string>(),
    pairs: new Set<string>(),
  };
  const wrong: string[] = [];
  const check = (holds: boolean, step: Case['steps'][number]) => {
    if (!holds) wrong.push(JSON.stringify(step));
  };
  for (const { steps } of cases) {
    let at: MigState = 'RUNNING';
    let before: string | undefined;
    for (const step of steps) {
      check(step.at === at, step);
      if (step.do === 'get') check(step.expect.join() === `GET.${at}`, step);
      if (step.do !== 'set' && step.do !== 'reset') continue;
      const request = step.do === 'reset' ? 'RESET' : step.state;
      seen.requests.add(`${at} > ${request}`);
      if (before !== undefined) seen.pairs.add(`${before} > ${request}`);
      before = `${at} > ${request}`;
      const hops: MigState[] | null = request === 'RESET' ? [] : requestedPath(at, request as MigState, caps);
      for (const hop of hops ?? []) {
        seen.arcs.add(`${at} > ${hop}`);
        at = hop;
      }
      if (request === 'RESET') at = 'RUNNING';
      if (hops === null) check(step.expect.join() === `FAIL.${request}.${at}`, step);
      seen.states.add(at);
    }
  }
  expect(wrong).toEqual([]);
  return seen;
}

/** What there is to be tried, from the arcs and the header. */
function wanted(caps: CapabilitySet, lacks: readonly string[]) {
  const inputs = lacks.includes('reset') ? MIG_STATES : [...MIG_STATES, 'RESET'];
  const requests = pairsOf(reachable(caps), inputs);
  return {
    states: reachable(caps),
    arcs: arcsOf(caps).map(({ from, to }) => `${from} > ${to}`),
    requests,
    pairs: pairsOf(requests, inputs),
  };
}

const variants: [string, Partial<GenerateOptions>][] = [
  ['with GET', {}],
  ['without GET', { status: false }],
  ['without RESET', { lacks: ['reset'] }],
];

describe.each(CAPABILITY_SETS.map((caps) => [capabilityNames(caps).join(', '), caps] as const))(
  '%s',
  (_name, capabilities) => {
    // The options change the graph in the same way for each set.
    describe.each(capabilities.p2p && capabilities.preCopy ? variants : variants.slice(0, 1))(
      '%s',
      (_variant, options) => {
        test.each(['states', 'arcs', 'requests', 'pairs'] as const)('%s are all tried', (criterion) => {
          const made = generate({ capabilities, ...options, coverage: [criterion] });
          const { cases } = made.suite;
          const seen = walked(capabilities, cases)[criterion];
          expect([...seen].sort()).toEqual(
            wanted(capabilities, [...(options.lacks ?? [])])[criterion].sort(),
          );

          const stats = statsOf(made);
          expect(stats.coverage[criterion]).toEqual({ reached: seen.size, total: seen.size });
          expect(stats.steps).toBe(cases.reduce((sum, { steps }) => sum + steps.length, 0));
          // The optimum is reached: what the graph says a request costs is what its steps are.
          expect(stats.steps).toBe(stats.lowerBound);
        });
      },
    );
  },
);

test('a suite of several criteria has the form, and no id twice', () => {
  const suite = generateSuite({
    capabilities: CAPABILITY_SETS[3]!,
    coverage: ['states', 'arcs', 'requests', 'pairs', 'sessions', 'errors', 'm-complete', 'random'],
  });
  expect(suiteSchema.parse(JSON.parse(JSON.stringify(suite)))).toEqual(suite);
  const ids = suite.cases.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test('random walks are those of their seed, as long as the budget', () => {
  const capabilities = CAPABILITY_SETS[3]!;
  const walks = (seed: number, budget?: number) =>
    generateSuite({ capabilities, coverage: ['random'], seed, ...(budget && { budget }) });
  expect(walks(7)).toEqual(walks(7));
  expect(walks(7).cases).not.toEqual(walks(8).cases);
  const steps = (budget: number) => walks(7, budget).cases.reduce((sum, each) => sum + each.steps.length, 0);
  expect([100, 5000].map(steps)).toEqual([100, 5000]);
  walked(capabilities, walks(7).cases);
});

test('a complete suite is no shorter than its bound', () => {
  for (const extraStates of [0, 1, 2]) {
    const stats = suiteStats({ capabilities: CAPABILITY_SETS[0]!, coverage: ['m-complete'], extraStates });
    expect(stats.lowerBound).toBeGreaterThan(0);
    expect(stats.steps).toBeGreaterThanOrEqual(stats.lowerBound!);
  }
});
