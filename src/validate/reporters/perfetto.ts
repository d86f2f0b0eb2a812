import type { DeviceReport, Finding, HostReport, Report, Span } from '../report.js';
import { type Clock, hostNames, makeClock } from './clock.js';
import { attemptSpans } from './page-data.js';
import type { ReporterOptions } from './reporter.js';

/** Tracks of a host beside its devices, in the order in which a viewer lists them. */
const HOST_TRACKS = { attempts: 1, migration: 2, runState: 3, findings: 4 } as const;
const FIRST_DEVICE = 10;

/**
 * A timeline for Perfetto and chrome://tracing (Trace Event Format): a process for each host, a thread
 * for each device, migrations with their downtime and states as asynchronous spans, curves as counters,
 * violations as instants with all that is said of them, their lines included. Times are microseconds from
 * the first that the report holds, since absolute ones would lose digits in a viewer's doubles.
 */
export function* perfetto(report: Report, options: ReporterOptions): Generator<string> {
  const clock = makeClock(report);
  yield '{"displayTimeUnit":"ms","traceEvents":[';
  let separator = '\n';
  for (const event of events(report, options, clock)) {
    yield `${separator}${JSON.stringify(event)}`;
    separator = ',\n';
  }
  const untimed = report.violations.filter((finding) => finding.t === null).length;
  const otherData = { verdict: report.verdict, reason: report.reason, findingsWithoutTime: untimed };
  yield `\n],"otherData":${JSON.stringify(otherData)}}\n`;
}

type TraceEvent = Record<string, unknown> & { ph: string; pid: number };

function* events(report: Report, options: ReporterOptions, clock: Clock): Generator<TraceEvent> {
  for (const [index, host] of hostNames(report).entries()) {
    const pid = index + 1;
    const version = report.hosts.find((item) => item.id === host)?.version ?? null;
    yield name('process_name', pid, 0, version === null ? host : `${host} (${version})`);
    const attempts = attemptSpans(report.measurements.migrations, host);
    yield* hostTracks(
      report.hosts.find((item) => item.id === host),
      attempts,
      pid,
      clock,
    );
    const devices = report.devices.filter((device) => device.host === host);
    for (const [place, device] of devices.entries())
      yield* deviceTrack(device, pid, FIRST_DEVICE + place, clock);
    const tids = new Map(devices.map((device, place) => [device.id, FIRST_DEVICE + place]));
    const findings = report.violations.filter((finding) => finding.host === host && finding.t !== null);
    if (findings.some(({ device }) => device === null))
      yield name('thread_name', pid, HOST_TRACKS.findings, 'findings');
    for (const finding of findings) {
      const tid =
        finding.device === null ? HOST_TRACKS.findings : (tids.get(finding.device) ?? HOST_TRACKS.findings);
      yield instant(finding, options, pid, tid, clock);
    }
  }
}

function* hostTracks(
  host: HostReport | undefined,
  attempts: readonly Span[],
  pid: number,
  clock: Clock,
): Generator<TraceEvent> {
  if (host === undefined) return;
  const tracks = [
    { tid: HOST_TRACKS.attempts, title: 'migration', spans: attempts },
    { tid: HOST_TRACKS.migration, title: 'migration status', spans: host.statuses },
    { tid: HOST_TRACKS.runState, title: 'run state', spans: host.runStates },
  ];
  for (const { tid, title, spans } of tracks) {
    if (spans.length === 0) continue;
    yield name('thread_name', pid, tid, title);
    yield* spanEvents(spans, { cat: title, id: `${host.id}/${title}`, pid, tid }, host.id, clock);
  }
  for (const { name: title, unit, points } of host.curves)
    for (const [t, value] of points)
      yield { ph: 'C', name: title, pid, ts: t - clock.base(host.id), args: { [unit]: value } };
}

function* deviceTrack(device: DeviceReport, pid: number, tid: number, clock: Clock): Generator<TraceEvent> {
  yield name('thread_name', pid, tid, device.id);
  const track = { cat: 'device state', id: `${device.host}/${device.id}`, pid, tid };
  yield* spanEvents(device.states, track, device.host, clock);
}

/** A span that is still open at the end ends with the last time of its host: viewers drop what has no end. */
function* spanEvents(
  spans: readonly Span[],
  track: { cat: string; id: string; pid: number; tid: number },
  host: string,
  clock: Clock,
): Generator<TraceEvent> {
  const base = clock.base(host);
  const last = clock.range.get(host)?.last ?? base;
  for (const { name, start, end } of spans) {
    const open = end === null ? { args: { open: true } } : {};
    yield { ph: 'b', name, ...track, ts: start - base, ...open };
    yield { ph: 'e', name, ...track, ts: Math.max(start, end ?? last) - base };
  }
}

function instant(
  finding: Finding,
  { excerpts }: ReporterOptions,
  pid: number,
  tid: number,
  clock: Clock,
): TraceEvent {
  const { rule, title, party, level, message, file, line, expected, before, device, cause, known } = finding;
  const { id, source, text } = finding.clause;
  const raw = file === null || line === null ? undefined : excerpts.get(file)?.get(line);
  const args = {
    rule,
    party,
    level,
    message,
    device,
    file,
    line,
    ...(raw === undefined ? {} : { raw }),
    expected,
    before,
    clause: id,
    clauseText: `${source}: ${text}`,
    cause,
    ...(known === null ? {} : { known }),
  };
  const ts = finding.t! - clock.base(finding.host);
  return { ph: 'i', s: 't', cat: 'finding', name: `${rule}: ${title}`, pid, tid, ts, args };
}

function name(kind: 'process_name' | 'thread_name', pid: number, tid: number, text: string): TraceEvent {
  return { ph: 'M', name: kind, pid, tid, args: { name: text } };
}
