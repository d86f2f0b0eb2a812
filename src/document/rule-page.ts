import { hanging, type Paint, WIDTH, wrap } from '../text/words.js';
import type { TraceEvent } from '../trace/event.js';
import { eventLine } from './event-line.js';
import { table } from './table.js';

/** Name and version of the JSON that `stopcopy explain --json` prints. */
export const RULE_SCHEMA = 'stopcopy-rule-1';
export const RULES_SCHEMA = 'stopcopy-rules-1';

/** A rule as its page needs it. */
export interface PageRule {
  readonly id: string;
  readonly title: string;
  readonly party: string;
  readonly level: string;
  readonly clause: { readonly id: string; readonly source: string; readonly text: string };
  readonly needs: readonly string[];
  readonly about: string;
  readonly causes: string;
  readonly conformant: readonly TraceEvent[];
  readonly violating: readonly TraceEvent[];
}

const LEVELS: Readonly<Record<string, string>> = {
  must: 'must (the text binds)',
  should: 'should (the text recommends)',
  note: 'note (known behaviour; never changes a verdict)',
};

/** The page of one rule. */
export function rulePage(rule: PageRule, paint: Paint): string {
  const { clause } = rule;
  const lines = [
    paint('bold', `${rule.id}: ${rule.title}`),
    '',
    ...wrap(rule.about, WIDTH),
    '',
    ...hanging('  party:  ', rule.party),
    ...hanging('  level:  ', LEVELS[rule.level] ?? rule.level),
    ...hanging('  clause: ', `${clause.id}, ${clause.source}: ${clause.text}`),
    ...hanging('  needs:  ', rule.needs.length > 0 ? rule.needs.join(', ') : 'any event'),
    ...hanging('  usual causes: ', rule.causes),
    '',
    paint('bold', 'conformant'),
    ...example(rule.conformant),
    '',
    paint('bold', 'violating'),
    ...example(rule.violating),
  ];
  return `${lines.join('\n')}\n`;
}

function example(events: readonly TraceEvent[]): string[] {
  return events.length > 0 ? events.map((event) => `  ${eventLine(event)}`) : ['  (no event)'];
}

/** All rules, by the group that their id names. */
export function ruleList(rules: readonly PageRule[], paint: Paint): string {
  const sections = [...grouped(rules)].map(([group, members]) => [
    paint('bold', `${group} (${members.length})`),
    ...table(members.map(({ id, level, party, title }) => [id, level, party, title])),
  ]);
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

/** The id without its last part: `VFIO-FSM-3` is of the group `VFIO-FSM`. */
export function groupOf(rule: { readonly id: string }): string {
  const dash = rule.id.lastIndexOf('-');
  return dash > 0 ? rule.id.slice(0, dash) : rule.id;
}

function grouped(rules: readonly PageRule[]): Map<string, PageRule[]> {
  const groups = new Map<string, PageRule[]>();
  for (const rule of rules) {
    const members = groups.get(groupOf(rule));
    if (members === undefined) groups.set(groupOf(rule), [rule]);
    else members.push(rule);
  }
  return groups;
}
