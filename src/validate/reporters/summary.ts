import { bytes, clean, duration, hanging, list, number, type Paint, plural } from '../../text/words.js';
import type { DeviceReport, InputReport, MigrationMeasurement, Report } from '../report.js';
import { isStdin } from './place.js';

/** Devices that get a line of their own; those with violations come first. */
const MOST_DEVICES = 24;
const MOST_MIGRATIONS = 24;
const MOST_NAMES = 5;

/** Findings that were left out, by rule. */
export function suppressedLines(report: Report): string[] {
  const rules = Object.entries(report.suppressed);
  if (rules.length === 0) return [];
  const total = rules.reduce((sum, [, count]) => sum + count, 0);
  const named = rules.map(([rule, count]) => `${rule} (${number(count)})`);
  return hanging('not shown: ', `${plural(total, 'more finding')}: ${list(named, 10)}; see --max-findings`);
}

/** A line for each device. */
export function deviceLines(report: Report, paint: Paint): string[] {
  if (report.devices.length === 0) return [];
  const rank = { violation: 0, inconclusive: 1, conformant: 2 } as const;
  const sorted = report.devices
    .map((device, index) => ({ device, index }))
    .sort((a, b) => rank[a.device.verdict] - rank[b.device.verdict] || a.index - b.index)
    .map(({ device }) => device);
  const rest = sorted.slice(MOST_DEVICES);
  const lines = [paint('bold', 'devices'), ...sorted.slice(0, MOST_DEVICES).flatMap(deviceLine)];
  if (rest.length > 0) lines.push(`  and ${plural(rest.length, 'more device')}: ${tally(rest)}`);
  return lines;
}

const KINDS: Readonly<Record<NonNullable<DeviceReport['kind']>, string>> = {
  vhost: 'vhost',
  'vhost-user': 'vhost-user',
  vdpa: 'vDPA',
  'dirty-log': 'dirty log',
};

/** What it is and how far it was at the end, of a device that is none of VFIO. */
function otherFacts({ kind, state }: DeviceReport): string[] {
  const end = state === undefined ? [] : [`state ${state === null ? 'not certain' : clean(state)}`];
  return kind === undefined ? [] : [KINDS[kind], ...end];
}

function vfioFacts(device: DeviceReport): string[] {
  const capabilities =
    device.capabilities.length > 0 ? device.capabilities.map(clean).join(' + ') : 'not shown';
  return [
    `capabilities ${capabilities}`,
    `final state ${device.finalState ?? 'not certain'}`,
    plural(device.transitions, 'transition'),
  ];
}

function deviceLine(device: DeviceReport): string[] {
  const role = device.role === 'none' ? [] : [device.role];
  const moved = [
    ...(device.bytesRead > 0 ? [`${bytes(device.bytesRead)} read`] : []),
    ...(device.bytesWritten > 0 ? [`${bytes(device.bytesWritten)} written`] : []),
  ];
  const facts = [
    device.verdict,
    ...role,
    ...(device.kind === undefined ? vfioFacts(device) : otherFacts(device)),
    ...moved,
  ];
  return hanging(`  ${clean(device.host)}/${clean(device.id)}: `, facts.join(', '));
}

function tally(devices: readonly DeviceReport[]): string {
  const counts = new Map<string, number>();
  for (const { verdict } of devices) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  return [...counts].map(([verdict, count]) => `${number(count)} ${verdict}`).join(', ');
}

/** Migrations with their times, and the time each device spent in each state. */
export function measurementLines(report: Report, paint: Paint): string[] {
  const { migrations, timeInState } = report.measurements;
  const times = Object.entries(timeInState).filter(([, states]) => Object.keys(states).length > 0);
  const lines: string[] = [];
  if (migrations.length > 0) {
    lines.push(paint('bold', 'migrations'), ...migrations.slice(0, MOST_MIGRATIONS).flatMap(migrationLine));
    const more = migrations.length - MOST_MIGRATIONS;
    if (more > 0) lines.push(`  and ${plural(more, 'more migration')}`);
  }
  if (times.length > 0) lines.push(paint('bold', 'time in state'));
  for (const [device, states] of times.slice(0, MOST_DEVICES)) {
    const parts = Object.entries(states).map(([state, time]) => `${state} ${duration(time)}`);
    lines.push(...hanging(`  ${clean(device)}: `, parts.join(', ')));
  }
  if (times.length > MOST_DEVICES) lines.push(`  and ${plural(times.length - MOST_DEVICES, 'more device')}`);
  return lines;
}

function migrationLine(migration: MigrationMeasurement): string[] {
  const { precopy, stopcopy } = migration.bytes;
  const facts = [
    migration.outcome + (migration.total === null ? '' : ` in ${duration(migration.total)}`),
    migration.downtime === null ? 'downtime not seen' : `downtime ${duration(migration.downtime)}`,
    `device state ${bytes(precopy + stopcopy)} (${bytes(precopy)} pre-copy, ${bytes(stopcopy)} stop-copy)`,
    plural(migration.rounds, 'round'),
  ];
  return hanging(`  ${clean(migration.host)} as ${migration.role}: `, facts.join(', '));
}

/** How many rules were checked and why the others were not. */
export function ruleLines(report: Report): string[] {
  const { checked, notObservable, notApplicable } = report.rules;
  const missing = [...new Set(notObservable.flatMap((rule) => rule.needs))];
  const why = missing.length > 0 ? ` (the input cannot show ${list(missing, MOST_NAMES)})` : '';
  return hanging(
    'rules: ',
    `${number(checked.length)} checked, ${number(notObservable.length)} not observable${why}, ` +
      `${number(notApplicable.length)} not applicable`,
  );
}

/** What is remarkable about an input: cut at the end, and what its reader has to say. */
export function inputLines(report: Report): string[] {
  return report.inputs.flatMap((input) =>
    remarks(input).flatMap((text) => hanging(`input ${inputName(input)}: `, text)),
  );
}

function inputName(input: InputReport): string {
  return isStdin(input.file) ? '(standard input)' : clean(input.file);
}

function remarks(input: InputReport): string[] {
  const end = input.cut ? ['the last line or record is incomplete: the recording was cut'] : [];
  return [...end, ...input.remarks.map(clean)];
}

/** Lines read, decoded, ignored and malformed, and the most frequent unknown event names. */
export function eventLines(report: Report): string[] {
  const { lines, decoded, ignored, malformed, unknown } = report.events;
  const names = Object.entries(unknown).sort(([, a], [, b]) => b - a);
  const total = names.reduce((sum, [, count]) => sum + count, 0);
  const top = list(
    names.map(([name, count]) => `${clean(name)} (${number(count)})`),
    MOST_NAMES,
  );
  const tail = names.length > 0 ? `; ${plural(total, 'event')} of unknown names: ${top}` : '';
  return hanging(
    'events: ',
    `${plural(lines, 'line')}, ${number(decoded)} decoded, ${number(ignored)} ignored, ` +
      `${number(malformed)} malformed${tail}`,
  );
}
