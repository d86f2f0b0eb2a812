import { type Html, html, scrolling } from '../../text/html.js';
import type { TraceEvent } from '../../trace/event.js';
import { eventLine } from '../event-line.js';
import { groupOf, type PageRule } from '../rule-page.js';
import { linkTo, type Page } from './page.js';

/** What is known of a rule beside its text. */
export interface RuleFacts {
  /** What the validator says of the violating trace, in its order. */
  readonly found: readonly string[];
  /** Implementations that are known to differ, with their words. */
  readonly deviations: readonly { readonly profile: string; readonly words: string }[];
  /** Mistakes that drivers were seen to make, and that it can find; each is a fault of the mock devices too. */
  readonly bugs: readonly { readonly fault: string; readonly title: string; readonly origin: string }[];
  /** Recordings of real runs in which it was found broken. */
  readonly recordings: readonly string[];
}

const LEVELS: Readonly<Record<string, string>> = {
  must: 'the text binds',
  should: 'the text recommends',
  note: 'known behaviour; it never changes a verdict',
};

export const rulePath = (id: string): string => `rules/${id}.html`;

/** A page for each rule, and the list of them. */
export function rulePages(rules: readonly PageRule[], facts: ReadonlyMap<string, RuleFacts>): Page[] {
  return [listPage(rules), ...rules.map((rule) => rulePageOf(rule, facts.get(rule.id)))];
}

function listPage(rules: readonly PageRule[]): Page {
  const path = 'rules/index.html';
  const groups = grouped(rules);
  return {
    path,
    title: 'Rules',
    section: 'Rules',
    body: html`<p>${rules.length} obligations, each with the party that it binds and the clause that it comes from. <em>must</em>:
${LEVELS.must}; <em>should</em>: ${LEVELS.should}; <em>note</em>: ${LEVELS.note}.</p>
<nav class="toc" aria-label="Groups">${[...groups.keys()].map((group) => html`<a href="#${group}">${group}</a> `)}</nav>
${[...groups].map(
  ([group, members]) => html`<h2 id="${group}">${group}</h2>
${scrolling(
  group,
  html`<table class="rules"><thead><tr><th scope="col">rule</th><th scope="col">level</th><th scope="col">party</th><th scope="col">obligation</th></tr></thead><tbody>
${members.map(
  ({
    id,
    level,
    party,
    title,
  }) => html`<tr><td><a href="${linkTo(path, rulePath(id))}">${id}</a></td><td><span class="level ${level}">${level}</span></td><td>${party}</td><td>${title}</td></tr>
`,
)}</tbody></table>`,
)}`,
)}`,
  };
}

function grouped(rules: readonly PageRule[]): Map<string, PageRule[]> {
  const groups = new Map<string, PageRule[]>();
  for (const rule of rules) groups.set(groupOf(rule), [...(groups.get(groupOf(rule)) ?? []), rule]);
  return groups;
}

function rulePageOf(rule: PageRule, facts: RuleFacts | undefined): Page {
  const { id, title, about, party, level, clause, needs, causes } = rule;
  return {
    path: rulePath(id),
    title: `${id}: ${title}`,
    section: 'Rules',
    body: html`<p class="lead">${about}</p>
<dl class="facts">
<dt>party</dt><dd>${party}</dd>
<dt>level</dt><dd><span class="level ${level}">${level}</span> ${LEVELS[level] ?? ''}</dd>
<dt>clause</dt><dd><code>${clause.id}</code>, ${clause.source}: ${clause.text}</dd>
<dt>a trace has to show</dt><dd>${needs.length > 0 ? needs.map((kind) => html`<code>${kind}</code> `) : 'any event'}</dd>
<dt>usual causes</dt><dd>${causes}</dd>
</dl>
<h2>Examples</h2>
<div class="pair">
<section><h3>Conformant</h3>${example(rule.conformant)}</section>
<section><h3>Violating</h3>${example(rule.violating)}${(facts?.found ?? []).map((words) => html`<p class="found">${words}</p>`)}</section>
</div>
${seen(facts)}`,
  };
}

function example(events: readonly TraceEvent[]): Html {
  if (events.length === 0) return html`<p>(no event)</p>`;
  return scrolling(
    'Events',
    html`<ol class="events">${events.map((event) => html`<li><code>${eventLine(event)}</code></li>`)}</ol>`,
  );
}

function seen(facts: RuleFacts | undefined): Html | string {
  if (facts === undefined) return '';
  const { deviations, bugs, recordings } = facts;
  if (deviations.length + bugs.length + recordings.length === 0) return '';
  return html`<h2>Seen in the wild</h2>
${deviations.length > 0 ? html`<h3>Known deviations</h3><ul>${deviations.map(({ profile, words }) => html`<li><strong>${profile}</strong>: ${words}</li>`)}</ul>` : ''}
${bugs.length > 0 ? html`<h3>Bugs of this kind</h3><ul>${bugs.map(({ fault, title, origin }) => html`<li>${origin}. As a fault of the mock devices, <code>fault=${fault}</code>: ${title}.</li>`)}</ul>` : ''}
${recordings.length > 0 ? html`<p>Found broken in recorded runs: ${recordings.map((name) => html`<code>${name}</code> `)}</p>` : ''}`;
}
