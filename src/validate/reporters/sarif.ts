import { createHash } from 'node:crypto';
import type { Location, Log, Notification, ReportingDescriptor, Result, Run } from 'sarif';
import { jsonText } from '../../text/json.js';
import type { Finding, Level, Report } from '../report.js';
import { fileUri, isBinary } from './place.js';
import type { ReporterOptions, RuleInfo } from './reporter.js';
import { verdictFacts } from './verdict.js';

const LEVELS = { must: 'error', should: 'warning', note: 'note' } as const satisfies Record<
  Level,
  Result.level
>;

/** SARIF 2.1.0 with one run: all rules, a result for each finding, and what the verdict rests on. */
export function sarif(report: Report, options: ReporterOptions): Iterable<string> {
  const log: Log = {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [run(report, options)],
  };
  return jsonText(log);
}

function run(report: Report, options: ReporterOptions): Run {
  const rules = descriptors(report, options);
  const indices = new Map(rules.map((rule, index) => [rule.id, index]));
  return {
    tool: { driver: { name: 'stopcopy', version: options.version, rules } },
    columnKind: 'utf16CodeUnits',
    originalUriBaseIds: { SRCROOT: { description: { text: 'Directory in which stopcopy was started.' } } },
    invocations: [
      {
        executionSuccessful: report.verdict !== 'inconclusive',
        toolExecutionNotifications: notifications(report),
      },
    ],
    artifacts: report.inputs.flatMap((input) => {
      const location = artifact(input.file, options);
      return location === null ? [] : [{ location, length: input.bytes }];
    }),
    results: report.violations.map((finding) => result(finding, indices.get(finding.rule)!, report, options)),
    properties: {
      verdict: report.verdict,
      reason: report.reason,
      rules: report.rules,
      events: report.events,
      suppressed: report.suppressed,
    },
  };
}

/** Every rule of the tool, and those that only the report knows. */
function descriptors(report: Report, options: ReporterOptions): ReportingDescriptor[] {
  const known = new Set(options.rules.map((rule) => rule.id));
  const others = new Map<string, RuleInfo>();
  for (const finding of report.violations) {
    if (known.has(finding.rule)) continue;
    const { rule: id, title, party, level, clause, cause } = finding;
    others.set(id, { id, title, party, level, clause, about: title, causes: cause });
  }
  return [...options.rules, ...others.values()].map(descriptor);
}

function descriptor(rule: RuleInfo): ReportingDescriptor {
  const clause = `${rule.clause.id}, ${rule.clause.source}: ${rule.clause.text}`;
  return {
    id: rule.id,
    shortDescription: { text: rule.title },
    fullDescription: { text: rule.about },
    help: { text: `${rule.about}\n\nClause: ${clause}\n\nUsual causes: ${rule.causes}` },
    defaultConfiguration: { level: LEVELS[rule.level] },
    properties: {
      party: rule.party,
      level: rule.level,
      clause: rule.clause.id,
      tags: [rule.party, rule.level],
    },
  };
}

function result(finding: Finding, ruleIndex: number, report: Report, options: ReporterOptions): Result {
  const expected = finding.expected.length > 0 ? ` Expected: ${finding.expected.join(', or ')}.` : '';
  const known = finding.known === null ? '' : ` Known deviation: ${finding.known}`;
  return {
    ruleId: finding.rule,
    ruleIndex,
    level: LEVELS[finding.level],
    message: { text: `${finding.message.replace(/\.$/, '')}.${expected}${known}` },
    locations: [location(finding, report, options)],
    partialFingerprints: { 'stopcopyFinding/v1': fingerprint(finding) },
    properties: {
      party: finding.party,
      host: finding.host,
      device: finding.device,
      before: finding.before,
      t: finding.t,
      cause: finding.cause,
    },
  };
}

function location(finding: Finding, report: Report, options: ReporterOptions): Location {
  const logical = {
    name: finding.device ?? finding.host,
    fullyQualifiedName: finding.device === null ? finding.host : `${finding.host}/${finding.device}`,
    kind: finding.device === null ? 'host' : 'device',
  };
  const artifactLocation = finding.file === null ? null : artifact(finding.file, options);
  if (artifactLocation === null) return { logicalLocations: [logical] };
  const { file, line } = finding;
  const binary = file !== null && isBinary(file, report);
  const region =
    line === null ? {} : { region: binary ? { byteOffset: line } : { startLine: Math.max(1, line) } };
  return { physicalLocation: { artifactLocation, ...region }, logicalLocations: [logical] };
}

function artifact(file: string, options: ReporterOptions): { uri: string; uriBaseId?: string } | null {
  const place = fileUri(file, options);
  if (place === null) return null;
  return place.relative ? { uri: place.uri, uriBaseId: 'SRCROOT' } : { uri: place.uri };
}

/**
 * Identity of a finding across runs: rule, device and the place in the protocol. Line numbers, times
 * and other figures are left out, so that the next recording of the same fault has the same identity.
 */
function fingerprint({ rule, device, before, expected, message }: Finding): string {
  const words = message.replace(/0x[0-9a-f]+|\d+/gi, '#');
  const place = JSON.stringify([rule, device, [...before].sort(), [...expected].sort(), words]);
  return createHash('sha256').update(place).digest('hex').slice(0, 32);
}

function notifications(report: Report): Notification[] {
  const texts = [
    `verdict: ${report.verdict}${report.reason === null ? '' : ` (${report.reason})`}; ${verdictFacts(report)}`,
    ...report.inputs.flatMap((input) => [
      ...(input.cut ? [`${input.file}: the last line or record is incomplete`] : []),
      ...input.remarks.map((remark) => `${input.file}: ${remark}`),
    ]),
  ];
  return texts.map((text) => ({ level: 'note', message: { text } }));
}
