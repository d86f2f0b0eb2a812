import { clean } from '../../text/words.js';
import type { Report, Span } from '../report.js';
import { type Clock, hostNames, makeClock } from './clock.js';

/**
 * What the scripts of the HTML report get, as JSON. Times are microseconds from the first of the report; numbers
 * stand in flat lists, so that a hundred thousand of them are read at once.
 */
export interface PageData {
  /** Names of states and statuses; spans name them by their place. */
  readonly names: readonly string[];
  readonly lanes: readonly LaneData[];
  /** The findings with a time: their number in the list of the page, lane, and time. */
  readonly marks: readonly MarkData[];
  readonly end: number;
}

export interface LaneData {
  readonly title: string;
  readonly host: string;
  readonly kind: 'status' | 'run' | 'device' | 'curve';
  /** Name, start and end of each span, in the order of their starts. */
  readonly spans?: readonly number[];
  /** Time and value of each point. */
  readonly points?: readonly number[];
  readonly unit?: 'bytes' | 'pages';
}

export interface MarkData {
  readonly finding: number;
  readonly lane: number;
  readonly t: number;
  readonly level: string;
}

/** The timeline of a report. */
export function pageData(report: Report): PageData {
  const clock = makeClock(report);
  const names = new Map<string, number>();
  const lanes = hostNames(report).flatMap((host) => lanesOf(report, host, clock, names));
  return {
    names: [...names.keys()].map(clean),
    // A name from a trace may turn the direction of what is drawn behind it.
    lanes: lanes.map((lane) => ({ ...lane, title: clean(lane.title), host: clean(lane.host) })),
    marks: marksOf(report, clock, lanes),
    end: Math.max(1, ...[...clock.range].map(([host, { last }]) => last - clock.base(host))),
  };
}

function lanesOf(report: Report, host: string, clock: Clock, names: Map<string, number>): LaneData[] {
  const own = report.hosts.find(({ id }) => id === host);
  const base = clock.base(host);
  const last = clock.range.get(host)?.last ?? base;
  const spansOf = (spans: readonly Span[]): number[] =>
    spans.flatMap(({ name, start, end }) => [
      numberOf(names, name),
      start - base,
      Math.max(start, end ?? last) - base,
    ]);
  const lane = (title: string, kind: LaneData['kind'], spans: readonly Span[]): LaneData[] =>
    spans.length === 0 ? [] : [{ title, host, kind, spans: spansOf(spans) }];
  return [
    ...lane('migration status', 'status', own?.statuses ?? []),
    ...lane('run state', 'run', own?.runStates ?? []),
    ...report.devices
      .filter((device) => device.host === host)
      .map(({ id, states }): LaneData => ({ title: id, host, kind: 'device', spans: spansOf(states) })),
    ...(own?.curves ?? []).map(
      ({ name, unit, points }): LaneData => ({
        title: name,
        host,
        kind: 'curve',
        unit,
        points: points.flatMap(([t, value]) => [t - base, value]),
      }),
    ),
  ];
}

function numberOf(names: Map<string, number>, name: string): number {
  const known = names.get(name);
  if (known !== undefined) return known;
  names.set(name, names.size);
  return names.size - 1;
}

/** A finding about a whole host is marked at the first lane of it. */
function marksOf(report: Report, clock: Clock, lanes: readonly LaneData[]): MarkData[] {
  return report.violations.flatMap(({ host, device, t, level }, finding) => {
    if (t === null) return [];
    const own = lanes.findIndex(
      (lane) => lane.host === host && lane.kind === 'device' && lane.title === device,
    );
    const lane = own >= 0 ? own : lanes.findIndex((each) => each.host === host);
    return lane < 0 ? [] : [{ finding, lane, t: t - clock.base(host), level }];
  });
}
