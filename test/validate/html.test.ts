import { describe, expect, test } from 'vitest';
import type { Report } from '../../src/validate/report.js';
import { type PageData, pageData } from '../../src/validate/reporters/page-data.js';
import { rendered } from './rendered.js';
import { emptyReport, finding, HOSTILE, sampleReport } from './report-fixture.js';

const dataOf = (page: string): PageData =>
  JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)![1]!);

describe('the HTML report', () => {
  test('holds every finding with its rule, clause and cause, and every device', async () => {
    const report = sampleReport();
    const page = await rendered('html', report);
    for (const { rule, clause, cause } of report.violations)
      for (const words of [rule, clause.id, cause]) expect(page).toContain(words);
    expect(page.match(/<details class="finding /g)).toHaveLength(report.violations.length);
    expect(page.match(/<tr data-search=/g)).toHaveLength(report.devices.length);
    expect(page).toContain('VIOLATED');
  });

  test('a name in a trace cannot bring markup or a script in', async () => {
    const report: Report = {
      ...sampleReport(),
      violations: [
        finding({
          message: `${HOSTILE}</script><script>alert(1)</script>`,
          device: HOSTILE,
          host: '<img src=x onerror=alert(1)>',
          file: '"><b>x',
          title: HOSTILE,
        }),
      ],
    };
    const page = await rendered('html', report);
    // Its own scripts are the data, and those that the options give: there are none.
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page).not.toMatch(/<img|<b>|\u202e/);
    expect(dataOf(page).lanes.length).toBeGreaterThan(0);
  });

  test('asks for nothing from elsewhere', async () => {
    const page = await rendered('html', sampleReport());
    expect(page).not.toMatch(/(?:src|href)=/);
    expect(page).toContain("default-src 'none'");
  });

  test('an empty report is a page too', async () => {
    const page = await rendered('html', emptyReport());
    expect(page).toContain('None.');
    expect(dataOf(page)).toMatchObject({ marks: [], end: 1 });
  });
});

test('the data has the spans, curves and findings of the report, from one zero', () => {
  const report = sampleReport();
  const { names, lanes, marks, end } = pageData(report);
  const first = 900_000;
  const device = lanes.find(({ kind, host }) => kind === 'device' && host === 'src')!;
  expect(device.spans!.slice(0, 3)).toEqual([names.indexOf('RUNNING'), 1_000_000 - first, 1_500_000 - first]);
  const curve = lanes.find(({ kind }) => kind === 'curve')!;
  expect(curve.points).toEqual([1_000_000 - first, 10, 2_000_000 - first, 4]);
  for (const { finding: number, lane, t } of marks) {
    const { host, t: time } = report.violations[number]!;
    expect(lanes[lane]!.host).toBe(host);
    if (host === 'src') expect(t).toBe(time! - first);
  }
  for (const { spans = [] } of lanes)
    for (let at = 0; at < spans.length; at += 3) {
      expect(spans[at + 1]).toBeLessThanOrEqual(spans[at + 2]!);
      expect(spans[at + 2]).toBeLessThanOrEqual(end);
    }
});
