import { generateSuite, type Stats, suiteStats } from '../../src/generate/index.js';
import { coverageOf } from '../../src/generate/stats.js';
import { CAPABILITY_SETS, type CapabilitySet, capabilityNames } from '../../src/machines/index.js';
import type { Coverage } from '../../src/suite/index.js';
import { graphCases, publishedChartPaths } from './graph-paths.js';

const COMPARED = ['states', 'arcs', 'requests', 'pairs'] as const;

/** Our suite for a criterion, and the one of `xstate/graph` with the same coverage. */
export interface Comparison {
  readonly capabilities: CapabilitySet;
  readonly criterion: (typeof COMPARED)[number];
  readonly ours: Stats;
  readonly graph: { readonly cases: number; readonly steps: number; readonly coverage: Coverage };
}

export function compare(): Comparison[] {
  return CAPABILITY_SETS.flatMap((capabilities) =>
    COMPARED.map((criterion): Comparison => {
      const cases = graphCases(capabilities, criterion);
      const steps = cases.reduce((sum, each) => sum + each.steps.length, 0);
      const coverage = coverageOf(cases, { capabilities, lacks: new Set() });
      const ours = suiteStats({ capabilities, coverage: [criterion] });
      return { capabilities, criterion, ours, graph: { cases: cases.length, steps, coverage } };
    }),
  );
}

/** The published chart, with the default options of `xstate/graph`, beside our suite for `requests`. */
export interface Published extends ReturnType<typeof publishedChartPaths> {
  readonly capabilities: CapabilitySet;
  readonly ours: Stats;
}

export function comparePublished(): Published[] {
  return CAPABILITY_SETS.map((capabilities) => ({
    capabilities,
    ours: suiteStats({ capabilities, coverage: ['requests'] }),
    ...publishedChartPaths(capabilities),
  }));
}

const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
const rows = (head: readonly string[], body: readonly (readonly (string | number)[])[]) =>
  [row(head), row(head.map((_, index) => (index < 2 ? '---' : '---:'))), ...body.map(row)].join('\n');
const percent = (part: number, whole: number) => `${((part / whole) * 100).toFixed(0)} %`;
const nameOf = (caps: CapabilitySet) => capabilityNames(caps).join(', ');

/** `docs/coverage.md`. */
export function coveragePage(all: readonly Comparison[], published: readonly Published[]): string {
  const sizes = rows(
    [
      'capabilities',
      'criterion',
      'cases',
      'steps',
      'lower bound',
      'xstate/graph: cases',
      'steps',
      'ours of theirs',
    ],
    all.map(({ capabilities, criterion, ours, graph }) => [
      nameOf(capabilities),
      criterion,
      ours.cases,
      ours.steps,
      ours.lowerBound!,
      graph.cases,
      graph.steps,
      percent(ours.steps, graph.steps),
    ]),
  );
  const charts = rows(
    [
      'capabilities',
      'requests tried',
      'paths',
      'steps',
      'ours: requests tried',
      'cases',
      'steps',
      'ours of theirs',
    ],
    published.map(({ capabilities, ours, paths, events, requests }) => [
      nameOf(capabilities),
      `${requests} of ${ours.coverage.requests.total}`,
      paths,
      events,
      `${ours.coverage.requests.reached} of ${ours.coverage.requests.total}`,
      ours.cases,
      ours.steps,
      percent(ours.steps, events),
    ]),
  );
  const others = rows(
    ['capabilities', 'criterion', 'cases', 'steps'],
    CAPABILITY_SETS.flatMap((capabilities) =>
      (['sessions', 'errors'] as const).map((criterion) => {
        const { cases } = generateSuite({ capabilities, coverage: [criterion] });
        return [
          nameOf(capabilities),
          criterion,
          cases.length,
          cases.reduce((sum, { steps }) => sum + steps.length, 0),
        ];
      }),
    ),
  );
  return `# What suites cost

\`stopcopy generate vfio-device --coverage CRITERION --stats\` prints these numbers. This page is made by
\`test/generate/coverage-page.test.ts\`, which measures both sides.

## The same coverage

A step is a call to the device. Both sides are counted alike: after each request the state is asked for (GET of
MIG_DEVICE_STATE), a load gets its data before RESUMING is left, and the data_fd of a session that has ended is
closed. Before each case the device is reset, which is not a step, so more cases cost more resets.

\`states\`, \`arcs\`, \`requests\` and \`pairs\` are what \`stopcopy generate --help\` says; a request that is refused is to
be tried as well, in every state, and VFIO_DEVICE_RESET is a request. Each case of \`xstate/graph\` is a path of
\`createTestModel().getShortestPaths()\` in the graph of requests. It is told to take each edge for a state of its
own (\`serializeState\`); without that it leaves out edges that return to their state. Of its paths only those are
counted that the coverage needs, the best first.

The lower bound is one of all suites with the coverage, however many cases they have: for \`requests\` and \`pairs\`
the optimum of a min-cost flow, for \`states\` and \`arcs\` that of a search over all states and all sets of what was
seen.

${sizes}

All states are one request away from RUNNING, so a shortest path tries a request with two at most: in this graph no
suite for \`requests\` can be much less than half as long as theirs. The tours have the fewest steps that there can be.

## The published chart, as it is

The chart that \`stopcopy describe vfio-device\` prints has more than requests: what a device may answer, and its
session. Here \`createTestModel(chart).getShortestPaths()\` is called without options, as one does who has the chart
and wants its requests tried. Its steps are the events of its paths, without GET, data and close between them; ours
have these. A request counts as tried when a path has it with any answer, also with a failure that a tester
cannot ask a device for.

${charts}

## Other criteria

Their cases are written by hand for each state, and each is as short as its behaviour allows. There is no lower
bound for them.

${others}
`;
}
