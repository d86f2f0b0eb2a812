import type { Level, Party, Report } from '../report.js';

/** What reporters say about a rule beyond what a finding of it carries. */
export interface RuleInfo {
  readonly id: string;
  readonly title: string;
  readonly party: Party;
  readonly level: Level;
  readonly clause: { readonly id: string; readonly source: string; readonly text: string };
  /** The obligation in words. */
  readonly about: string;
  /** What usually leads to a violation. */
  readonly causes: string;
}

/** Lines of the inputs around the findings: by file, then by line number from 1. */
export type Excerpts = ReadonlyMap<string, ReadonlyMap<number, string>>;

/** What a reporter needs to know beside the report. A reporter reads nothing else: no files, no clock. */
export interface ReporterOptions {
  /** Version of this tool. */
  readonly version: string;
  /** Absolute directory that the names of inputs are relative to. */
  readonly cwd: string;
  /** Absolute directory that paths in machine-read outputs are relative to: the root of the checkout. */
  readonly root: string;
  /** All rules, for titles and texts of those that found nothing. */
  readonly rules: readonly RuleInfo[];
  /** Lowest level that makes the verdict a violation. */
  readonly failOn: Level;
  /** Whether to colour text for people. */
  readonly color: boolean;
  /** Whether people get the verdict line only. */
  readonly quiet: boolean;
  /** Lines around the findings, as far as they could be read. */
  readonly excerpts: Excerpts;
  /** Style and scripts of the HTML report; other forms need none. */
  readonly page?: PageParts;
}

/** What the HTML report brings with it, since it may load nothing. */
export interface PageParts {
  readonly style: string;
  /** Scripts, each a module of its own. */
  readonly scripts: readonly string[];
}

/** A form of the report: chunks of text in order. Long forms are generators, so nothing holds them whole. */
export type Render = (report: Report, options: ReporterOptions) => Iterable<string>;

const ORDER: readonly Level[] = ['must', 'should', 'note'];

/** Whether a finding of this level counts against the verdict. Notes never do, unless asked for. */
export function fails(level: Level, failOn: Level): boolean {
  return ORDER.indexOf(level) <= ORDER.indexOf(failOn);
}
