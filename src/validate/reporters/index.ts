import type { Render } from './reporter.js';

export type { Excerpts, PageParts, Render, ReporterOptions, RuleInfo } from './reporter.js';

/** A form of the report that can be asked for by name. */
export interface ReporterEntry {
  readonly name: string;
  readonly title: string;
  /** Loads it: a run loads only the forms that it was asked for. */
  load(): Promise<Render>;
}

export const REPORTERS: readonly ReporterEntry[] = [
  {
    name: 'people',
    title: 'diagnostics in plain text',
    load: async () => (await import('./people.js')).people,
  },
  { name: 'json', title: 'the whole report', load: async () => (await import('./json.js')).json },
  {
    name: 'sarif',
    title: 'SARIF 2.1.0 for code scanning',
    load: async () => (await import('./sarif.js')).sarif,
  },
  { name: 'junit', title: 'JUnit XML for CI servers', load: async () => (await import('./junit.js')).junit },
  {
    name: 'github',
    title: 'annotations and step summary of GitHub Actions',
    load: async () => (await import('./github.js')).github,
  },
  { name: 'tap', title: 'TAP 14', load: async () => (await import('./tap.js')).tap },
  {
    name: 'perfetto',
    title: 'timeline for Perfetto and chrome://tracing',
    load: async () => (await import('./perfetto.js')).perfetto,
  },
  {
    name: 'html',
    title: 'a page with the timeline, for a browser, in one file',
    load: async () => (await import('./html.js')).html,
  },
];

/** The form with this name, or `undefined`. */
export function reporterNamed(name: string): ReporterEntry | undefined {
  return REPORTERS.find((reporter) => reporter.name === name);
}
