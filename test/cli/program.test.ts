import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FAULTS } from 'stopcopy/devices';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ruleNamed } from '../../src/index.js';

// Each test starts processes, on machines that are busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = join(ROOT, 'dist/cli/main.js');
const TRACE = join(ROOT, 'test/traces/qemu-11.1/happy-default/src.qmp.ndjson');
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

const COMMANDS = [
  'validate',
  'describe',
  'explain',
  'record',
  'convert',
  'inspect',
  'generate',
  'test',
  'migrate',
  'serve',
  'demo',
  'completion',
];

function stopcopy(args: string[], input = '', env: NodeJS.ProcessEnv = {}) {
  const result = spawnSync(process.execPath, [MAIN, ...args], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, NO_COLOR: '', FORCE_COLOR: '', GITHUB_STEP_SUMMARY: '', ...env },
  });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

/** Bad usage: exit code 2, nothing on standard output, one line on standard error. */
function expectRefusal(args: string[], words: RegExp, input = '') {
  const { code, out, err } = stopcopy(args, input);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/^stopcopy: [^\n]+\n$/);
  expect(err).toMatch(words);
}

describe('usage errors end with 2 and one line', () => {
  it.each<[string, string[], RegExp]>([
    ['an unknown command', ['validat'], /unknown command 'validat'.*[Dd]id you mean validate/],
    ['an unknown option', ['validate', '--jsn'], /unknown option '--jsn'.*--json/],
    ['a wrong choice', ['validate', '--fail-on', 'x', 'f'], /must, should, note/],
    ['a wrong number', ['validate', '--max-findings', '-1', 'f'], /whole number/],
    [
      'an unknown reporter',
      ['validate', '--reporter', 'jsn', 'f'],
      /unknown reporter 'jsn' \(did you mean json\?\)/,
    ],
    ['two reporters in one stream', ['validate', '--reporter', 'tap', '--json', 'f'], /tap and json/],
    ['a reporter without a file', ['validate', '--reporter', 'sarif=', 'f'], /names no file/],
    ['standard input twice', ['validate', '-', '-'], /only once/],
    ['an unknown machine', ['describe', 'vfio-devise'], /did you mean vfio-device\?/],
    ['an unknown capability', ['describe', 'vfio-device', '--caps', 'warp'], /warp/],
    ['an unknown rule', ['explain', 'NO-SUCH-RULE-0'], /unknown rule 'NO-SUCH-RULE-0'/],
    ['record without a task', ['record'], /--print, --kprobes or --pid/],
    ['an unknown shell', ['completion', 'tcsh'], /bash, zsh, fish/],
    ['an unknown word for a running side', ['migrate', 'stop'], /cancel, cont, continue, quit, status/],
    ['a word without a running side', ['migrate', 'status'], /--control PATH/],
    [
      'a device model that is not there',
      ['migrate', '--device', 'e1000'],
      /e1000; there are e810-vf, uart, dma/,
    ],
    [
      'options that do not go together',
      ['migrate', '--personality', 'published', '--precopy'],
      /neither PRE_COPY nor DMA logging/,
    ],
    ['a fault that is not there', ['migrate', '--fault', 'gremlin'], /gremlin; there are .*late-load/],
    ['a file that is not there', ['validate', join(folder, 'gone.log')], /gone\.log/],
    ['a directory', ['validate', folder], /directory/],
    ['an output that cannot be written', ['validate', '-o', join(folder, 'no/out'), TRACE], /cannot write/],
    ['an output that is an input', ['validate', '-o', TRACE, TRACE], /overwrite/],
  ])('%s', (_what, args, words) => {
    expectRefusal(args, words);
  });

  it('an empty input', () => expectRefusal(['validate', '-'], /empty/));

  it('a name that would act on the terminal', () => {
    const { code, err } = stopcopy(['explain', '\u001b[31m\nX']);
    expect(code).toBe(2);
    expect(err).toMatch(/^stopcopy: [^\n]+\n$/);
    expect(err).not.toContain('\u001b');
  });

  it('no command at all, with the help on standard error', () => {
    const { code, out, err } = stopcopy([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain('Usage: stopcopy');
  });
});

describe('help and version', () => {
  it('print the version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(stopcopy(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });

  it.each(COMMANDS)('explain %s', (command) => {
    const { code, out } = stopcopy([command, '--help']);
    expect(code).toBe(0);
    expect(out).toContain(`Usage: stopcopy ${command}`);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });
});

describe('validate', () => {
  it('names a host by NAME=FILE, unless such a file exists', () => {
    const odd = join(folder, 'a=b.qmp.ndjson');
    writeFileSync(odd, readFileSync(TRACE));
    const hosts = (operand: string) => {
      const report = JSON.parse(stopcopy(['validate', '--json', operand]).out) as {
        inputs: { host: string; file: string }[];
      };
      return report.inputs.map(({ host, file }) => [host, file]);
    };
    expect(hosts(`alpha=${TRACE}`)).toEqual([['alpha', TRACE]]);
    expect(hosts(odd)[0]![1]).toBe(odd);
  });

  it('reads standard input', () => {
    const { code, out } = stopcopy(['validate', '--json', '-'], readFileSync(TRACE, 'utf8'));
    expect(code).not.toBe(2);
    expect(JSON.parse(out)).toMatchObject({ schema: 'stopcopy-validate-1', inputs: [{ host: 'stdin' }] });
  });

  it('writes several reports at once and prints for people', () => {
    const files = ['sarif', 'junit', 'tap', 'perfetto', 'json'].map(
      (name) => `${name}=${join(folder, `out.${name}`)}`,
    );
    const { out } = stopcopy(['validate', TRACE, ...files.flatMap((file) => ['--reporter', file])]);
    expect(out).toMatch(/\nverdict: [^\n]+\n$/);
    for (const file of files) expect(existsSync(file.slice(file.indexOf('=') + 1))).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, 'out.json'), 'utf8'))).toHaveProperty('verdict');
  });

  it('prints the verdict line only with --quiet', () => {
    expect(stopcopy(['validate', '--quiet', TRACE]).out).toMatch(/^verdict: [^\n]+\n$/);
  });

  it('judges the readable inputs when one is not, and ends with 2', () => {
    const { code, out, err } = stopcopy(['validate', join(folder, 'gone.log'), TRACE]);
    expect(code).toBe(2);
    expect(out).toMatch(/\nverdict: [^\n]+\n$/);
    expect(err).toMatch(/^stopcopy: [^\n]*gone\.log[^\n]*\n$/);
  });

  it('appends to the step summary of GitHub Actions', () => {
    const summary = join(folder, 'summary.md');
    stopcopy(['validate', '--reporter', 'github', TRACE], '', { GITHUB_STEP_SUMMARY: summary });
    expect(readFileSync(summary, 'utf8')).toMatch(/^### stopcopy: /);
  });
});

