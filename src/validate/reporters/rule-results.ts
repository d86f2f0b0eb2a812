import type { Finding, Report } from '../report.js';
import type { ReporterOptions, RuleInfo } from './reporter.js';

/** What became of one rule in this run. */
export interface RuleResult {
  readonly id: string;
  readonly title: string;
  /** The rule itself, unless the report comes from a version that had others. */
  readonly info: RuleInfo | undefined;
  readonly status: 'checked' | 'not observable' | 'not applicable';
  /** Kinds of event that were missing, for rules that are not observable. */
  readonly needs: readonly string[];
  readonly findings: readonly Finding[];
  /** Findings beyond those that the report holds. */
  readonly suppressed: number;
}

/** One result a rule: checked ones first, then not observable, then not applicable; each in the report's order. */
export function ruleResults(report: Report, options: ReporterOptions): RuleResult[] {
  const infos = new Map(options.rules.map((rule) => [rule.id, rule]));
  const findings = new Map<string, Finding[]>();
  for (const finding of report.violations) {
    const list = findings.get(finding.rule);
    if (list === undefined) findings.set(finding.rule, [finding]);
    else list.push(finding);
  }
  const result = (id: string, status: RuleResult['status'], needs: readonly string[]): RuleResult => {
    const found = findings.get(id) ?? [];
    const info = infos.get(id);
    const title = info?.title ?? found[0]?.title ?? '';
    return { id, title, info, status, needs, findings: found, suppressed: report.suppressed[id] ?? 0 };
  };
  const checked = new Set([...report.rules.checked, ...findings.keys(), ...Object.keys(report.suppressed)]);
  return [
    ...[...checked].map((id) => result(id, 'checked', [])),
    ...report.rules.notObservable
      .filter(({ rule }) => !checked.has(rule))
      .map(({ rule, needs }) => result(rule, 'not observable', needs)),
    ...report.rules.notApplicable
      .filter((rule) => !checked.has(rule))
      .map((rule) => result(rule, 'not applicable', [])),
  ];
}
