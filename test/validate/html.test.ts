import { describe, expect, test } from 'vitest';
import type { Report } from '../../src/validate/report.js';
import { DOWNTIME, type PageData, pageData } from '../../src/validate/reporters/page-data.js';
import { rendered } from './rendered.js';
import { emptyReport, finding, HOSTILE, sampleReport } from './report-fixture.js';

const dataOf = (page: string): PageData =>
  JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)![1]!);

describe('the HTML report', () => {
  test('holds every finding with its rule, clause and cause, every device and every attempt', async () => {
    const report = sampleReport();
    const page = await rendered('html', report);
    for (const { rule, clause, cause } of report.violations)
      for (const words of [rule, clause.id, cause]) expect(page).toContain(words);
    expect(page.match(/<details class="finding /g)).toHaveLength(report.violations.length);
    const rows = report.devices.length + report.measurements.migrations.length;
    expect(page.match(/<tr data-search=/g)).toHaveLength(rows);
    expect(page).toContain('VIOLATED');
    expect(page).toContain('120 ms');
    expect(page).toContain('RUNNING 500 ms, STOP_COPY 500 ms');
  });

  test('says which rules were not checked, and why', async () => {
    const page = await rendered('html', sampleReport());
    expect(page).toContain('5 checked, 1 not observable, 1 not applicable');
    expect(page).toContain('The input cannot show data_read, data_write.');
  });

  test('quotes the line of a finding between its neighbours', async () => {
    const lines = new Map([2, 3, 4].map((number) => [number, `<line ${number}>`]));
    const page = await rendered('html', sampleReport(), {
      excerpts: new Map([['logs/src.trace.log', lines]]),
    });
    expect(page).toContain('<span class="here">&gt;3 &lt;line 3&gt;\n</span>');
    expect(page).toContain('<span class="near"> 4 &lt;line 4&gt;\n</span>');
  });

  test('a name in a trace cannot bring markup or a script in', async () => {
    const sample = sampleReport();
    const bad = `${HOSTILE}</script><script>alert(1)</script>`;
    const image = '<img src=x onerror=alert(1)>';
    const report: Report = {
      ...sample,
      devices: sample.devices.map((device) => ({ ...device, id: bad, host: image, capabilities: [bad] })),
      hosts: [{ ...sample.hosts[0]!, id: image, version: bad, statuses: [{ name: bad, start: 1, end: 2 }] }],
      inputs: sample.inputs.map((input) => ({ ...input, file: bad, host: image, remarks: [bad] })),
      violations: [
        finding({ message: bad, device: bad, host: image, file: '"><b>x', title: bad, expected: [bad] }),
      ],
      measurements: {
        migrations: [{ ...sample.measurements.migrations[0]!, host: image }],
        timeInState: { [`${image}/${bad}`]: { RUNNING: 5 } },
      },
    };
    const page = await rendered('html', report);
    // Its own scripts are the data, and those that the options give: there are none.
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page).not.toMatch(/<img|<b>|\u202e/);
    const { lanes, hosts, names } = dataOf(page);
    expect(lanes.length).toBeGreaterThan(3);
    expect(JSON.stringify([lanes, hosts, names])).not.toContain('\u202e');
    expect(hosts[0]!.id).toBe(image);
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

describe('the data of the page', () => {
  test('has the spans, curves and findings of the report, from one zero', () => {
    const report = sampleReport();
    const { names, lanes, hosts, marks, end } = pageData(report);
    const first = 900_000;
    const source = hosts.findIndex(({ id }) => id === 'src');
    const device = lanes.find(({ kind, host }) => kind === 'device' && host === source)!;
    expect(device.spans!.slice(0, 3)).toEqual([
      names.indexOf('RUNNING'),
      1_000_000 - first,
      1_500_000 - first,
    ]);
    const curve = lanes.find(({ kind }) => kind === 'curve')!;
    expect(curve.points).toEqual([1_000_000 - first, 10, 2_000_000 - first, 4]);
    for (const { finding: number, lane, t } of marks) {
      const { host, device, t: time } = report.violations[number]!;
      expect(hosts[lanes[lane]!.host]!.id).toBe(host);
      if (device === '0000:af:01.0') expect(lanes[lane]!.title).toBe(device);
      if (host === 'src') expect(t).toBe(time! - first);
    }
    for (const { spans = [] } of lanes)
      for (let at = 0; at < spans.length; at += 3) {
        expect(spans[at + 1]).toBeLessThanOrEqual(spans[at + 2]!);
        expect(spans[at + 2]).toBeLessThanOrEqual(end);
      }
  });

  test('has the source above the destination, and the lanes of a host together', () => {
    const sample = sampleReport();
    const { hosts, lanes } = pageData({ ...sample, hosts: sample.hosts.toReversed() });
    expect(hosts).toEqual([
      { id: 'src', about: 'source, QEMU 11.1.2' },
      { id: 'dst', about: 'destination' },
    ]);
    const order = lanes.map(({ host }) => host);
    expect(order).toEqual(order.toSorted());
  });

  test('has an attempt end with its downtime', () => {
    const { lanes, names } = pageData(sampleReport());
    const { spans } = lanes.find(({ kind }) => kind === 'attempt')!;
    const [outcome, start, stopped, downtime, since, end] = spans!;
    expect([names[outcome!], names[downtime!]]).toEqual(['failed', DOWNTIME]);
    expect([stopped! - start!, end! - since!]).toEqual([3_210_000 - 120_400, 120_400]);
    expect(since).toBe(stopped);
  });
});
