import { CLAUSES } from '../machines/clauses.js';
import type { Rule } from '../rules/rule.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import { getOrAdd } from './get-or-add.js';
import type { Finding, Level } from './report.js';

/** Whose events must have been seen for a finding to hold: those of the device, then of its host. */
export interface Witness {
  readonly seen: ReadonlySet<EventKind>;
  /** Asked when the trace has ended, with what tells whether a kind was traced; false: the finding does not stand. */
  readonly confirms?: (traced: (kind: EventKind) => boolean) => boolean;
}

interface Candidate {
  readonly rule: Rule;
  readonly finding: Finding;
  readonly witnesses: readonly Witness[];
}

/** Findings beyond the limit, of one device or host: the verdict on it needs to know that there are some. */
export interface Unlisted {
  readonly rule: Rule;
  readonly host: string;
  readonly device: string | null;
  readonly witnesses: readonly Witness[];
  level: Level;
  count: number;
}

/** What a finding says beside its rule and place. */
export interface FindingText {
  message: string;
  expected?: readonly string[];
  before?: readonly string[];
}

/**
 * Collects what rules report. A finding is held back until the trace has ended: it stands only when
 * every kind of event that its rule needs did occur, for its device or host; a log with those trace
 * events switched off would accuse the innocent.
 */
export class Findings {
  readonly #candidates: Candidate[] = [];
  readonly #perRule = new Map<string, number>();
  readonly #unlisted = new Map<Rule, Map<string, Map<string | null, Unlisted>>>();

  constructor(
    /** The implementation whose known deviations are notes; it may differ from input to input. */
    public profile: string | undefined,
    /** Most findings that are kept for one rule. */
    readonly limit: number,
    readonly knownDeviation: (profile: string, rule: string) => string | undefined,
    /** Kinds of event that are known to have been switched on, whether one came or not. */
    readonly traced: ReadonlySet<EventKind> = new Set(),
  ) {}

  /**
   * Takes a finding about a device, or about the whole host. Text and witnesses are asked for only when
   * they are kept.
   */
  add(
    rule: Rule,
    event: TraceEvent,
    device: string | null,
    text: () => FindingText,
    witnesses: () => readonly Witness[],
  ): void {
    const count = (this.#perRule.get(rule.id) ?? 0) + 1;
    this.#perRule.set(rule.id, count);
    if (count > this.limit) this.#count(rule, event.host, device, witnesses);
    else
      this.#candidates.push({
        rule,
        witnesses: witnesses(),
        finding: this.#finding(rule, event, device, text()),
      });
  }

  #count(rule: Rule, host: string, device: string | null, witnesses: () => readonly Witness[]): void {
    const byHost = getOrAdd(this.#unlisted, rule, () => new Map());
    const byDevice = getOrAdd(byHost, host, () => new Map<string | null, Unlisted>());
    const level = this.#known(rule) === undefined ? rule.level : 'note';
    const unlisted = getOrAdd(byDevice, device, () => {
      // The witnesses of a host are many, and the same for all its findings.
      const [first] = byDevice.values();
      const same = first !== undefined && first.witnesses.length > 3 ? first.witnesses : witnesses();
      return { rule, host, device, witnesses: same, level, count: 0 };
    });
    if (level !== 'note') unlisted.level = level;
    unlisted.count++;
  }

  /** How the implementation at hand is known to differ from the rule. */
  #known(rule: Rule): string | undefined {
    return this.profile === undefined ? undefined : this.knownDeviation(this.profile, rule.id);
  }

  #finding(rule: Rule, event: TraceEvent, device: string | null, text: FindingText): Finding {
    const known = this.#known(rule);
    return {
      rule: rule.id,
      title: rule.title,
      party: rule.party,
      level: known === undefined ? rule.level : 'note',
      device,
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

  /** The findings beyond the limit that stand, counted by whose they are. */
  unlisted(): Unlisted[] {
    return [...this.#unlisted.values()]
      .flatMap((byHost) => [...byHost.values()].flatMap((byDevice) => [...byDevice.values()]))
      .filter(({ rule, witnesses }) => this.#holds(rule, witnesses));
  }

  #holds(rule: Rule, witnesses: readonly Witness[]): boolean {
    const traced = (kind: EventKind) => this.traced.has(kind) || witnesses.some(({ seen }) => seen.has(kind));
    return rule.needs.every(traced) && witnesses.every(({ confirms }) => confirms?.(traced) ?? true);
  }
}
