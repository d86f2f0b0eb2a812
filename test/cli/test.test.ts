import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../src/cli/exit.js';
import { makeProgram } from '../../src/cli/program.js';
import { testSchema } from '../../src/run/index.js';

// Each test starts processes, on machines that are busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

function stopcopy(args: string[], input = '') {
  const result = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', input });
  return { code: result.status, out: result.stdout, err: result.stderr };
}
const tested = (...args: string[]) => stopcopy(['test', ...args]);

/** As `tested`, in this process; the report has to go to a file. */
async function testedHere(...args: string[]): Promise<number> {
  const before = process.exitCode;
  try {
    await makeProgram().parseAsync(['test', ...args], { from: 'user' });
    return Number(process.exitCode);
  } finally {
    process.exitCode = before;
  }
}

const FAULTY = 'mock:uart?fault=save-once';
/** Small, and enough to find that. */
const ARCS = ['--coverage', 'arcs,pairs'];

describe('stopcopy test', () => {
  it('passes a device that is right, and records what the validator reads', () => {
    const record = join(folder, 'run.ndjson');
    const { code, out, err } = tested('--target', 'mock:uart', '--coverage', 'requests', '--record', record);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^verdict: PASS {2}\d+ of \d+ cases passed, \d+ steps, \d+ resets\n$/m);
    expect(stopcopy(['validate', record, '--json']).code).toBe(0);
  });

  it('fails a device that is wrong, with the shortest sequence and the command that replays it', () => {
    const { code, out } = tested('--target', FAULTY, ...ARCS);
    expect(code).toBe(1);
    expect(out).toMatch(/^failure\[VFIO-FSM-15\]/m);
    expect(out).toContain(`= replay: stopcopy test --target '${FAULTY}' --coverage arcs,pairs --only `);
    const [, id] = / --only (\S+)$/m.exec(out)!;
    const again = tested('--target', FAULTY, ...ARCS, '--only', id!);
    expect(again.code).toBe(1);
    expect(again.out).toContain('verdict: FAIL  0 of 1 case passed');
  });

  it('gives a report whose shrunk sequences run again as a suite', () => {
    const { code, out } = tested('--target', FAULTY, ...ARCS, '--json');
    expect(code).toBe(1);
    const report = testSchema.parse(JSON.parse(out));
    expect(report.verdict).toBe('fail');
    const file = join(folder, 'report.json');
    writeFileSync(file, out);
    const only = report.failures[0]!.case;
    const again = tested('--target', FAULTY, '--suite', file, '--only', only, '--json');
    const shrunk = testSchema.parse(JSON.parse(again.out));
    expect(shrunk.failures.map(({ rule }) => rule)).toContain(report.failures[0]!.rule);
    expect(shrunk.steps).toBeLessThan(report.steps);
  });

  it.each(['junit', 'tap', 'sarif', 'github'])('has its findings as %s', async (format) => {
    const file = join(folder, format);
    const args = ['--target', FAULTY, ...ARCS, '--format', format, '-o', file, '--no-shrink'];
    expect(await testedHere(...args)).toBe(1);
    expect(readFileSync(file, 'utf8')).toContain('VFIO-FSM-15');
  });

  it('runs a suite from standard input', () => {
    const suite = stopcopy(['generate', 'vfio-device', '--coverage', 'arcs']).out;
    const { code, out } = stopcopy(['test', '--target', 'mock:dma', '--suite', '-'], suite);
    expect(code).toBe(0);
    expect(out).toContain('verdict: PASS');
  });

  it('says that nothing could be judged, with an exit code of its own', () => {
    const suite = stopcopy(['generate', 'vfio-device', '--coverage', 'arcs']).out;
    const other = ['test', '--target', 'mock:uart?capabilities=stop-copy', '--suite', '-'];
    const { code, out } = stopcopy(other, suite);
    expect(code).toBe(3);
    expect(out).toMatch(/verdict: ERROR {2}the suite is for a device with .* and this one has stop-copy;/);
  });
});

describe('a usage error', () => {
  const bad = join(folder, 'bad.json');
  writeFileSync(bad, '{"schema":"stopcopy-suite-1"}');
  it.each<[string, string[], RegExp]>([
    ['no such kind', ['--target', 'usb:1'], /'usb:1' is no target; there are mock:/],
    ['no such device', ['--target', 'mock:vax'], /no device model is called vax/],
    ['nobody there', ['--target', 'vfio-user:/nowhere.sock'], /nowhere\.sock/],
    ['an unknown criterion', ['--target', 'mock:uart', '--coverage', 'arc'], /did you mean arcs\?/],
    ['an unknown profile', ['--target', 'mock:uart', '--profile', 'mttx'], /did you mean mtty\?/],
    ['no such file', ['--target', 'mock:uart', '--suite', '/nowhere'], /cannot read \/nowhere: ENOENT/],
    ['no suite', ['--target', 'mock:uart', '--suite', bad], /bad\.json is no suite at \w+/],
    ['a case that is not there', ['--target', 'mock:uart', '--only', 'x'], /the suite has no case x/],
  ])('is told in a line: %s', async (_, args, message) => {
    const error = await testedHere(...args).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
  });

  it('ends with 2', () => {
    const { code, out, err } = tested('--target', 'usb:1');
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^stopcopy: 'usb:1' is no target; there are mock:.*\n$/);
  });
});
