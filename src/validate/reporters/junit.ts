import { xmlAttributes, xmlText } from '../../text/xml.js';
import type { Finding, Report } from '../report.js';
import { isStdin, placeText } from './place.js';
import { fails, type ReporterOptions } from './reporter.js';
import { type RuleResult, ruleResults } from './rule-results.js';
import { verdictFacts } from './verdict.js';

interface Case {
  readonly name: string;
  readonly classname: string;
  readonly file?: string;
  /** Ready XML inside the test case; empty when it passed. */
  readonly body: string;
  readonly outcome: 'passed' | 'failed' | 'error' | 'skipped';
}

interface Suite {
  readonly name: string;
  readonly cases: readonly Case[];
}

/**
 * JUnit XML: a suite for each device and, where findings are about the whole VM, for each host; in it
 * a test case for each rule that was checked. Rules that could not be checked are skipped test cases
 * of a suite of their own. An inconclusive verdict is an error, since nobody may take it for a pass.
 */
export function* junit(report: Report, options: ReporterOptions): Generator<string> {
  const results = ruleResults(report, options);
  const checked = results.filter((result) => result.status === 'checked');
  const suites = [
    ...places(report).map(({ host, device }) => placeSuite(host, device, checked, report, options)),
    skippedSuite(results.filter((result) => result.status !== 'checked')),
    verdictSuite(report),
  ].filter((suite) => suite.cases.length > 0);
  yield `<?xml version="1.0" encoding="UTF-8"?>\n`;
  const all = suites.flatMap((suite) => suite.cases);
  yield `<testsuites${xmlAttributes({ name: 'stopcopy validate', ...totals(all) })}>\n`;
  for (const suite of suites) yield* suiteText(suite);
  yield '</testsuites>\n';
}

function places(report: Report): { host: string; device: string | null }[] {
  const hosts = new Set(
    report.violations.filter((finding) => finding.device === null).map(({ host }) => host),
  );
  return [
    ...report.devices.map(({ host, id }) => ({ host, device: id })),
    ...[...hosts].map((host) => ({ host, device: null })),
  ];
}

function placeSuite(
  host: string,
  device: string | null,
  checked: readonly RuleResult[],
  report: Report,
  options: ReporterOptions,
): Suite {
  const cases = checked.flatMap((rule): Case[] => {
    const findings = rule.findings.filter((finding) => finding.host === host && finding.device === device);
    // The suite of a host holds only what was found: its rules have their test cases with the devices.
    if (device === null && findings.length === 0) return [];
    return [ruleCase(rule, findings, report, options)];
  });
  return { name: device === null ? host : `${host}/${device}`, cases };
}

function ruleCase(
  rule: RuleResult,
  findings: readonly Finding[],
  report: Report,
  options: ReporterOptions,
): Case {
  const bad = findings.filter((finding) => fails(finding.level, options.failOn));
  const file = findings.find((finding) => finding.file !== null && !isStdin(finding.file))?.file ?? undefined;
  return {
    name: `${rule.id} ${rule.title}`.trimEnd(),
    classname: rule.info?.party ?? findings[0]?.party ?? 'rule',
    ...(file === undefined ? {} : { file }),
    outcome: bad.length > 0 ? 'failed' : 'passed',
    body: findings.map((finding) => findingText(finding, report, bad.includes(finding))).join(''),
  };
}

function findingText(finding: Finding, report: Report, bad: boolean): string {
  const place = placeText(finding, report);
  const text = [
    ...(place === null ? [] : [place]),
    `found: ${finding.message}`,
    `party: ${finding.party}`,
    ...(finding.before.length > 0 ? [`possible states before: ${finding.before.join(', ')}`] : []),
    ...(finding.expected.length > 0 ? [`expected: ${finding.expected.join(', or ')}`] : []),
    `clause: ${finding.clause.id}, ${finding.clause.source}: ${finding.clause.text}`,
    `usual cause: ${finding.cause}`,
    ...(finding.known === null ? [] : [`known: ${finding.known}`]),
  ];
  // Each line is escaped by itself, so the newlines between them stay newlines.
  const body = text.map(xmlText).join('\n');
  if (!bad) return `      <system-out>${body}</system-out>\n`;
  return `      <failure${xmlAttributes({ message: finding.message, type: finding.level })}>${body}</failure>\n`;
}

function skippedSuite(results: readonly RuleResult[]): Suite {
  const cases = results.map(({ id, title, info, status, needs }): Case => {
    const why =
      status === 'not observable'
        ? `not observable: the input cannot show ${needs.join(', ')}`
        : 'not applicable: the situation did not come';
    return {
      name: `${id} ${title}`.trimEnd(),
      classname: info?.party ?? 'rule',
      outcome: 'skipped',
      body: `      <skipped${xmlAttributes({ message: why })}/>\n`,
    };
  });
  return { name: 'rules that were not checked', cases };
}

/** What no other test case tells: that nothing could be judged, or that findings were left out. */
function verdictSuite(report: Report): Suite {
  const cases: Case[] = [];
  const add = (name: string, outcome: 'error' | 'failed', tag: 'error' | 'failure', message: string) => {
    const body = `      <${tag}${xmlAttributes({ message, type: name })}>${xmlText(verdictFacts(report))}</${tag}>\n`;
    cases.push({ name, classname: 'stopcopy', outcome, body });
  };
  if (report.verdict === 'inconclusive') {
    add('verdict', 'error', 'error', `inconclusive: ${report.reason ?? 'too little was visible'}`);
  }
  const left = Object.entries(report.suppressed).map(([rule, count]) => `${rule}: ${count}`);
  if (left.length > 0 && report.verdict === 'violation') {
    add('findings beyond the bound', 'failed', 'failure', `not listed here: ${left.join(', ')}`);
  }
  return { name: 'verdict', cases };
}

function* suiteText({ name, cases }: Suite): Generator<string> {
  yield `  <testsuite${xmlAttributes({ name, ...totals(cases) })}>\n`;
  for (const { name, classname, file, body } of cases) {
    const head = xmlAttributes({ name, classname, ...(file === undefined ? {} : { file }) });
    yield body === '' ? `    <testcase${head}/>\n` : `    <testcase${head}>\n${body}    </testcase>\n`;
  }
  yield '  </testsuite>\n';
}

function totals(cases: readonly Case[]): Record<string, number> {
  const count = (outcome: Case['outcome']) => cases.filter((item) => item.outcome === outcome).length;
  return {
    tests: cases.length,
    failures: count('failed'),
    errors: count('error'),
    skipped: count('skipped'),
  };
}
