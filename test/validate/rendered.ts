import type { Report } from '../../src/validate/report.js';
import { type ReporterOptions, reporterNamed } from '../../src/validate/reporters/index.js';
import { sampleOptions } from './report-fixture.js';

/** A report as the reporter with this name writes it. */
export async function rendered(
  name: string,
  report: Report,
  changes: Partial<ReporterOptions> = {},
): Promise<string> {
  const render = await reporterNamed(name)!.load();
  return [...render(report, sampleOptions(changes))].join('');
}
