import { clean } from '../../text/words.js';
import type { MigrationMeasurement, Report, Span } from '../report.js';
import { type Clock, hostNames, makeClock } from './clock.js';

/**
 * What the scripts of the HTML report get, as JSON. Times are microseconds from the first of the report; numbers
 * stand in flat lists, so that a hundred thousand of them are read at once.
 */
export interface PageData {
  /** Names of states and statuses; spans name them by their place. */
  readonly names: readonly string[];
  /** Sources come first. */
  readonly hosts: readonly HostData[];
  /** The lanes of a host stand together, in the order of the hosts. */
  readonly lanes: readonly LaneData[];
  /** The findings with a time: their number in the list of the page, lane, and time. */
  readonly marks: readonly MarkData[];
  readonly end: number;
}

/** A host: a group of lanes. */
export interface HostData {
  readonly id: string;
  /** Its role and version, as far as they are known. */
  readonly about: string;
}

/** What is drawn in a row. */
export interface LaneData {
  readonly title: string;
  /** Place of its host. */
  readonly host: number;
  readonly kind: 'attempt' | 'status' | 'run' | 'device' | 'curve';
  /** Name, start and end of each span, in the order of their starts. */
  readonly spans?: readonly number[];
  /** Time and value of each point. */
  readonly points?: readonly number[];
  readonly unit?: 'bytes' | 'pages';
}

/** Where a finding is. */
export interface MarkData {
  readonly finding: number;
  readonly lane: number;
  readonly t: number;
  readonly level: string;
}

/** The part of a migration in which the VM runs nowhere. */
export const DOWNTIME = 'downtime';

/** The timeline of a report. */
export function pageData(report: Report): PageData {
  const clock = makeClock(report);
  const names = new Map<string, number>();
  const hosts = hostsInOrder(report);
  const lanes = hosts.flatMap((host, index) => lanesOf(report, host, index, clock, names));
  return {
    // A name from a trace may turn the direction of what is drawn behind it.
    names: [...names.keys()].map(clean),
    hosts: hosts.map((host) => ({ id: clean(host), about: clean(aboutHost(report, host)) })),
    lanes: lanes.map((lane) => ({ ...lane, title: clean(lane.title) })),
    marks: marksOf(report, clock, hosts, lanes),
    end: Math.max(1, ...[...clock.range].map(([host, { last }]) => last - clock.base(host))),
  };
}

/** Where a migration comes from stands above where it goes. */
function hostsInOrder(report: Report): string[] {
  const rank = { source: 0, both: 0, destination: 1, none: 2 } as const;
  const rankOf = (host: string): number => rank[report.hosts.find(({ id }) => id === host)?.role ?? 'none'];
  return hostNames(report).sort((a, b) => rankOf(a) - rankOf(b));
}

function aboutHost(report: Report, host: string): string {
  const own = report.hosts.find(({ id }) => id === host);
  const role =
    own === undefined || own.role === 'none'
      ? []
      : [own.role === 'both' ? 'source and destination' : own.role];
  return [...role, ...(own?.version ? [own.version] : [])].join(', ');
}

/** The attempts of a host to migrate, each with its downtime at the end, where that was seen. */
export function attemptSpans(migrations: readonly MigrationMeasurement[], host: string): Span[] {
  return migrations
    .filter((migration) => migration.host === host)
    .flatMap(({ outcome, start, total, downtime }): Span[] => {
      if (start === null) return [];
      if (total === null) return [{ name: outcome, start, end: null }];
      const end = start + total;
      if (downtime === null) return [{ name: outcome, start, end }];
      const stopped = Math.max(start, end - downtime);
      return [
        { name: outcome, start, end: stopped },
        { name: DOWNTIME, start: stopped, end },
      ];
    });
}

function lanesOf(
  report: Report,
  id: string,
  host: number,
  clock: Clock,
  names: Map<string, number>,
): LaneData[] {
  const own = report.hosts.find((each) => each.id === id);
  const base = clock.base(id);
  const last = clock.range.get(id)?.last ?? base;
  const spansOf = (spans: readonly Span[]): number[] =>
    spans.flatMap(({ name, start, end }) => [
      numberOf(names, name),
      start - base,
      Math.max(start, end ?? last) - base,
    ]);
  const lane = (title: string, kind: LaneData['kind'], spans: readonly Span[]): LaneData[] =>
    spans.length === 0 ? [] : [{ title, host, kind, spans: spansOf(spans) }];
  return [
    ...lane('migration', 'attempt', attemptSpans(report.measurements.migrations, id)),
    ...lane('migration status', 'status', own?.statuses ?? []),
    ...lane('run state', 'run', own?.runStates ?? []),
    ...report.devices
      .filter((device) => device.host === id)
      .map((device): LaneData => ({ title: device.id, host, kind: 'device', spans: spansOf(device.states) })),
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
function marksOf(
  report: Report,
  clock: Clock,
  hosts: readonly string[],
  lanes: readonly LaneData[],
): MarkData[] {
  const places = new Map<string, number>();
  for (const [index, { host, kind, title }] of lanes.entries()) {
    const first = JSON.stringify([hosts[host]]);
    if (!places.has(first)) places.set(first, index);
    if (kind === 'device') places.set(JSON.stringify([hosts[host], title]), index);
  }
  return report.violations.flatMap(({ host, device, t, level }, finding) => {
    if (t === null) return [];
    const lane =
      (device === null ? undefined : places.get(JSON.stringify([host, device]))) ??
      places.get(JSON.stringify([host]));
    return lane === undefined ? [] : [{ finding, lane, t: t - clock.base(host), level }];
  });
}
