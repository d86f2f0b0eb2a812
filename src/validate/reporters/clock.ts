import type { Report, Span } from '../report.js';

/** Clocks that are further apart than this do not share their zero (wall clock and time since boot). */
const SAME_CLOCK = 24 * 3600 * 1e6;

/** The times of a report's hosts, brought to one zero where their clocks have one. */
export interface Clock {
  /** First and last time of each host. */
  readonly range: ReadonlyMap<string, { first: number; last: number }>;
  base(host: string): number;
}

/** All hosts that the report speaks of. */
export function hostNames(report: Report): string[] {
  return [
    ...new Set([
      ...report.hosts.map((host) => host.id),
      ...report.devices.map((device) => device.host),
      ...report.violations.map((finding) => finding.host),
    ]),
  ];
}

/** Looks for the first and last time of each host. */
export function makeClock(report: Report): Clock {
  const range = new Map<string, { first: number; last: number }>();
  const see = (host: string, t: number | null) => {
    if (t === null) return;
    const seen = range.get(host);
    if (seen === undefined) range.set(host, { first: t, last: t });
    else {
      seen.first = Math.min(seen.first, t);
      seen.last = Math.max(seen.last, t);
    }
  };
  const seeSpans = (host: string, spans: readonly Span[]) => {
    for (const { start, end } of spans) {
      see(host, start);
      see(host, end);
    }
  };
  for (const host of report.hosts) {
    seeSpans(host.id, host.statuses);
    seeSpans(host.id, host.runStates);
    for (const { points } of host.curves) {
      see(host.id, points[0]?.[0] ?? null);
      see(host.id, points.at(-1)?.[0] ?? null);
    }
  }
  for (const device of report.devices) seeSpans(device.host, device.states);
  for (const { host, start, total } of report.measurements.migrations) {
    see(host, start);
    if (start !== null && total !== null) see(host, start + total);
  }
  for (const finding of report.violations) see(finding.host, finding.t);
  const firsts = [...range.values()].map(({ first }) => first);
  const common = firsts.length > 0 ? Math.min(...firsts) : 0;
  const shared = firsts.every((first) => first - common <= SAME_CLOCK);
  return { range, base: (host) => (shared ? common : (range.get(host)?.first ?? common)) };
}
