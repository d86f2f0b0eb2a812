import type { Profile } from '../../machines/profiles.js';
import { html, scrolling } from '../../text/html.js';
import type { PageRule } from '../rule-page.js';
import { linkTo, type Page, SECTION_PAGES, SECTIONS } from './page.js';
import { type RuleFacts, rulePath } from './rule-pages.js';

/** How implementations differ from the rules: by their profiles, and by what was found in recordings. */
export function implementationsPage(
  profiles: readonly Profile[],
  rules: readonly PageRule[],
  facts: ReadonlyMap<string, RuleFacts>,
): Page {
  const path = SECTION_PAGES.Implementations;
  const differing = rules.filter(({ id }) => profiles.some(({ deviations }) => id in deviations));
  const found = rules.filter(({ id }) => (facts.get(id)?.recordings.length ?? 0) > 0);
  return {
    path,
    title: 'Implementations',
    section: 'Implementations',
    body: html`<p class="lead">Drivers, libraries and VMMs beside each other. A dash: as the rule says, as far as is known. With
<code>--profile NAME</code> a known deviation becomes a note.</p>
<h2>Known deviations</h2>
${scrolling(
  'Known deviations',
  html`<table class="compare"><thead><tr><th scope="col">rule</th>${profiles.map(({ name, title }) => html`<th scope="col" title="${title}">${name}</th>`)}</tr></thead><tbody>
${differing.map(
  ({
    id,
    title,
  }) => html`<tr><th scope="row"><a href="${linkTo(path, rulePath(id))}">${id}</a><br><small>${title}</small></th>${profiles.map(({ deviations }) => html`<td>${deviations[id] ?? html`<span class="as-said" aria-hidden="true">–</span><span class="unseen">as the rule says</span>`}</td>`)}</tr>
`,
)}</tbody></table>`,
)}
<h2>Found in recordings</h2>
<p>Each recording that comes with the package was judged when these pages were made. A VMM's or a driver's version is in the
name of the recording's folder.</p>
${scrolling(
  'Found in recordings',
  html`<table><thead><tr><th scope="col">rule</th><th scope="col">party</th><th scope="col">obligation</th><th scope="col">recordings</th></tr></thead><tbody>
${found.map(
  ({
    id,
    party,
    title,
  }) => html`<tr><th scope="row"><a href="${linkTo(path, rulePath(id))}">${id}</a></th><td>${party}</td><td>${title}</td><td>${facts.get(id)!.recordings.map((name) => html`<code>${name}</code> `)}</td></tr>
`,
)}</tbody></table>`,
)}`,
  };
}

const ABOUT: Readonly<Record<(typeof SECTIONS)[number], string>> = {
  Guides: 'How to check a driver, read a verdict, write a device model, and what a pass does not mean.',
  Machines: 'The protocol as state machines: diagrams, arcs, the matrix of requests, clauses.',
  Rules: 'Every obligation with its party, its clause, and an example that keeps it and one that breaks it.',
  Migrations: 'Whole migrations as sequence charts, drawn from recorded runs.',
  Formats: 'The bytes of structs, messages, streams and device state.',
  Implementations: 'Drivers, libraries and VMMs beside each other.',
};

/** The first page. */
export function homePage(version: string): Page {
  return {
    path: 'index.html',
    title: 'How a device moves between hosts',
    section: null,
    body: html`<p class="lead">When a virtual machine moves with a passed-through or vDPA device, three parties keep one protocol: the vendor's
kernel driver, the VMM, and the kernel between them. This book is made from the state machines and rules that
<code>stopcopy</code> ${version} checks real runs with, so it says what the tool says.</p>
<ul class="cards">${SECTIONS.map(
      (
        section,
      ) => html`<li><a href="${SECTION_PAGES[section]}"><strong>${section}</strong><span>${ABOUT[section]}</span></a></li>
`,
    )}</ul>`,
  };
}

/** The list of guides. @param guides their pages, and their titles */
export function guidesPage(guides: readonly { readonly path: string; readonly title: string }[]): Page {
  const path = SECTION_PAGES.Guides;
  return {
    path,
    title: 'Guides',
    section: 'Guides',
    body: html`<ul>${guides.map(
      (guide) => html`<li><a href="${linkTo(path, guide.path)}">${guide.title}</a></li>
`,
    )}</ul>`,
  };
}
