import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { htmlParts } from '../../src/cli/html-parts.js';
import type { Report, Span } from '../../src/validate/report.js';
import { html } from '../../src/validate/reporters/html.js';
import { finding, sampleOptions, sampleReport } from '../validate/report-fixture.js';

/** How long a made run lasts, in microseconds, however many states it has. */
const LASTS = 100e6;

/** Writes a report with so many states, on some devices, and findings among them, as a file in the folder. */
export function bigReport(folder: string, spans: number, devices: number): string {
  const states = ['RUNNING', 'PRE_COPY', 'PRE_COPY_P2P', 'STOP_COPY', 'STOP'];
  const each = Math.floor(spans / devices);
  const long = LASTS / each;
  const sample = sampleReport();
  const made = Array.from({ length: devices }, (_, number) => ({
    ...sample.devices[0]!,
    id: `0000:af:${number}.0`,
    states: Array.from(
      { length: each },
      (_, index): Span => ({ name: states[index % 5]!, start: index * long, end: (index + 1) * long }),
    ),
  }));
  const report: Report = {
    ...sample,
    devices: made,
    violations: Array.from({ length: 100 }, (_, number) =>
      finding({ device: `0000:af:${number % devices}.0`, t: (number * LASTS) / 100, host: 'src' }),
    ),
  };
  const file = join(folder, `big-${spans}.html`);
  writeFileSync(file, [...html(report, sampleOptions({ page: htmlParts() }))].join(''));
  return file;
}

/** Writes a report in which every name tries to be markup and a script. */
export function hostileReport(folder: string): string {
  const bad = '<img src=x onerror="owned=1"></script><script>owned=1</script>';
  const sample = sampleReport();
  const report: Report = {
    ...sample,
    devices: [{ ...sample.devices[0]!, id: bad, states: [{ name: bad, start: 1_000_000, end: null }] }],
    hosts: [{ ...sample.hosts[0]!, version: bad, runStates: [{ name: bad, start: 900_000, end: null }] }],
    violations: [finding({ device: bad, title: bad, message: bad })],
  };
  const file = join(folder, 'hostile.html');
  writeFileSync(file, [...html(report, sampleOptions({ page: htmlParts() }))].join(''));
  return file;
}
