import { clean, hanging, list, number, type Paint, painter, plural } from '../text/words.js';
import type { TestFailure, TestReport, TestVerdict } from './report.js';

/** How a report is told to people. */
export interface PeopleOptions {
  readonly color: boolean;
  /** The command line that runs one case again. */
  replay(id: string): string;
}

const WORDS: Record<TestVerdict, { word: string; color: 'green' | 'red' | 'yellow' }> = {
  pass: { word: 'PASS', color: 'green' },
  fail: { word: 'FAIL', color: 'red' },
  error: { word: 'ERROR', color: 'yellow' },
};

/** Calls of a sequence that are printed. */
const MOST_CALLS = 40;
const MOST_NAMES = 5;

/** The report for people: what fails, each mistake once, what was left out, and the verdict as last line. */
export function* people(report: TestReport, { color, replay }: PeopleOptions): Generator<string> {
  const paint = painter(color);
  for (const group of grouped(report.failures)) yield `${failureLines(group, paint, replay).join('\n')}\n\n`;
  for (const section of [knownLines(report), skippedLines(report), remarkLines(report), factLines(report)])
    if (section.length > 0) yield `${section.join('\n')}\n`;
  const { word, color: style } = WORDS[report.verdict];
  const reason = report.reason === null ? '' : `  ${clean(report.reason)};`;
  yield `verdict: ${paint(['bold', style], word)}${reason}  ${verdictFacts(report)}\n`;
}

/** What the verdict rests on. */
export function verdictFacts({ cases, passed, skipped, steps, resets, failures }: TestReport): string {
  const rules = new Set(failures.map(({ rule }) => rule));
  return [
    `${number(passed)} of ${plural(cases, 'case')} passed`,
    ...(rules.size > 0 ? [`${plural(rules.size, 'rule')} broken`] : []),
    ...(skipped.length > 0 ? [`${number(skipped.length)} skipped`] : []),
    plural(steps, 'step'),
    plural(resets, 'reset'),
  ].join(', ');
}

/** Failures with the same sequence are one mistake. */
function grouped(failures: readonly TestFailure[]): TestFailure[][] {
  const groups = new Map<string, TestFailure[]>();
  for (const failure of failures) {
    const key = JSON.stringify([failure.rule, failure.actual, failure.shrunk]);
    groups.set(key, [...(groups.get(key) ?? []), failure]);
  }
  return [...groups.values()];
}

function failureLines(group: readonly TestFailure[], paint: Paint, replay: (id: string) => string): string[] {
  const first = group[0]!;
  const errno = first.errno === null ? '' : ` (${first.errno})`;
  const { clause } = first;
  const rows: [string, string][] = [
    ['found', first.message === first.actual ? '' : first.message],
    ['party', first.party],
    ['at', first.step === null ? first.call : `${first.call} (step ${first.step} of the case)`],
    ['expected', first.expected.join(', or ')],
    ['actual', `${first.actual}${errno}`],
    ['clause', `${clause.id}, ${clause.source}: ${clause.text}`],
    ['usual cause', first.cause],
  ];
  const cases = [...new Set(group.map((each) => each.case))].map(clean);
  return [
    paint(['bold', 'red'], `failure[${first.rule}]: `) + paint('bold', clean(first.ruleTitle)),
    ...hanging(`  ${paint('blue', '-->')} case `, list(cases, MOST_NAMES)),
    ...rows
      .filter(([, text]) => text !== '')
      .flatMap(([name, text]) => hanging(`   = ${name}: `, clean(text))),
    ...callLines(first),
    `   = replay: ${replay(first.case)}`,
  ];
}

function callLines({ shrunk, minimal }: TestFailure): string[] {
  const shown = shrunk.slice(0, MOST_CALLS).map((call, index) => `       ${index + 1}. ${clean(call)}`);
  const more = shrunk.length - shown.length;
  return [
    `   = ${minimal ? 'shortest sequence that shows it' : 'a sequence that shows it'}, from RUNNING:`,
    ...shown,
    ...(more > 0 ? [`       and ${plural(more, 'more call')}`] : []),
  ];
}

function knownLines({ known, profile }: TestReport): string[] {
  const byRule = new Map<string, { words: string; cases: Set<string> }>();
  for (const { rule, words, case: id } of known) {
    const entry = byRule.get(rule) ?? { words, cases: new Set() };
    entry.cases.add(id);
    byRule.set(rule, entry);
  }
  return [...byRule].flatMap(([rule, { words, cases }]) =>
    hanging(`known of ${profile}: `, `${rule}, ${clean(words)} (${plural(cases.size, 'case')})`),
  );
}

function skippedLines({ skipped }: TestReport): string[] {
  const byReason = new Map<string, string[]>();
  for (const { case: id, reason } of skipped) byReason.set(reason, [...(byReason.get(reason) ?? []), id]);
  return [...byReason].flatMap(([reason, ids]) =>
    hanging(
      'skipped: ',
      `${plural(ids.length, 'case')}: ${clean(reason)} (${list(ids.map(clean), MOST_NAMES)})`,
    ),
  );
}

function remarkLines({ remarks }: TestReport): string[] {
  return remarks.flatMap((remark) => hanging('remark: ', clean(remark)));
}

function factLines({ device, capabilities, coverage }: TestReport): string[] {
  const parts = Object.entries(coverage).map(
    ([name, { reached, total }]) => `${name} ${number(reached)} of ${number(total)}`,
  );
  return [
    ...(device === null ? [] : [`device: ${clean(device)}, capabilities ${capabilities.join(' + ')}`]),
    `coverage: ${parts.join(', ')}`,
  ];
}
