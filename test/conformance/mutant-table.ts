import { createTestModel, getShortestPaths } from 'xstate/graph';
import {
  type CompleteMethod,
  completeSuite,
  Examiner,
  type Mealy,
  mutants,
  type Observed,
  observed,
  reduced,
  type Word,
} from '../../src/automaton/index.js';
import { type Criterion, criterionNamed, generateSuite } from '../../src/generate/index.js';
import { requestMachine } from '../../src/generate/request-machine.js';
import { CAPABILITY_SETS, type CapabilitySet, capabilityNames } from '../../src/machines/index.js';
import { createMachine } from '../../src/machines/xstate.js';
import { seeded } from './mutation/mutate.js';

/** The full set, whose numbers are in all tables. */
export const FULL: CapabilitySet = CAPABILITY_SETS[3]!;

/** Of the machines with two hidden states every so many is examined. */
const SAMPLE = 25;
/** Requests of one random walk, and how many suites of walks the score is the mean of. */
const WALK = 20;
const SEEDS = 5;

/** A suite, the faults that it finds, and the words for the table. */
export interface Row {
  readonly name: string;
  readonly about: string;
  readonly tests: number;
  readonly requests: number;
  /** By the number of hidden states: the part of the mutants that are found, from 0 to 1. */
  readonly scores: readonly number[];
}

export interface Table {
  readonly capabilities: CapabilitySet;
  readonly status: boolean;
  /** By the number of hidden states: how many mutants were examined. */
  readonly mutants: readonly number[];
  readonly rows: readonly Row[];
  readonly indistinguishable: readonly (readonly string[])[];
}

/** Suites of words that stand in one row: their score is the mean. */
interface Contestant {
  readonly name: string;
  readonly about: string;
  readonly suites: readonly (readonly Word[])[];
}

/** The machine whose mutants are examined: what can be told apart of the requests to a device. */
function modelOf(caps: CapabilitySet, status: boolean): Observed {
  return reduced(observed(requestMachine(caps, { status }), status ? 'GET' : undefined)).watched;
}

/** Examines all suites with the mutants of up to `hidden` hidden states. */
export function tableOf(caps: CapabilitySet, { status = true, hidden = 1 } = {}): Table {
  const model = modelOf(caps, status);
  const contestants = status ? withStatus(caps, model, hidden) : completeSuites(caps, model, status, hidden);
  const counts = Array.from({ length: hidden + 1 }, () => 0);
  const runs = contestants.flatMap(({ suites }, row) =>
    suites.map((words) => ({ row, examiner: new Examiner(model, words), found: counts.map(() => 0) })),
  );
  for (const k of counts.keys()) {
    let number = 0;
    for (const { machine } of mutants(model, k)) {
      if (k === 2 && number++ % SAMPLE !== 0) continue;
      counts[k]!++;
      for (const { examiner, found } of runs) if (!examiner.passes(machine)) found[k]!++;
    }
  }
  const rows = contestants.map(({ name, about, suites }, row): Row => {
    const own = runs.filter((run) => run.row === row);
    const score = (count: number, k: number) =>
      own.reduce((sum, { found }) => sum + found[k]!, 0) / (own.length * count);
    const [words] = suites as [readonly Word[]];
    return { name, about, tests: words.length, requests: words.flat().length, scores: counts.map(score) };
  });
  const { indistinguishable } = suiteOf(caps, status, 'w', 0);
  return { capabilities: caps, status, mutants: counts, rows, indistinguishable };
}

function suiteOf(caps: CapabilitySet, status: boolean, method: CompleteMethod, extraStates: number) {
  const options = { method, extraStates, ...(status ? { status: 'GET' } : {}) };
  return completeSuite(requestMachine(caps, { status }), options);
}