describe('describe, explain, convert, completion', () => {
  it('print JSON with a schema', () => {
    for (const args of [['describe'], ['describe', 'vfio-device'], ['explain']]) {
      const { code, out } = stopcopy([...args, '--json']);
      expect(code).toBe(0);
      expect(JSON.parse(out)).toHaveProperty('schema', expect.stringMatching(/^stopcopy-[a-z]+-\d+$/));
    }
  });

  it('explain each rule that the list has', () => {
    const { rules } = JSON.parse(stopcopy(['explain', '--json']).out) as {
      rules: { id: string; title: string }[];
    };
    expect(stopcopy(['explain', rules[0]!.id.toLowerCase()]).out).toContain(rules[0]!.title);
  });

  it('convert to canonical events that validate reads', () => {
    const { code, out } = stopcopy(['convert', TRACE]);
    expect(code).toBe(0);
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toHaveProperty('schema');
    expect(lines.some(({ kind }) => kind === 'migration_status')).toBe(true);
    expect(stopcopy(['validate', '--json', '-'], out).code).toBe(
      stopcopy(['validate', '--json', TRACE]).code,
    );
  });

  it('complete commands, options and words in bash', () => {
    const script = join(folder, 'completion.bash');
    writeFileSync(script, stopcopy(['completion', 'bash']).out);
    const complete = (...words: string[]) => {
      const setup = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}`;
      const run = spawnSync(
        'bash',
        ['-c', `source ${script}; ${setup}; _stopcopy; echo "\${COMPREPLY[@]}"`],
        { encoding: 'utf8' },
      );
      return run.stdout.trim();
    };
    expect(complete('stopcopy', 'va')).toBe('validate');
    expect(complete('stopcopy', 'validate', '--fail-on', 'm')).toBe('must');
    expect(complete('stopcopy', 'validate', '--pro')).toBe('--profile');
    expect(complete('stopcopy', 'describe', 'vfio-de')).toBe('vfio-device');
    expect(complete('stopcopy', 'migrate', '--device', '')).toBe('e810-vf uart dma none');
    expect(complete('stopcopy', 'migrate', '--fault', 'li')).toBe('list');
    expect(complete('stopcopy', 'migrate', '--fault', 'late')).toBe('late-load');
    expect(complete('stopcopy', 'migrate', 'st')).toBe('status');
  });

  it.each(['zsh', 'fish'])('print a script for %s that names every command', (shell) => {
    const { code, out } = stopcopy(['completion', shell]);
    expect(code).toBe(0);
    for (const word of [...COMMANDS, 'e810-vf', 'late-load']) expect(out).toContain(word);
  });
});

describe('migrate --fault list', () => {
  it('prints every fault, with the rules that find it', () => {
    const { code, out } = stopcopy(['migrate', '--fault', 'list']);
    expect(code).toBe(0);
    for (const { name, title, caughtBy } of FAULTS) {
      const entry = out.split('\n\n').find((text) => text.startsWith(`${name}\n`));
      expect(entry?.replace(/\s+/g, ' ')).toContain(title);
      for (const rule of caughtBy) expect(entry).toContain(rule);
    }
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  it('names only rules that there are', () => {
    const { schema, faults } = JSON.parse(stopcopy(['migrate', '--fault', 'list', '--json']).out) as {
      schema: string;
      faults: { name: string; caughtBy: string[] }[];
    };
    expect(schema).toBe('stopcopy-faults-1');
    expect(faults.map(({ name }) => name)).toEqual(FAULTS.map(({ name }) => name));
    for (const { caughtBy } of faults)
      for (const rule of caughtBy) expect(ruleNamed(rule), rule).toBeDefined();
  });
});

describe('streams and signals', () => {
  const OUTPUT = join(ROOT, 'dist/cli/output.js');
  const printLong = `import { print } from ${JSON.stringify(OUTPUT)}; await print(Array.from({ length: 500000 }, () => 'ten bytes\\n'));`;

  it('a long output reaches a slow pipe whole', () => {
    const command = `node --input-type=module -e '${printLong.replaceAll("'", `'\\''`)}' | (sleep 0.3; wc -c)`;
    expect(spawnSync('bash', ['-c', command], { encoding: 'utf8' }).stdout.trim()).toBe('5000000');
  });

  it('a reader that goes away is no error', () => {
    const command = `node --input-type=module -e '${printLong.replaceAll("'", `'\\''`)}' | head -c 5; echo " \${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: 'ten b 0\n', stderr: '' });
  });

  it('SIGINT ends it, even while it waits for input', async () => {
    const child = spawn(process.execPath, [MAIN, 'validate', '-'], { stdio: ['pipe', 'ignore', 'ignore'] });
    const closed = new Promise<unknown>((resolve) => child.once('close', (_code, signal) => resolve(signal)));
    child.stdin.write('{"schema":"stopcopy-trace-1"}\n');
    await new Promise((resolve) => setTimeout(resolve, 500));
    child.kill('SIGINT');
    expect(await closed).toBe('SIGINT');
  });
});
