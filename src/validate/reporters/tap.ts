import { clean } from '../../text/words.js';
import type { Finding, Report } from '../report.js';
import { placeText } from './place.js';
import { fails, type ReporterOptions } from './reporter.js';
import { type RuleResult, ruleResults } from './rule-results.js';
import { verdictFacts } from './verdict.js';

/** Findings of one rule that its YAML block holds. */
const MOST_FINDINGS = 20;

/**
 * TAP 14: a test for each rule. Rules that could not be checked are skipped, findings that do not
 * count against the verdict are TODO tests, and an inconclusive verdict is a failed test of its own.
 */
export function* tap(report: Report, options: ReporterOptions): Generator<string> {
  const results = ruleResults(report, options);
  const inconclusive = report.verdict === 'inconclusive';
  yield `TAP version 14\n1..${results.length + (inconclusive ? 1 : 0)}\n`;
  for (const [index, result] of results.entries()) yield* point(result, index + 1, report, options);
  if (inconclusive) {
    yield `not ok ${results.length + 1} - ${description(`verdict: inconclusive, ${report.reason ?? 'too little was visible'}`)}\n`;
  }
  yield `# ${clean(`${report.verdict}: ${verdictFacts(report)}`)}\n`;
}

function* point(
  result: RuleResult,
  index: number,
  report: Report,
  options: ReporterOptions,
): Generator<string> {
  const { findings, suppressed } = result;
  const found = findings.length + suppressed > 0;
  const level = findings[0]?.level ?? result.info?.level ?? 'must';
  const tolerated = found && !fails(level, options.failOn) ? ` # TODO level ${level}` : '';
  const name = description(`${result.id} ${result.title}`.trimEnd());
  yield `${found ? 'not ok' : 'ok'} ${index} - ${name}${tolerated}${skip(result)}\n`;
  if (found) yield* details(result, report);
}

function skip({ status, needs }: RuleResult): string {
  if (status === 'checked') return '';
  if (status === 'not applicable') return ' # SKIP not applicable';
  return ` # SKIP not observable: the input cannot show ${description(needs.join(', '))}`;
}

function* details({ findings, suppressed }: RuleResult, report: Report): Generator<string> {
  yield '  ---\n  findings:\n';
  for (const finding of findings.slice(0, MOST_FINDINGS)) yield* yaml(finding, report);
  const rest = Math.max(0, findings.length - MOST_FINDINGS) + suppressed;
  yield `  more: ${rest}\n  ...\n`;
}

/** JSON strings are YAML strings, so quoting is left to JSON. */
function* yaml(finding: Finding, report: Report): Generator<string> {
  const fields: [string, string | null][] = [
    ['message', finding.message],
    ['at', placeText(finding, report)],
    ['host', finding.host],
    ['device', finding.device],
    ['party', finding.party],
    ['level', finding.level],
    ['expected', finding.expected.join(', or ')],
    ['clause', `${finding.clause.id}, ${finding.clause.source}`],
    ['known', finding.known],
  ];
  const texts = fields.filter((field): field is [string, string] => field[1] !== null && field[1] !== '');
  for (const [index, [name, text]] of texts.entries()) {
    yield `    ${index === 0 ? '- ' : '  '}${name}: ${JSON.stringify(clean(text))}\n`;
  }
}

/** In a description `#` begins a directive and `\` escapes. */
function description(text: string): string {
  return clean(text).replace(/[\\#]/g, '\\$&');
}
