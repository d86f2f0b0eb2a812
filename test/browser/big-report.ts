import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { htmlParts } from '../../src/cli/html-parts.js';
import type { Report, Span } from '../../src/validate/report.js';
import { html } from '../../src/validate/reporters/html.js';
import { finding, sampleOptions, sampleReport } from '../validate/report-fixture.js';

/** Writes a report with so many states, on some devices, and findings among them, as a file in the folder. */
export function bigReport(folder: string, spans: number, devices: number): string {
  const states = ['RUNNING', 'PRE_COPY', 'PRE_COPY_P2P', 'STOP_COPY', 'STOP'];
  const each = Math.floor(spans / devices);
  const sample = sampleReport();
  const made = Array.from({ length: devices }, (_, number) => ({
    ...sample.devices[0]!,
    id: `0000:af:${number}.0`,
    states: Array.from(
      { length: each },
      (_, index): Span => ({ name: states[index % 5]!, start: index * 1000, end: index * 1000 + 1000 }),
    ),
  }));
  const report: Report = {
    ...sample,
    devices: made,
    violations: Array.from({ length: 100 }, (_, number) =>
      finding({ device: `0000:af:${number % devices}.0`, t: number * 10 * each, host: 'src' }),
    ),
  };
  const file = join(folder, `big-${spans}.html`);
  writeFileSync(file, [...html(report, sampleOptions({ page: htmlParts() }))].join(''));
  return file;
}
