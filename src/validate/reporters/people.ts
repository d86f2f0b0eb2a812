import { painter } from '../../text/words.js';
import type { Report } from '../report.js';
import { diagnostic } from './diagnostic.js';
import { groupFindings } from './groups.js';
import type { ReporterOptions } from './reporter.js';
import {
  deviceLines,
  eventLines,
  inputLines,
  measurementLines,
  ruleLines,
  suppressedLines,
} from './summary.js';
import { verdictLine } from './verdict.js';

/** The report for people: a diagnostic for each finding, what was measured, and the verdict as last line. */
export function* people(report: Report, options: ReporterOptions): Generator<string> {
  const paint = painter(options.color);
  if (!options.quiet) {
    for (const group of groupFindings(report.violations)) {
      yield `${diagnostic(group, report, options, paint).join('\n')}\n\n`;
    }
    const sections = [
      suppressedLines(report),
      deviceLines(report, paint),
      measurementLines(report, paint),
      ruleLines(report),
      inputLines(report),
      eventLines(report),
    ];
    for (const lines of sections) if (lines.length > 0) yield `${lines.join('\n')}\n`;
  }
  yield `${verdictLine(report, paint)}\n`;
}
