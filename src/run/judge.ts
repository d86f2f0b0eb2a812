import { CLAUSES } from '../machines/clauses.js';
import { profileDeviation } from '../machines/profiles.js';
import { ruleNamed } from '../rules/index.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import type { Party } from '../uapi/party.js';
import { validateEvents } from '../validate/index.js';
import type { Finding, Report } from '../validate/report.js';
import { type Executed, isExpected, type Segment } from './execute.js';
import { callWords } from './words.js';

/** What a run records, whether it came or not. */
const TRACED: ReadonlySet<EventKind> = new Set<EventKind>([
  'capabilities',
  'set_state',
  'set_state_result',
  'get_state',
  'data_read',
  'data_write',
  'data_close',
  'precopy_info',
  'precopy_info_v2',
  'data_size',
  'dma_logging_start',
  'dma_logging_stop',
  'dma_logging_report',
  'reset',
  'device_open',
]);

/** Something that a device does wrong, at a step or after the last one. */
export interface Trouble {
  /** Place of the step in the sequence; null: on the way back to RUNNING. */
  readonly index: number | null;
  readonly executed: Executed | null;
  /** What was being done, in the words of the uAPI. */
  readonly call: string;
  readonly rule: string;
  readonly title: string;
  readonly party: Party;
  readonly clause: { readonly id: string; readonly source: string; readonly text: string };
  readonly cause: string;
  readonly expected: readonly string[];
  readonly actual: string;
  readonly message: string;
  /** In which words the implementation is known to differ; null: it is not. */
  readonly known: string | null;
  /** The validator's own, where there is one. */
  readonly finding: Finding | null;
}

export interface Judgement {
  readonly report: Report;
  /** In the order of the steps; those that are known to come stand among them. */
  readonly troubles: readonly Trouble[];
}

/**
 * Judges a segment: by the outcomes of its steps, and by the validator.
 * @param before what the device went through right before; looked at where the segment alone explains nothing
 */
export function judge(
  segment: Segment,
  profile: string | undefined,
  before: readonly TraceEvent[] = [],
): Judgement {
  const report = validateEvents(segment.events, { profile, traced: TRACED });
  const bad = segment.executed.filter((each) => !isExpected(each));
  let findings = report.violations.filter((finding) => counts(finding, segment));
  if (before.length > 0 && bad.some((each) => !findings.some((finding) => isAt(finding, each)))) {
    const more = validateEvents(joined(before, segment.events), { profile, traced: TRACED });
    findings = more.violations.filter((finding) => finding.line !== 0 && counts(finding, segment));
  }
  const unexpected = bad.map((each) => ofOutcome(each, findings, profile));
  const taken = new Set(unexpected.map(({ finding }) => finding));
  const others = findings
    .filter((finding) => !taken.has(finding) && (finding.level !== 'note' || finding.known !== null))
    .map((finding) => ofFinding(finding, segment));
  const troubles = [...unexpected, ...others].sort((a, b) => place(a) - place(b));
  return { report, troubles: distinct(troubles) };
}

/** Two traces of one device as one; events of the first have the line 0. */
function joined(before: readonly TraceEvent[], events: readonly TraceEvent[]): TraceEvent[] {
  // A trace begins with an opening, which was none: the device had only come back to RUNNING.
  const began = events.findIndex(({ kind }) => kind !== 'device_open' && kind !== 'capabilities');
  return [...before.map((event) => ({ ...event, line: 0 })), ...events.slice(Math.max(0, began))];
}

const isAt = ({ line }: Finding, { events: [from, to] }: Executed): boolean =>
  line !== null && line > from && line <= to;

const place = ({ index }: Trouble): number => index ?? Number.MAX_SAFE_INTEGER;

/** What the runner itself does as a VMM is done on purpose; in a scenario the VMM is one that means well. */
function counts({ party }: Finding, { executed }: Segment): boolean {
  return party !== 'vmm' || executed.some(({ step }) => step.do === 'scenario');
}

/** A rule that a device breaks is told once, at the first step. */
function distinct(troubles: readonly Trouble[]): Trouble[] {
  const seen = new Set<string>();
  return troubles.filter(({ rule, known }) => {
    const key = `${rule} ${known === null}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** The rule that an outcome breaks: the validator's, which has seen the call, or what the step says. */
function ofOutcome(executed: Executed, findings: readonly Finding[], profile: string | undefined): Trouble {
  const here = findings.filter((finding) => isAt(finding, executed));
  const finding = here.find(({ level }) => level !== 'note') ?? here[0] ?? null;
  const { step, outcome, expected } = executed;
  const id = finding?.rule ?? step.rule;
  return {
    ...wordsOf(id, finding),
    index: executed.index,
    executed,
    call: callWords(step),
    expected,
    actual: outcome.label,
    message: finding?.message ?? outcome.detail ?? `${outcome.label} came`,
    known: finding?.known ?? (profile === undefined ? null : (profileDeviation(profile, id) ?? null)),
    finding,
  };
}

function ofFinding(finding: Finding, { executed }: Segment): Trouble {
  const at = executed.find((each) => isAt(finding, each)) ?? null;
  const isFirst = (finding.line ?? 0) <= (executed[0]?.events[0] ?? 0);
  return {
    ...wordsOf(finding.rule, finding),
    index: at?.index ?? null,
    executed: at,
    call:
      at !== null
        ? callWords(at.step)
        : isFirst
          ? 'open() of the device'
          : 'back to RUNNING after the last step',
    expected: finding.expected.length > 0 ? finding.expected : [finding.title],
    actual: finding.message,
    message: finding.message,
    known: finding.known,
    finding,
  };
}

function wordsOf(id: string, finding: Finding | null) {
  if (finding !== null) {
    const { rule, title, party, clause, cause } = finding;
    return { rule, title, party, clause, cause };
  }
  const rule = ruleNamed(id);
  if (rule === undefined)
    return { rule: id, title: '', party: 'driver' as const, clause: CLAUSES['uapi/set'], cause: '' };
  const { title, party, causes } = rule;
  return { rule: id, title, party, clause: CLAUSES[rule.clause], cause: causes };
}
