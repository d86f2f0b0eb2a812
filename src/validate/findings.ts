import { CLAUSES } from '../machines/clauses.js';
import type { Rule } from '../rules/rule.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import type { Finding } from './report.js';

/** Whose events must have been seen for a finding to hold: those of the device, then of its host. */
export interface Witness {
  readonly seen: ReadonlySet<EventKind>;
}

interface Candidate {
  readonly rule: Rule;
  readonly finding: Finding;
  readonly witnesses: readonly Witness[];
}

/** What a finding says beside its rule and place. */
export interface FindingText {
  message: string;
  expected?: readonly string[];
  before?: readonly string[];
  /** The device it is about, when the event itself is about the whole host. */
  device?: string | undefined;
}

/**
 * Collects what rules report. A finding is held back until the trace has ended: it stands only when
 * every kind of event that its rule needs did occur, for its device or host; a log with those trace
 * events switched off would accuse the innocent.
 */
export class Findings {
  readonly #candidates: Candidate[] = [];
  readonly #perRule = new Map<string, number>();
  readonly #dropped = new Map<Rule, { count: number; witnesses: readonly Witness[] }>();

  constructor(
    /** The implementation whose known deviations are notes; it may differ from input to input. */
    public profile: string | undefined,
    /** Most findings that are kept for one rule. */
    readonly limit: number,
    readonly knownDeviation: (profile: string, rule: string) => string | undefined,
    /** Kinds of event that are known to have been switched on, whether one came or not. */
    readonly traced: ReadonlySet<EventKind> = new Set(),
  ) {}

  add(rule: Rule, event: TraceEvent, text: FindingText, witnesses: readonly Witness[]): void {
    const count = (this.#perRule.get(rule.id) ?? 0) + 1;
    this.#perRule.set(rule.id, count);
    if (count > this.limit) {
      const dropped = this.#dropped.get(rule);
      if (dropped) dropped.count++;
      else this.#dropped.set(rule, { count: 1, witnesses });
      return;
    }
    this.#candidates.push({ rule, witnesses, finding: this.#finding(rule, event, text) });
  }

  #finding(rule: Rule, event: TraceEvent, text: FindingText): Finding {
    const known = this.profile === undefined ? undefined : this.knownDeviation(this.profile, rule.id);
    return {
      rule: rule.id,
      title: rule.title,
      party: rule.party,
      level: known === undefined ? rule.level : 'note',
      device: text.device ?? ('device' in event ? event.device : null),
      host: event.host,
      file: event.file ?? null,
      line: event.line ?? null,
      t: event.t ?? null,
      message: text.message,
      expected: [...(text.expected ?? [])],
      before: [...(text.before ?? [])],
      clause: { ...CLAUSES[rule.clause] },
      cause: rule.causes,
      known: known ?? null,
    };
  }

  /** The findings that stand, worst level first, in the order of the trace within a level. */
  standing(): Finding[] {
    const order = { must: 0, should: 1, note: 2 };
    return this.#candidates
      .filter(({ rule, witnesses }) => this.#holds(rule, witnesses))
      .map(({ finding }) => finding)
      .sort((a, b) => order[a.level] - order[b.level]);
  }

  /** How many findings beyond the limit each rule had. */
  suppressed(): Record<string, number> {
    return Object.fromEntries(
      [...this.#dropped]
        .filter(([rule, { witnesses }]) => this.#holds(rule, witnesses))
        .map(([rule, { count }]) => [rule.id, count]),
    );
  }

  #holds(rule: Rule, witnesses: readonly Witness[]): boolean {
    return rule.needs.every((kind) => this.traced.has(kind) || witnesses.some(({ seen }) => seen.has(kind)));
  }
}
