import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTarget } from '../../devices/index.js';
import { cString } from '../../src/generate/emitters/c-tables.js';
import { emit } from '../../src/generate/emitters/index.js';
import { generateSuite } from '../../src/generate/index.js';
import { CAPABILITY_SETS, capabilityNames, capabilitySet } from '../../src/machines/index.js';
import { runSuite } from '../../src/run/index.js';
import { buildFake, buildProgram, hasCompiler, runProgram } from './c-program.js';

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-c-'));
afterAll(() => rmSync(folder, { recursive: true }));

const suite = generateSuite({
  capabilities: capabilitySet(['p2p', 'pre-copy']),
  coverage: ['requests', 'sessions', 'errors'],
});
const DEVICE = '/dev/vfio/devices/vfio0';

describe.skipIf(!hasCompiler('gcc'))('the emitted C program', () => {
  let program = '';
  let fake = '';
  beforeAll(async () => {
    [program, fake] = await Promise.all([
      buildProgram(suite, join(folder, 'full')),
      buildFake(suite, folder),
    ]);
  });

  const run = (args: readonly string[], fault = '') => runProgram(program, args, fake, fault);

  it('passes on a device that is right, and agrees with the runner case by case', async () => {
    const { status, output, results } = await run([DEVICE]);
    expect(output).toMatch(/^TAP version 13\n1\.\.\d+\n/);
    expect(output).not.toMatch(/^not ok/m);
    expect(status).toBe(0);
    expect([...results.keys()]).toEqual(['image', ...suite.cases.map(({ id }) => id)]);
    const { report } = await runSuite({ target: openTarget('mock:uart'), suite });
    expect(report.failures).toEqual([]);
    // What each of them skips is what its device lacks.
    const lacks = /precopy_info_v2|read_region|dma_logging/;
    expect(report.skipped.filter(({ reason }) => !lacks.test(reason))).toEqual([]);
    expect(output.match(/# SKIP .*$/gm)!.filter((reason) => !lacks.test(reason))).toEqual([]);
  });

  it.each([
    ['ends-early', /VFIO-PRE-01/],
    ['goes-elsewhere', /VFIO-FSM-01/],
    ['takes-anything', /VFIO-FSM-0[45]/],
    ['loads-anything', /VFIO-SES-1\d/],
  ])('fails on a device that %s, by the rule', async (fault, rule) => {
    const { status, output, rules } = await run([DEVICE], fault);
    expect(status).toBe(1);
    expect([...rules].sort().join(' ')).toMatch(rule);
    expect(output).toMatch(
      /# step: \d+ \(.*, in \w+\)\n# expected: \S.*\n# actual: \S.*\n# rule: VFIO-\S+\nnot ok /,
    );
    expect(output).toMatch(/^# Totals: pass:\d+ fail:[1-9]\d* /m);
  });

  it('stops where the device does not come back', async () => {
    const { status, output } = await run([DEVICE], 'no-way-back');
    expect(status).toBe(1);
    expect(output).toMatch(/VFIO-RST-01\nnot ok \d+ \S+\nBail out! the device does not come back to RUNNING/);
  });

  it('does not wait for ever', async () => {
    const { status, output } = await run(['--timeout', '1', DEVICE], 'hangs');
    expect(status).toBe(1);
    expect(output).toMatch(/no answer within 1 s\n.*\nnot ok \d+ \S+\nBail out!/);
  });

  it('runs one case, behind the save of the image', async () => {
    const { id } = suite.cases.at(-1)!;
    const { output, results } = await run(['--only', id, DEVICE]);
    expect([...results.keys()]).toEqual(['image', id]);
    expect(output).toMatch(/^1\.\.2$/m);
  });

  it('says what is wrong with its arguments, and where there is no device', async () => {
    expect(await run(['--help'])).toMatchObject({ status: 0, output: expect.stringContaining('usage: ') });
    expect((await run(['--list'])).output.split('\n')).toHaveLength(suite.cases.length + 2);
    expect(await run([])).toMatchObject({ status: 2, errors: expect.stringContaining('no device') });
    expect(await run(['--only', 'none', DEVICE])).toMatchObject({ status: 2 });
    expect(await run(['--timeout', 'x', DEVICE])).toMatchObject({ status: 2 });
    expect(await run(['/dev/vfio/7'])).toMatchObject({ status: 2, errors: expect.stringContaining('name') });
    expect(await run(['/dev/vfio/devices/vfio1'])).toMatchObject({ status: 2 });
    const missing = await run(['/dev/vfio/devices/vfio2']);
    expect(missing).toMatchObject({ status: 4, output: expect.stringMatching(/^1\.\.0 # SKIP /m) });
  });

  it('skips a device with other capabilities', async () => {
    const other = { ...suite, capabilities: ['stop-copy'], cases: suite.cases.slice(0, 1) };
    const plain = await buildProgram(other, join(folder, 'plain'));
    const { status, output } = await runProgram(plain, [DEVICE], fake);
    expect(status).toBe(4);
    expect(output).toMatch(
      /1\.\.0 # SKIP the suite is for a device with stop-copy, and this one has flags 0x7/,
    );
  });

  it.each(CAPABILITY_SETS.map((caps) => [capabilityNames(caps).join(' '), caps] as const))(
    'passes for %s',
    async (name, capabilities) => {
      const each = generateSuite({ capabilities, coverage: ['requests', 'sessions'] });
      const place = join(folder, name.replaceAll(' ', '+'));
      const [built, device] = await Promise.all([buildProgram(each, place), buildFake(each, place)]);
      const { status, output } = await runProgram(built, [DEVICE], device);
      expect(output).not.toMatch(/^not ok/m);
      expect(status).toBe(0);
    },
  );

  it('builds without a warning, optimised and with clang', async () => {
    await buildProgram(suite, join(folder, 'fast'), 'gcc', ['-O2', '-Wshadow', '-Wconversion']);
    if (!hasCompiler('clang')) return;
    await buildProgram(suite, join(folder, 'clang'), 'clang', ['-Wshadow', '-Wconversion']);
  });
});

describe('the emitted files', () => {
  it('are the same each time, and the suite comes back from its JSON', () => {
    for (const format of ['json', 'c'] as const) expect(emit(suite, format)).toEqual(emit(suite, format));
    const { text } = emit(suite, 'json')[0]!;
    expect(JSON.parse(text)).toEqual(suite);
    expect(text.split('\n').length).toBeLessThan(20 * suite.cases.length + 20);
  });

  it('have strings that C takes as they are', () => {
    expect(cString('a"b\\c??=\n\u00e9')).toBe('"a\\"b\\\\c\\077\\077=\\012\\303\\251"');
  });
});
