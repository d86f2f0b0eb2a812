import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Report } from '../../src/validate/report.js';
import { stopcopy } from '../support/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-html-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('migrate and test write what they did as a page, judged, and keep nothing else', () => {
  const [moved, tested] = [join(folder, 'migrate.html'), join(folder, 'test.html')];
  const migrate = ['migrate', '--device', 'uart', '--ram', '32M', '--working-set', '1M', '--run-for', '50'];
  expect(stopcopy([...migrate, '--html', moved]).code).toBe(0);
  const faulty = [
    'test',
    '--target',
    'mock:uart?fault=pre-copy-once',
    '--coverage',
    'requests',
    '--no-shrink',
  ];
  expect(stopcopy([...faulty, '--html', tested]).code).toBe(1);
  expect(readFileSync(moved, 'utf8')).toMatch(/<h1><span class="verdict conformant">.*CONFORMANT/);
  expect(readFileSync(tested, 'utf8')).toMatch(/<h1><span class="verdict violation">.*VIOLATED/);
  expect(readFileSync(tested, 'utf8')).toMatch(/<dd>\(this run\):\d+<\/dd>/);
  expect(readFileSync(tested, 'utf8')).toContain('<span class="here">');
  expect(readFileSync(tested, 'utf8')).not.toContain('run.ndjson');
});

test('validate writes the page beside what it prints', () => {
  const file = join(folder, 'report.html');
  const log = 'test/traces/qemu-11.1/cancel-pre-switchover/src.trace.log';
  const { code, out } = stopcopy(['validate', '--reporter', `html=${file}`, '--json', log]);
  expect([code, JSON.parse(out).verdict]).toEqual([1, 'violation']);
  const page = readFileSync(file, 'utf8');
  expect(page).toContain('VMM-MIG-07');
  expect(page).toContain('vfio_migration_set_device_state');
  expect(page.match(/<script/g)).toHaveLength(2);
});

test('what a monitor of QEMU was told is a curve: RAM that was transferred, and device state', () => {
  const { out } = stopcopy(['validate', '--json', 'test/traces/qemu-11.1/two-devices/src.qmp.ndjson']);
  const curves = (JSON.parse(out) as Report).hosts.flatMap((host) => host.curves);
  expect(curves.map(({ name, unit }) => [name, unit])).toEqual([
    ['RAM transferred', 'bytes'],
    ['device state moved', 'bytes'],
  ]);
  for (const { points } of curves) {
    expect(points.length).toBeGreaterThan(10);
    for (const [index, [t, value]] of points.entries()) {
      const [before, less] = points[index - 1] ?? [0, 0];
      expect([t >= before, value >= less]).toEqual([true, true]);
    }
  }
  expect(curves.map(({ points }) => points.at(-1)![1])).toEqual([4_698_438, 120]);
});

test('perfetto has the line of a finding, as the page has', () => {
  const log = 'test/traces/qemu-11.1/cancel-pre-switchover/src.trace.log';
  const { out } = stopcopy(['validate', '--reporter', 'perfetto', log]);
  const { traceEvents } = JSON.parse(out) as { traceEvents: { ph: string; args?: { raw?: string } }[] };
  const raw = traceEvents.filter(({ ph }) => ph === 'i').map(({ args }) => args?.raw);
  expect(raw).toEqual([expect.stringContaining('vfio_migration_set_device_state')]);
});

test('a page that cannot be written is refused before anything runs', () => {
  const file = join(folder, 'none', 'x.html');
  const { code, err } = stopcopy(['migrate', '--device', 'uart', '--html', file]);
  expect([code, err.includes('none'), existsSync(file)]).toEqual([2, true, false]);
});
