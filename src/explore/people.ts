import { bytes, hanging, number, type Paint, plural } from '../text/words.js';
import { chartText } from './counterexample/chart.js';
import { chartMermaid } from './counterexample/mermaid.js';
import type { Model } from './model.js';
import type { ExploreReport, ReportedPath, ReportedProperty } from './report.js';
import type { Incomplete, Verdict } from './result.js';

export interface PeopleOptions {
  readonly paint: Paint;
  readonly chart: 'text' | 'mermaid';
  /** Show the witnesses of `sometimes` too. */
  readonly witnesses: boolean;
  /** Say below each step of a text chart what it changed. */
  readonly changes?: boolean;
}

const STYLE = { holds: 'green', violated: 'red', unknown: 'yellow' } as const;

const WHY: Readonly<Record<Incomplete, string>> = {
  memory: 'the bound of memory was hit (--max-memory)',
  states: 'the bound of states was hit (--max-states)',
  depth: 'the bound of depth was hit (--max-depth)',
  time: 'the time was over (--max-time)',
  interrupted: 'it was interrupted',
};

/** The report for people, in lines of at most 100 columns. */
export function* exploreText(model: Model, report: ExploreReport, options: PeopleOptions): Generator<string> {
  const { paint } = options;
  const [first, ...rest] = hanging(`${model.name}: `, `${model.title} (${sizeOf(model)})`);
  yield first!.replace(model.name, paint('bold', model.name));
  yield* rest;
  yield '';
  for (const property of report.properties) yield* propertyLines(model, property, options);
  yield '';
  yield* verdictLines(report, paint);
  if (report.properties.some(({ counterexample }) => counterexample !== null)) yield* nextLines(model);
}

function sizeOf({ options: { devices, pages, faults, variant } }: Model): string {
  const parts = [
    devices > 0 ? plural(devices, 'device') : '',
    pages > 0 ? plural(pages, 'page') : '',
    `at most ${plural(faults, 'fault')}`,
    variant === null ? '' : `variant ${variant}`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function* propertyLines(model: Model, property: ReportedProperty, options: PeopleOptions): Generator<string> {
  const { id, kind, words, verdict, reason, counterexample, witness } = property;
  // The head is measured without its colour.
  const [first, ...rest] = hanging(`${mark(verdict)} ${id} (${kind}): `, words);
  yield first!.replace(mark(verdict), options.paint(STYLE[verdict], mark(verdict)));
  yield* rest;
  if (reason !== null) yield* hanging('           ', reason);
  if (counterexample !== null) yield* pathLines(model, counterexample, options);
  if (witness !== null && options.witnesses) yield* pathLines(model, witness, options);
}

const mark = (verdict: Verdict): string => verdict.padEnd(8);

function* pathLines(model: Model, path: ReportedPath, { chart, changes }: PeopleOptions): Generator<string> {
  yield '';
  yield* chart === 'mermaid'
    ? chartMermaid(model, path)
    : chartText(model, path, { changes: changes ? path.changes : undefined });
  yield '';
}

function* verdictLines(report: ExploreReport, paint: Paint): Generator<string> {
  const { verdict, complete, reason, states, edges, depth, bounds, statistics } = report;
  const counted = `${plural(states, 'state')}, ${plural(edges, 'edge')}, depth ${depth}`;
  const how = complete
    ? `complete, exact keys${bounds.symmetry ? ', equal members in any order counted once' : ''}`
    : `not complete: ${WHY[reason!]}`;
  yield* hanging('explored: ', `${counted} (${how})`);
  yield `          ${statistics.seconds.toFixed(2)} s, ${number(Math.round(statistics.edgesPerSecond))} edges/s, ${bytes(Math.round(statistics.bytesPerState))} a state`;
  yield `verdict: ${paint(STYLE[verdict], verdict.toUpperCase())}  ${verdictWords(report)}`;
}

function verdictWords({ verdict, properties }: ExploreReport): string {
  const count = (of: Verdict): number => properties.filter((each) => each.verdict === of).length;
  const are = (of: Verdict): string => plural(count(of), 'property is', 'properties are');
  if (verdict === 'violated')
    return `${are('violated')} violated${count('unknown') > 0 ? `, ${are('unknown')} not decided` : ''}`;
  if (verdict === 'holds') return plural(properties.length, 'property holds', 'properties hold');
  return count('unknown') > 0 ? `${are('unknown')} not decided` : 'not every state was seen';
}

/** What can be done with a counterexample. */
function* nextLines({ name }: Model): Generator<string> {
  const next = [
    [`--trace ${name}.ndjson`, 'the first run as events, for stopcopy validate'],
    [`--vitest ${name}.test.ts`, 'the first run as a test'],
    [`--export promela -o ${name}.pml`, 'the model, for Spin'],
  ] as const;
  const width = Math.max(...next.map(([flags]) => flags.length));
  yield '';
  yield 'with the same options:';
  for (const [flags, words] of next) yield `  ${flags.padEnd(width)}  ${words}`;
}
