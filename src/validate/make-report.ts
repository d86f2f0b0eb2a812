import { capabilityNames } from '../machines/index.js';
import { RULES } from '../rules/index.js';
import type { Level, Rule } from '../rules/rule.js';
import type { EventKind } from '../trace/event.js';
import type { ReadSummary } from '../trace/open.js';
import { crowdRemark } from './crowd.js';
import type { DeviceTracker } from './device-tracker.js';
import type { Engine } from './engine.js';
import type { Unlisted } from './findings.js';
import { getOrAdd } from './get-or-add.js';
import type { HostTracker } from './host-tracker.js';
import {
  type DeviceReport,
  type Finding,
  type HostReport,
  type InputReport,
  REPORT_SCHEMA,
  type Report,
  type Verdict,
} from './report.js';

const SEVERITY: Readonly<Record<Level, number>> = { note: 0, should: 1, must: 2 };

/** Whose the findings are that make a violation. */
class Owners {
  /** There is such a finding at all. */
  readonly some: boolean;
  readonly #devices = new Map<string, Set<string | null>>();

  constructor(findings: readonly { host: string; device: string | null }[]) {
    this.some = findings.length > 0;
    for (const { host, device } of findings)
      getOrAdd(this.#devices, host, () => new Set<string | null>()).add(device);
  }

  has(device: DeviceTracker): boolean {
    return this.#devices.get(device.host.id)?.has(device.id) === true;
  }
}

/** Puts together what the engine found. */
export function makeReport(
  engine: Engine,
  inputs: readonly ReadSummary[],
  options: { failOn?: Level | undefined; maxFindings?: number | undefined },
): Report {
  engine.measure.finish();
  const threshold = SEVERITY[options.failOn ?? 'should'];
  const standing = engine.findings.standing();
  const unlisted = engine.findings.unlisted();
  const broken = new Owners([...standing, ...unlisted].filter(({ level }) => SEVERITY[level] >= threshold));
  const rules = ruleReport(engine, inputs);
  const judged = rules.checked.length > 0;
  const devices = [...engine.hosts.values()].flatMap((host) =>
    [...host.devices.values()].map((device) => deviceReport(engine, device, broken, judged)),
  );
  const verdict = overall(engine, devices, broken);
  const kept = standing.slice(0, options.maxFindings ?? standing.length);
  return {
    schema: REPORT_SCHEMA,
    verdict,
    reason: verdict === 'inconclusive' ? reasonOf(engine, devices) : null,
    devices,
    hosts: [...engine.hosts.values()].map((host) => hostReport(engine, host)),
    violations: kept,
    suppressed: suppressed(standing.slice(kept.length), unlisted),
    rules,
    events: eventCounts(inputs),
    inputs: inputs.map(inputReport),
    measurements: {
      migrations: engine.measure.migrations,
      timeInState: Object.fromEntries(
        [...engine.hosts.values()].flatMap((host) =>
          [...host.devices.values()].map((each) => [`${host.id}/${each.id}`, engine.measure.timesOf(each)]),
        ),
      ),
    },
  };
}

/** @param judged whether any rule was put to the test: without one nothing is conformant */
function deviceReport(engine: Engine, device: DeviceTracker, broken: Owners, judged: boolean): DeviceReport {
  const mine = broken.has(device);
  const capabilities = device.capabilities();
  const kind = device.otherKind;
  return {
    id: device.id,
    host: device.host.id,
    verdict: mine ? 'violation' : device.relevant && judged ? 'conformant' : 'inconclusive',
    ...(kind === undefined ? {} : { kind }),
    ...(device.via === undefined ? {} : { state: device.backEndState }),
    role: roleOf(device),
    capabilities: kind === undefined && capabilities.length === 1 ? capabilityNames(capabilities[0]!) : [],
    finalState: device.relevant && kind === undefined ? device.finalState() : null,
    transitions: device.transitions,
    bytesRead: device.bytesRead,
    bytesWritten: device.bytesWritten,
    states: engine.measure.spansOf(device),
  };
}

function roleOf(device: DeviceTracker): DeviceReport['role'] {
  if (device.host.isSource && !device.host.isDestination) return 'source';
  if (device.host.isDestination && !device.host.isSource) return 'destination';
  if (device.bytesRead > 0) return 'source';
  return device.bytesWritten > 0 ? 'destination' : 'none';
}

function hostReport(engine: Engine, host: HostTracker): HostReport {
  const role = host.isSource
    ? host.isDestination
      ? 'both'
      : 'source'
    : host.isDestination
      ? 'destination'
      : 'none';
  return { id: host.id, role, version: host.version, ...engine.measure.hostOf(host) };
}

function overall(engine: Engine, devices: readonly DeviceReport[], broken: Owners): Verdict {
  if (broken.some) return 'violation';
  if (engine.crowd.turnedAway > 0) return 'inconclusive';
  return devices.some(({ verdict }) => verdict === 'conformant') ? 'conformant' : 'inconclusive';
}

function reasonOf(engine: Engine, devices: readonly DeviceReport[]): string {
  if (engine.crowd.turnedAway > 0) return crowdRemark(engine.crowd.turnedAway);
  if (devices.length === 0) return 'the input shows no device';
  const seen = [...engine.hosts.values()].some((host) =>
    [...host.devices.values()].some((each) => each.relevant),
  );
  return seen
    ? 'no rule could be checked on what the input shows'
    : 'no state, data or dirty logging of a device was seen, and no request to a back end';
}

/** How many findings of each rule are not listed. */
function suppressed(beyond: readonly Finding[], unlisted: readonly Unlisted[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const { rule, count } of unlisted) result[rule.id] = (result[rule.id] ?? 0) + count;
  for (const { rule } of beyond) result[rule] = (result[rule] ?? 0) + 1;
  return result;
}

/** Sorts the rules: put to the test, not visible in this kind of input, or never in question. */
function ruleReport(engine: Engine, inputs: readonly ReadSummary[]): Report['rules'] {
  const { seen } = engine;
  const shown = new Set(inputs.flatMap(({ shows }) => [...shows]));
  const result: Report['rules'] = { checked: [], notObservable: [], notApplicable: [] };
  for (const rule of RULES) {
    const missing = rule.needs.filter((kind) => !shown.has(kind));
    if (missing.length > 0) result.notObservable.push({ rule: rule.id, needs: missing });
    else if (wasChecked(engine, seen, rule)) result.checked.push(rule.id);
    else result.notApplicable.push(rule.id);
  }
  return result;
}

/** A rule counts as checked when its situation came and nothing that it needs was switched off. */
function wasChecked(engine: Engine, seen: ReadonlySet<EventKind>, rule: Rule): boolean {
  return engine.checked.has(rule.id) && rule.needs.every((kind) => seen.has(kind));
}

function eventCounts(inputs: readonly ReadSummary[]): Report['events'] {
  const total = { lines: 0, decoded: 0, ignored: 0, malformed: 0, unknown: {} as Record<string, number> };
  for (const { counts } of inputs) {
    total.lines += counts.lines;
    total.decoded += counts.decoded;
    total.ignored += counts.ignored;
    total.malformed += counts.malformed;
    for (const [name, count] of counts.unknown) total.unknown[name] = (total.unknown[name] ?? 0) + count;
  }
  return total;
}

function inputReport({ counts, shows: _shows, ...rest }: ReadSummary): InputReport {
  return { ...rest, counts: { ...counts, unknown: Object.fromEntries(counts.unknown) } };
}