function withStatus(caps: CapabilitySet, model: Observed, hidden: number): Contestant[] {
  const complete = completeSuites(caps, model, true, hidden);
  const requests = complete.map(({ suites }) => suites[0]!.flat().length);
  return [
    {
      name: '`getShortestPaths`',
      about: 'of `xstate/graph`: a shortest path to each state.',
      suites: [shortestPaths(model)],
    },
    {
      name: '`createTestModel().getShortestPaths`',
      about: 'of `xstate/graph`: a path over each transition.',
      suites: [testModelPaths(model)],
    },
    ...(['states', 'arcs', 'requests', 'pairs'] as const).map((name) => criterion(caps, model, name)),
    ...complete,
    ...requests.map(
      (count, k): Contestant => ({
        name: `random walks, as long as k = ${k}`,
        about: `as many requests as the complete suite for k = ${k}, drawn evenly, at most ${WALK} to a walk; the mean of ${SEEDS} seeds.`,
        suites: Array.from({ length: SEEDS }, (_, seed) =>
          randomWalks(model, count, seeded(1000 * k + seed)),
        ),
      }),
    ),
  ];
}

function completeSuites(
  caps: CapabilitySet,
  { machine }: Observed,
  status: boolean,
  hidden: number,
): Contestant[] {
  const methods: CompleteMethod[] = status ? ['w'] : ['w', 'wp', 'hsi'];
  const title: Record<CompleteMethod, string> = { w: 'W', wp: 'Wp', hsi: 'HSI' };
  const n = machine.states.length;
  return Array.from({ length: hidden + 1 }, (_, k) =>
    methods.map((method) => ({
      name: status ? `m-complete, k = ${k}` : `${title[method]}, k = ${k}`,
      about: `for devices of at most ${n + k} states${status ? '; W, Wp and HSI are one, as GET tells the state' : ''}.`,
      suites: [suiteOf(caps, status, method, k).words],
    })),
  ).flat();
}

function criterion(caps: CapabilitySet, { machine }: Observed, name: Criterion): Contestant {
  const { cases } = generateSuite({ capabilities: caps, coverage: [name] });
  const words = cases.map(({ steps }) =>
    steps.flatMap((step) =>
      step.do === 'set'
        ? [machine.inputs.indexOf(String(step.state))]
        : step.do === 'reset'
          ? [machine.inputs.indexOf('RESET')]
          : [],
    ),
  );
  return {
    name: `\`${name}\``,
    about: `of \`stopcopy generate\`: ${criterionNamed(name).title}.`,
    suites: [words],
  };
}

/** The model as a chart of XState, without the status message. */
function chartOf({ machine, inputs }: Observed) {
  const width = machine.inputs.length;
  const states = machine.states.map((name, state) => {
    const on = inputs.map((input) => [
      machine.inputs[input]!,
      { target: machine.states[machine.next[state * width + input]!]!, reenter: true },
    ]);
    return [name, { on: Object.fromEntries(on) }];
  });
  return createMachine({
    id: 'requests',
    initial: machine.states[0]!,
    states: Object.fromEntries(states),
  } as never);
}

interface Path {
  readonly steps: readonly { readonly event: { readonly type: string } }[];
}

function wordsOf({ inputs }: Mealy, paths: readonly Path[]): Word[] {
  return paths
    .map(({ steps }) => steps.map(({ event }) => inputs.indexOf(event.type)).filter((input) => input >= 0))
    .filter((word) => word.length > 0);
}

function shortestPaths(model: Observed): Word[] {
  return wordsOf(model.machine, getShortestPaths(chartOf(model) as never) as readonly Path[]);
}

function testModelPaths(model: Observed): Word[] {
  return wordsOf(
    model.machine,
    createTestModel(chartOf(model) as never).getShortestPaths() as readonly Path[],
  );
}

function randomWalks({ inputs }: Observed, requests: number, random: () => number): Word[] {
  const walks: number[][] = [];
  for (let left = requests; left > 0; left -= WALK) {
    const length = Math.min(left, WALK);
    walks.push(Array.from({ length }, () => inputs[Math.floor(random() * inputs.length)]!));
  }
  return walks;
}

