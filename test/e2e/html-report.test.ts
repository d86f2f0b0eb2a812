import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
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
  expect(readFileSync(moved, 'utf8')).toContain('<span class="verdict conformant">CONFORMANT</span>');
  expect(readFileSync(tested, 'utf8')).toContain('<span class="verdict violation">VIOLATED</span>');
});

test('validate writes the page beside what it prints', () => {
  const file = join(folder, 'report.html');
  const log = 'test/traces/qemu-11.1/cancel-pre-switchover/src.trace.log';
  const { code, out } = stopcopy(['validate', '--reporter', `html=${file}`, '--json', log]);
  expect([code, JSON.parse(out).verdict]).toEqual([1, 'violation']);
  const page = readFileSync(file, 'utf8');
  expect(page).toContain('VMM-MIG-07');
  expect(page).toContain('vfio_migration_set_device_state');
  expect(page.match(/<script/g)).toHaveLength(3);
});

test('a page that cannot be written is refused before anything runs', () => {
  const file = join(folder, 'none', 'x.html');
  const { code, err } = stopcopy(['migrate', '--device', 'uart', '--html', file]);
  expect([code, err.includes('none'), existsSync(file)]).toEqual([2, true, false]);
});
