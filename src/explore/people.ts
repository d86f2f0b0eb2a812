import { bytes, hanging, number, type Paint, plural } from '../text/words.js';
import { chartMermaid, chartText } from './counterexample/chart.js';
import type { Model } from './model.js';
import type { ExploreReport, ReportedProperty } from './report.js';
import type { Incomplete, Path, Verdict } from './result.js';

export interface PeopleOptions {
  readonly paint: Paint;
  readonly chart: 'text' | 'mermaid';
  /** Show the witnesses of `sometimes` too. */
  readonly witnesses: boolean;
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
  yield `${paint('bold', model.name)}: ${model.title} (${sizeOf(model)})`;
  yield '';
  for (const property of report.properties) yield* propertyLines(model, property, options);
  yield '';
  yield* verdictLines(report, paint);
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

function* pathLines(model: Model, path: Path, { chart }: PeopleOptions): Generator<string> {
  yield '';
  yield* chart === 'mermaid' ? chartMermaid(model, path) : chartText(model, path);
  yield '';
}

function* verdictLines(report: ExploreReport, paint: Paint): Generator<string> {
  const { verdict, complete, reason, states, edges, depth, bounds, statistics } = report;
  const counted = `${plural(states, 'state')}, ${plural(edges, 'edge')}, depth ${depth}`;
  const how = complete
    ? `complete, exact keys${bounds.symmetry ? ', equal members in any order counted once' : ''}`
    : `not complete: ${WHY[reason!]}`;
  yield `explored: ${counted} (${how})`;
  yield `          ${statistics.seconds.toFixed(2)} s, ${number(Math.round(statistics.edgesPerSecond))} edges/s, ${bytes(Math.round(statistics.bytesPerState))} a state`;
  const open = report.properties.filter((each) => each.verdict === 'unknown').length;
  const broken = report.properties.filter((each) => each.verdict === 'violated').length;
  const say = {
    holds: `all ${plural(report.properties.length, 'property', 'properties')} hold`,
    violated: `${plural(broken, 'property is', 'properties are')} violated${open > 0 ? `, ${open} not decided` : ''}`,
    unknown: `${plural(open, 'property is', 'properties are')} not decided`,
  }[verdict];
  yield `verdict: ${paint(STYLE[verdict], verdict.toUpperCase())}  ${say}`;
}