const percent = (part: number): string => (part === 1 ? '**100 %**' : `${(100 * part).toFixed(1)} %`);
const grouped = (count: number): string => count.toLocaleString('en-US');

function markdownTable({ rows, mutants: counts }: Table): string[] {
  const head = ['suite', 'tests', 'requests', ...counts.map((_, k) => `${k} hidden`)];
  return [
    `| ${head.join(' | ')} |`,
    `|---|${head
      .slice(1)
      .map(() => '---:|')
      .join('')}`,
    ...rows.map(
      ({ name, tests, requests, scores }) =>
        `| ${[name, grouped(tests), grouped(requests), ...scores.map(percent)].join(' | ')} |`,
    ),
    '',
    `Mutants: ${counts.map((count, k) => `${grouped(count)} with ${k} hidden`).join(', ')}.`,
  ];
}

/** `docs/mutants.md`, from the tables: the full set with and without GET first. */
export function mutantsPage(tables: readonly Table[]): string {
  const full = tables.find(({ capabilities, status }) => capabilities === FULL && status)!;
  const blind = tables.filter(({ status }) => !status);
  const others = tables.filter(({ capabilities, status }) => capabilities !== FULL && status);
  const nameOf = ({ capabilities }: Table) => capabilityNames(capabilities).join(', ');
  return [
    '# Which faults a suite finds',
    '',
    'A suite is as good as the faulty devices that it finds. Here they are made from the model itself: the',
    'states that requests reach, and in each the answer (done, done with a new data_fd, errno) and the target',
    'of every SET of MIG_DEVICE_STATE and of VFIO_DEVICE_RESET.',
    '',
    '- **0 hidden**: one transition has a wrong target or a wrong answer; every transition with every one.',
    '- **1 hidden**: one transition leads into a hidden copy of its target, which says the same to GET and does',
    '  the same, but for one transition with a wrong target or answer. Every transition with every such fault.',
    `- **2 hidden**: a copy behind a copy. Every ${SAMPLE}th of them was examined.`,
    '',
    'A mutant that answers every sequence of requests as the model does is no fault, and is left out; a walk of',
    'the product of both machines tells. A mutant is found when an answer to a request differs, or the state that',
    'GET tells after it. Each test begins in RUNNING; requests are counted without the GETs.',
    '',
    `## All capabilities: ${nameOf(full)}`,
    '',
    ...markdownTable(full),
    '',
    ...full.rows.map(({ name, about }) => `- ${name}: ${about}`),
    '',
    'Of the faults behind one hidden state three quarters are wrong targets, six for each transition; the rest are',
    'wrong answers, two for each. With one wrong answer for each transition there would be 3,969 in place of 4,536.',
    '',
    'On a live device two kinds of them are none. A request for the state that the device is in may be refused: the',
    'uAPI does not say that it works. And a reset has no way to give a data_fd. `mutant-devices.test.ts` runs a',
    'sample of the others as devices, with the cases of `stopcopy generate`, judged as by `stopcopy test`.',
    '',
    '## Without GET',
    '',
    'Where the state cannot be asked for, states that answer alike are one: the model is smaller, and a device',
    'that takes one of them for the other is not found by any suite. Its faults are those of the smaller model.',
    '',
    ...blind.flatMap((table) => [
      `### ${nameOf(table)}`,
      '',
      `Not told apart: ${table.indistinguishable.map((states) => states.join(', ')).join('; ')}.`,
      '',
      ...markdownTable(table),
      '',
    ]),
    '## Other capabilities',
    '',
    ...others.flatMap((table) => [`### ${nameOf(table)}`, '', ...markdownTable(table), '']),
    'Made by `test/conformance/mutants.test.ts`, which holds this page as it is. It is written anew by',
    '`npx vitest run test/conformance/mutants.test.ts --update`.',
    '',
  ].join('\n');
}
