import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { Report } from '../../src/validate/report.js';
import { readExcerpts } from '../../src/validate/reporters/excerpts.js';
import { REPORTERS } from '../../src/validate/reporters/index.js';
import { rendered } from './rendered.js';
import { emptyReport, finding, sampleReport } from './report-fixture.js';

/** Control characters other than newline, separators, and the marks that reorder text. */
const UNSAFE = /(?!\n)[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

describe('every reporter', () => {
  it.each(REPORTERS.map(({ name }) => name))(
    '%s tells the same twice and copes with an empty report',
    async (name) => {
      expect(await rendered(name, sampleReport())).toBe(await rendered(name, sampleReport()));
      expect((await rendered(name, emptyReport())).length).toBeGreaterThan(0);
    },
  );

  it.each(['people', 'github', 'tap'])('%s lets no control character of a trace through', async (name) => {
    expect(await rendered(name, sampleReport())).not.toMatch(UNSAFE);
  });
});

describe('people', () => {
  it('begins with a diagnostic and ends with the verdict', async () => {
    const lines = (await rendered('people', sampleReport())).trimEnd().split('\n');
    expect(lines[0]).toBe('error[FSM-02]: a blocked arc was taken');
    expect(lines[1]).toBe('  --> logs/src.trace.log:3');
    expect(lines).toContain('   = possible states before: {STOP_COPY}');
    expect(lines).toContain('   = found 2 times, at lines 3, 9');
    expect(lines.some((line) => line.startsWith('warning[VMM-01]'))).toBe(true);
    expect(lines.some((line) => line.startsWith('note[NOTE-01]'))).toBe(true);
    expect(lines.at(-1)).toMatch(
      /^verdict: VIOLATED {2}11,450,402 lines, 228,439 decoded, 3 malformed, 1 of 3 devices/,
    );
  });

  it('quotes the lines around a finding', async () => {
    const excerpts = new Map([
      ['logs/src.trace.log', new Map([2, 3, 4].map((line) => [line, `text ${line}`]))],
    ]);
    const text = await rendered('people', sampleReport(), { excerpts });
    expect(text).toContain('   |\n 2 | text 2\n>3 | text 3\n 4 | text 4\n   |\n');
  });

  it('keeps our own text within 100 columns', async () => {
    const report = { ...sampleReport(), violations: [finding({ cause: 'word '.repeat(80) })] };
    for (const line of (await rendered('people', report)).split('\n')) {
      if (!line.includes('owned')) expect(line.length, line).toBeLessThanOrEqual(100);
    }
  });

  it('shows the verdict line only when quiet, and the reason of an inconclusive one', async () => {
    const text = await rendered('people', emptyReport(), { quiet: true });
    expect(text).toMatch(
      /^verdict: INCONCLUSIVE {2}the input holds no event of a VFIO device; .*0 devices.*\n$/,
    );
  });

  it('names some of a thousand devices, those with violations first', async () => {
    const [bad] = sampleReport().devices;
    const good = Array.from({ length: 999 }, (_, n) => ({
      ...bad!,
      id: `dev${n}`,
      verdict: 'conformant' as const,
    }));
    const lines = (await rendered('people', { ...sampleReport(), devices: [...good, bad!] })).split('\n');
    expect(lines[lines.indexOf('devices') + 1]).toContain('violation');
    expect(lines).toContain('  and 976 more devices: 976 conformant');
  });

  it('colours only when it is told to', async () => {
    expect(await rendered('people', sampleReport(), { color: true })).toContain('\u001b[');
  });
});

describe('excerpts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const text = Array.from({ length: 50_000 }, (_, n) => `line ${n + 1}`).join('\n');
  const reportOn = (file: string, line: number): Report => ({
    ...sampleReport(),
    violations: [finding({ file, line })],
  });

  it.each([
    ['plain.log', (body: string) => Buffer.from(body)],
    ['packed.log.gz', (body: string) => gzipSync(body)],
  ])('come from %s', async (name, pack) => {
    const file = join(folder, name);
    writeFileSync(file, pack(text));
    const lines = (await readExcerpts(reportOn(file, 40_000))).get(file);
    expect([...lines!]).toEqual(
      [39_998, 39_999, 40_000, 40_001, 40_002].map((line) => [line, `line ${line}`]),
    );
  });

  it('end with the file, and its last line needs no newline', async () => {
    const file = join(folder, 'end.log');
    writeFileSync(file, text);
    expect([...(await readExcerpts(reportOn(file, 50_000))).get(file)!.keys()]).toEqual([
      49_998, 49_999, 50_000,
    ]);
  });

  it('are absent for standard input, binaries and files that are gone', async () => {
    const binary = join(folder, 'binary');
    writeFileSync(binary, Buffer.from([1, 0, 2]));
    for (const file of ['-', binary, join(folder, 'gone')])
      expect((await readExcerpts(reportOn(file, 1))).size).toBe(0);
  });
});

describe('json', () => {
  it('is the report', async () => {
    expect(JSON.parse(await rendered('json', sampleReport()))).toEqual(sampleReport());
  });
});
