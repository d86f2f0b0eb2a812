import { clean, hanging, list, number, painter, plural } from '../../text/words.js';
import type { VhostTestFailure, VhostTestReport } from './report.js';

const WORDS = {
  pass: ['PASS', 'green'],
  fail: ['FAIL', 'red'],
  error: ['ERROR', 'yellow'],
} as const;

/** The report for people: what fails, what was left out, and the verdict as last line. */
export function* vhostPeople(
  report: VhostTestReport,
  { color, replay }: { color: boolean; replay(id: string): string },
): Generator<string> {
  const paint = painter(color);
  for (const failure of report.failures) {
    const head = failure.rule === null ? 'failure: ' : `failure[${failure.rule}]: `;
    const title = paint('bold', clean(failure.ruleTitle ?? failure.title));
    yield `${[paint(['bold', 'red'], head) + title, ...failureLines(failure, replay)].join('\n')}\n\n`;
  }
  for (const { case: id, rule, words } of report.known)
    yield `${hanging(`known of ${report.profile}: `, `${rule}, ${clean(words)} (case ${id})`).join('\n')}\n`;
  for (const line of skippedLines(report)) yield `${line}\n`;
  if (report.offered !== null) {
    const { features, protocolFeatures } = report.offered;
    const protocol = protocolFeatures === null ? '' : `, protocol features ${protocolFeatures} negotiated`;
    yield `device: ${clean(report.device ?? '')}, features ${features} offered${protocol}\n`;
  }
  const [word, style] = WORDS[report.verdict];
  const reason = report.reason === null ? '' : `  ${report.reason};`;
  const facts = `${number(report.passed)} of ${plural(report.cases, 'case')} passed, ${number(report.skipped.length)} skipped`;
  yield `verdict: ${paint(['bold', style], word)}${reason}  ${facts}\n`;
}

function failureLines(failure: VhostTestFailure, replay: (id: string) => string): string[] {
  const { clause, cause } = failure;
  const rows: (readonly [string, string])[] = [
    ['found', failure.message],
    ['party', failure.party],
    ...(clause === null ? [] : [['clause', `${clause.id}, ${clause.source}: ${clause.text}`] as const]),
    ...(cause === null ? [] : [['usual cause', cause] as const]),
    ['replay', replay(failure.case)],
  ];
  return [
    ...hanging('  --> case ', `${failure.case}: ${failure.title}`),
    ...rows.flatMap(([name, text]) => hanging(`   = ${name}: `, clean(text))),
  ];
}

function skippedLines({ skipped }: VhostTestReport): string[] {
  const byReason = new Map<string, string[]>();
  for (const { case: id, reason } of skipped) byReason.set(reason, [...(byReason.get(reason) ?? []), id]);
  return [...byReason].flatMap(([reason, ids]) =>
    hanging('skipped: ', `${plural(ids.length, 'case')}: ${clean(reason)} (${list(ids, 6)})`),
  );
}
