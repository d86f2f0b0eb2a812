import { clean, number } from '../../text/words.js';
import type { Finding, Level, Report } from '../report.js';
import { groupFindings } from './groups.js';
import { isBinary, placeText, relativePath } from './place.js';
import type { ReporterOptions } from './reporter.js';
import { verdictFacts } from './verdict.js';

const COMMANDS: Record<Level, string> = { must: 'error', should: 'warning', note: 'notice' };
/** Findings in the table of the step summary; GitHub cuts a summary at 1 MiB. */
const MOST_ROWS = 50;

/** Workflow commands of GitHub Actions: an annotation for each finding, and one for an inconclusive verdict. */
export function* github(report: Report, options: ReporterOptions): Generator<string> {
  for (const { first, all } of groupFindings(report.violations)) {
    yield `${annotation(first, all.length, report, options)}\n`;
  }
  const text = `${report.verdict}: ${verdictFacts(report)}`;
  if (report.verdict === 'inconclusive') {
    const message = `${clean(report.reason ?? 'too little was visible')}; ${verdictFacts(report)}`;
    yield `::warning title=${property('stopcopy: inconclusive')}::${data(message)}\n`;
  } else yield `stopcopy: ${text}\n`;
}

function annotation(finding: Finding, count: number, report: Report, options: ReporterOptions): string {
  const { file, line } = finding;
  const path = file === null ? null : relativePath(file, options);
  const properties = [
    ...(path === null ? [] : [`file=${property(clean(path))}`]),
    ...(path === null || line === null || isBinary(file!, report) ? [] : [`line=${line}`]),
    `title=${property(clean(`${finding.rule}: ${finding.title}`))}`,
  ];
  const where = finding.device === null ? finding.host : `${finding.host}/${finding.device}`;
  const message = [
    clean(`${finding.message} (${finding.party}, ${where})${count > 1 ? `, ${number(count)} times` : ''}`),
    ...(finding.expected.length > 0 ? [clean(`expected: ${finding.expected.join(', or ')}`)] : []),
    clean(`clause: ${finding.clause.id}, ${finding.clause.source}: ${finding.clause.text}`),
    ...(finding.known === null ? [] : [clean(`known: ${finding.known}`)]),
  ].join('\n');
  return `::${COMMANDS[finding.level]} ${properties.join(',')}::${data(message)}`;
}

/** The message of a workflow command. */
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** A property of a workflow command. */
function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}

/** Markdown for `$GITHUB_STEP_SUMMARY`: the verdict, the devices and a table of findings. */
export function githubSummary(report: Report): string {
  const groups = groupFindings(report.violations);
  const rows = groups.slice(0, MOST_ROWS).map(({ first, all }) => {
    const place = placeText(first, report) ?? '';
    const device = first.device ?? first.host;
    return row([first.level, first.rule, first.party, device, place, first.message, number(all.length)]);
  });
  const table =
    rows.length === 0
      ? []
      : [
          '',
          row(['level', 'rule', 'party', 'device', 'place', 'found', 'times']),
          `${'| --- '.repeat(7)}|`,
          ...rows,
        ];
  const rest = groups.length - rows.length;
  return [
    `### stopcopy: ${report.verdict}`,
    '',
    ...(report.reason === null ? [] : [cell(report.reason), '']),
    `${verdictFacts(report)}.`,
    ...table,
    ...(rest > 0 ? ['', `${number(rest)} more in the log.`] : []),
    '',
  ].join('\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map(cell).join(' | ')} |`;
}

/** Text of a trace inside a Markdown table: no markup, no HTML, no mention of a user. */
function cell(text: string): string {
  return clean(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[\\`*_[\]|~#!]/g, '\\$&')
    .replaceAll('@', '&#64;');
}
