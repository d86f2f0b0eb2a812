import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stopcopy } from '../support/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-site-'));
afterAll(() => rmSync(folder, { recursive: true }));

let pages: string[] = [];
beforeAll(() => {
  const { code, out } = stopcopy(['document', '-o', folder]);
  pages = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'));
  expect([code, out]).toEqual([0, `${pages.length} pages in ${folder}\n`]);
});

const textOf = (path: string): string => readFileSync(join(folder, path), 'utf8');
const values = (text: string, attribute: string): string[] =>
  [...text.matchAll(new RegExp(` ${attribute}="([^"]*)"`, 'g'))].map(([, value]) => value!);

test('each link of the site leads to a file, and to a place that is there; nothing comes from elsewhere', () => {
  const broken: string[] = [];
  for (const path of pages) {
    const text = textOf(path);
    for (const target of [...values(text, 'href'), ...values(text, 'src')]) {
      if (/^https?:/.test(target) && values(text, 'src').includes(target)) broken.push(`${path}: ${target}`);
      if (/^https?:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const to = file === '' ? path : join(dirname(path), file);
      const there = existsSync(join(folder, to));
      if (!there || (anchor !== undefined && !values(textOf(to), 'id').includes(anchor)))
        broken.push(`${path}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

test('it has the guides, machines, rules, migrations, formats and implementations', () => {
  const count = (part: string): number => pages.filter((page) => page.startsWith(`${part}/`)).length;
  expect(count('guides')).toBeGreaterThan(10);
  expect(count('machines')).toBeGreaterThan(20);
  expect(count('rules')).toBeGreaterThan(250);
  expect(count('migrations')).toBeGreaterThanOrEqual(10);
  expect(count('formats')).toBeGreaterThanOrEqual(10);
  expect(pages).toContain('implementations.html');
});

test('what was found in a recorded run stands on the page of the rule', () => {
  expect(textOf('rules/VMM-MIG-07.html')).toContain('qemu-11.1/cancel-pre-switchover');
  expect(textOf('implementations.html')).toContain('qemu-11.1/stale-resuming-device');
});

test('each migration is drawn from its recording', () => {
  for (const page of pages.filter((each) => each.startsWith('migrations/') && !each.endsWith('index.html'))) {
    const text = textOf(page);
    expect(text.match(/<g class="(?:message|note) /g)?.length ?? 0, page).toBeGreaterThan(8);
    expect(text, page).toContain('VM runs');
  }
});

test('a folder that cannot be made is told in one line', () => {
  const { code, err } = stopcopy(['document', '-o', 'README.md']);
  expect([code, err]).toEqual([2, 'stopcopy: cannot make the folder README.md: EEXIST\n']);
});

test('the search knows every page', () => {
  const searched = JSON.parse(
    textOf('search-pages.js')
      .replace(/^window\.stopcopyPages = /, '')
      .replace(/;\n$/, ''),
  );
  expect(searched.map(({ id }: { id: string }) => id).sort()).toEqual([...pages].sort());
});
