import type { MachineEntry } from '../../machines/index.js';
import type { Profile } from '../../machines/profiles.js';
import type { PageRule } from '../rule-page.js';
import { type Format, formatPages, UAPI_FORMATS } from './format-pages.js';
import { machinePages } from './machine-pages.js';
import { migrationPages, type Recording } from './migration-pages.js';
import { guidesPage, homePage, implementationsPage } from './other-pages.js';
import type { Page } from './page.js';
import { type RuleFacts, rulePages } from './rule-pages.js';

export { wordsOf } from '../../text/html.js';
export type { Format, Layout } from './format-pages.js';
export type { Recording } from './migration-pages.js';
export { linkTo, type Page, SECTION_PAGES, SECTIONS, type Section } from './page.js';
export type { RuleFacts } from './rule-pages.js';

/** What the book is made from. */
export interface BookSources {
  readonly version: string;
  readonly machines: readonly MachineEntry[];
  readonly rules: readonly PageRule[];
  /** By rule id. */
  readonly facts: ReadonlyMap<string, RuleFacts>;
  readonly profiles: readonly Profile[];
  readonly recordings: readonly Recording[];
  /** Formats beside those of `src/uapi`: of device models. */
  readonly formats: readonly Format[];
  readonly guides: readonly { readonly path: string; readonly title: string }[];
}

/** The pages of the book, but for the guides, which are written by hand. */
export function bookPages(sources: BookSources): Page[] {
  const { version, machines, rules, facts, profiles, recordings, formats, guides } = sources;
  return [
    homePage(version),
    guidesPage(guides),
    ...machinePages(machines, rules),
    ...rulePages(rules, facts),
    ...migrationPages(recordings),
    ...formatPages([...UAPI_FORMATS, ...formats]),
    implementationsPage(profiles, rules, facts),
  ];
}
