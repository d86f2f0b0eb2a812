import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { CRITERION_NAMES, statsJsonSchema } from '../../src/generate/index.js';
import { suiteSchema } from '../../src/suite/index.js';

// Each test starts processes, on machines that are busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-generate-'));
afterAll(() => rmSync(folder, { recursive: true }));

function generate(...args: string[]) {
  const result = spawnSync(process.execPath, [MAIN, 'generate', ...args], { encoding: 'utf8' });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

/** Standard output of a run that ends well. */
function made(...args: string[]): string {
  const { code, out, err } = generate(...args);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out;
}

describe('usage errors end with 2 and one line', () => {
  it.each<[string, string[], RegExp]>([
    ['no criterion', ['vfio-device'], /--coverage states,arcs,requests/],
    ['an unknown criterion', ['vfio-device', '--coverage', 'request'], /did you mean requests\?/],
    ['an unknown machine', ['vfio-devise', '--coverage', 'arcs'], /did you mean vfio-device\?/],
    ['a machine of another party', ['vmm-source', '--coverage', 'arcs'], /suites are made from vfio-device/],
    ['an unknown capability', ['vfio-device', '--coverage', 'arcs', '--capabilities', 'warp'], /warp/],
    ['an unknown call', ['vfio-device', '--coverage', 'arcs', '--lacks', 'rest'], /did you mean reset\?/],
    ['an unknown case', ['vfio-device', '--coverage', 'arcs', '--only', 'arcs/x'], /no case 'arcs\/x'/],
    ['a budget of nothing', ['vfio-device', '--coverage', 'arcs', '--budget', '0'], /from 1 to/],
    ['guest without scenarios', ['vfio-device', '--coverage', 'guest'], /--scenarios/],
    ['JSON of what is no list', ['vfio-device', '--coverage', 'arcs', '--json'], /--emit json/],
    [
      'a suite without bounds',
      ['vfio-device', '--coverage', 'm-complete', '--extra-states', '8', '--stats'],
      /1000000 are the most/,
    ],
  ])('%s', (_name, args, words) => {
    const { code, out, err } = generate(...args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^stopcopy: [^\n]+\n$/);
    expect(err).toMatch(words);
  });
});

it('the help names every criterion', () => {
  const help = made('--help');
  for (const name of CRITERION_NAMES) expect(help).toMatch(new RegExp(`^ {2}${name} {2,}\\w`, 'm'));
});

describe('a suite', () => {
  it('is printed as JSON, the same each time', () => {
    const args = ['vfio-device', '--coverage', 'arcs,requests', '--capabilities', 'p2p'];
    const text = made(...args);
    const suite = suiteSchema.parse(JSON.parse(text));
    expect(suite).toMatchObject({ capabilities: ['stop-copy', 'p2p'], coverage: ['arcs', 'requests'] });
    expect(made(...args)).toBe(text);
  });

  it('of one case is what --only takes from it', () => {
    const args = ['vfio-device', '--coverage', 'requests'];
    const { cases } = JSON.parse(made(...args, '--list', '--json'));
    expect(
      made(...args, '--list')
        .trimEnd()
        .split('\n'),
    ).toHaveLength(cases.length + 1);
    const suite = JSON.parse(made(...args, '--only', cases[1].id));
    expect(suite.cases.map(({ id }: { id: string }) => id)).toEqual([cases[1].id]);
  });

  it('goes into a file or a folder, over what generate wrote and over nothing else', () => {
    const args = ['vfio-device', '--coverage', 'arcs', '-o'];
    const file = join(folder, 'deep/suite.json');
    for (const _ of [1, 2]) expect(generate(...args, file)).toEqual({ code: 0, out: '', err: '' });
    expect(statSync(file).mode & 0o777).toBe(0o666 & ~process.umask());
    expect(generate(...args, join(folder, 'suites'))).toMatchObject({ code: 0 });
    const [name] = readdirSync(join(folder, 'suites'));
    expect(readFileSync(join(folder, 'suites', name!), 'utf8')).toBe(readFileSync(file, 'utf8'));

    const other = join(folder, 'notes.json');
    writeFileSync(other, 'my notes\n');
    const refused = generate(...args, other);
    expect(refused).toMatchObject({ code: 2, out: '' });
    expect(refused.err).toMatch(/notes\.json is there.*--force/);
    expect(readFileSync(other, 'utf8')).toBe('my notes\n');
    expect(generate(...args, other, '--force').code).toBe(0);
    expect(readFileSync(other, 'utf8')).toBe(readFileSync(file, 'utf8'));
  });
});

describe('statistics', () => {
  it('are one document with fixed names', () => {
    const stats = JSON.parse(
      made('vfio-device', '--coverage', 'requests', '--stats', '--json', '--capabilities', 'p2p,pre-copy'),
    );
    expect(new Ajv2020({ strictTypes: false }).compile(statsJsonSchema())(stats)).toBe(true);
    expect(stats).toMatchObject({
      coverage: { requests: { reached: 63, total: 63 } },
      lowerBound: stats.steps,
    });
    expect(stats.capabilitySets).toBeUndefined();
  });

  it('tell of every capability set when none is named', () => {
    const args = ['vfio-device', '--coverage', 'states,requests', '--stats'];
    const stats = JSON.parse(made(...args, '--json'));
    expect(stats.capabilitySets).toHaveLength(4);
    const { capabilitySets, ...full } = stats;
    expect(capabilitySets[3]).toEqual(full);
    const text = made(...args);
    for (const words of ['stop-copy, p2p, pre-copy  requests', '63/63', 'min-cost flow', 'that passes:'])
      expect(text).toContain(words);
  });

  it('of a complete suite say what it guarantees, and what cannot be told apart without GET', () => {
    const args = ['vfio-device', '--coverage', 'm-complete', '--stats', '--capabilities', 'p2p'];
    expect(made(...args)).toMatch(/at most\s+5 states/);
    expect(made(...args, '--no-status')).toMatch(/does not tell apart/);
  });
});
