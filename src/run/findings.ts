import { ruleNamed } from '../rules/index.js';
import { type Finding, REPORT_SCHEMA, type Report } from '../validate/report.js';
import { HOST } from './bench.js';
import type { Trouble } from './judge.js';
import type { TestReport } from './report.js';

/** A trouble in a case. */
export interface Found {
  readonly id: string;
  readonly trouble: Trouble;
}

/** What the validator's reports on the traces of a run come to. */
export class Judged {
  readonly #checked = new Set<string>();
  #last: Report['rules'] | null = null;
  #events = 0;
  readonly #moved = { transitions: 0, bytesRead: 0, bytesWritten: 0 };

  add({ rules, events, devices }: Report): void {
    for (const rule of rules.checked) this.#checked.add(rule);
    this.#last = rules;
    this.#events += events.lines;
    for (const { transitions, bytesRead, bytesWritten } of devices) {
      this.#moved.transitions += transitions;
      this.#moved.bytesRead += bytesRead;
      this.#moved.bytesWritten += bytesWritten;
    }
  }

  /**
   * The findings of a run in the form of the validator's report, for its reporters. An outcome that is not
   * allowed is a finding of the rule that it breaks.
   */
  report({ verdict, reason, device, capabilities }: TestReport, found: readonly Found[]): Report {
    const violations = found.map(({ id, trouble }) => findingOf(id, trouble, device));
    const overall = verdict === 'pass' ? 'conformant' : verdict === 'fail' ? 'violation' : 'inconclusive';
    const checked = new Set([...this.#checked, ...violations.map(({ rule }) => rule)]);
    const others = <T>(items: readonly T[] | undefined, id: (item: T) => string): T[] =>
      (items ?? []).filter((item) => !checked.has(id(item)));
    const about = { id: device ?? '', host: HOST, verdict: overall, capabilities, ...this.#moved } as const;
    const lines = this.#events;
    return {
      schema: REPORT_SCHEMA,
      verdict: overall,
      reason,
      devices: device === null ? [] : [{ ...about, role: 'none', finalState: null, states: [] }],
      hosts: [],
      violations,
      suppressed: {},
      rules: {
        checked: [...checked],
        notObservable: others(this.#last?.notObservable, ({ rule }) => rule),
        notApplicable: others(this.#last?.notApplicable, (rule) => rule),
      },
      events: { lines, decoded: lines, ignored: 0, malformed: 0, unknown: {} },
      inputs: [],
      measurements: { migrations: [], timeInState: {} },
    };
  }
}

function findingOf(id: string, trouble: Trouble, device: string | null): Finding {
  const { rule, title, party, expected, clause, cause, message, finding, executed } = trouble;
  const level = finding?.level ?? ruleNamed(rule)?.level ?? 'should';
  return {
    rule,
    title,
    party,
    // What failed a test counts, however mild the rule is in a trace that shows less.
    level: level === 'note' ? 'should' : level,
    device: finding?.device ?? device,
    host: finding?.host ?? HOST,
    file: null,
    line: null,
    t: null,
    message: `case ${id}: ${message}`,
    expected: [...expected],
    before: finding?.before ?? (executed === null ? [] : [executed.state]),
    clause: { ...clause },
    cause,
    known: null,
  };
}
