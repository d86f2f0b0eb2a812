import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { emit } from '../../src/generate/emitters/index.js';
import { generateSuite } from '../../src/generate/index.js';
import { capabilitySet } from '../../src/machines/index.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MODELS = ['@xstate/test', 'xstate/graph'] as const;
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const suite = generateSuite({
  capabilities: capabilitySet(['p2p', 'pre-copy']),
  coverage: ['requests', 'sessions'],
});

/** As in a project that has installed the package. */
const CONFIG = `
const file = (path) => ${JSON.stringify(ROOT)} + path;
export default {
  test: { testTimeout: 60000, hookTimeout: 60000, isolate: false, maxWorkers: 1 },
  resolve: { alias: [
    { find: /^stopcopy$/, replacement: file('src/index.ts') },
    { find: /^stopcopy\\/devices$/, replacement: file('devices/index.ts') },
    { find: /^stopcopy\\/(\\w+)$/, replacement: file('src/$1/index.ts') },
  ] },
};`;

interface Result {
  readonly title: string;
  readonly status: string;
  readonly failureMessages: readonly string[];
}

/** Emits the suite for both test models, runs vitest on a target, and gives what it reports of each. */
async function run(target: string): Promise<readonly [Result[], Result[]]> {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-emitted-'));
  folders.push(folder);
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'vitest.config.mjs'), CONFIG);
  for (const [part, testModel] of MODELS.entries()) {
    mkdirSync(join(folder, `${part}`));
    for (const { name, text } of emit(suite, 'vitest', { testModel }))
      writeFileSync(join(folder, `${part}`, name), text);
  }
  const report = join(folder, 'report.json');
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  // It fails when a test does.
  await promisify(execFile)(process.execPath, [vitest, 'run', '--reporter=json', `--outputFile=${report}`], {
    cwd: folder,
    env: { ...process.env, STOPCOPY_TARGET: target },
  }).catch(() => {});
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: { name: string; message: string; assertionResults: Result[] }[];
  };
  const resultsOf = (part: number) => {
    const file = testResults.find(({ name }) => name.includes(`/${part}/`))!;
    expect(file.message).toBe('');
    return file.assertionResults.toSorted((a, b) => (a.title < b.title ? -1 : 1));
  };
  return [resultsOf(0), resultsOf(1)];
}

const failed = (results: readonly Result[]) => results.filter(({ status }) => status === 'failed');

describe('the emitted vitest files', () => {
  it('pass on a device that is right, by way of either test model', async () => {
    const [ours, graph] = await run('mock:uart');
    expect(ours.map(({ title }) => title)).toEqual(suite.cases.map(({ id }) => id).sort());
    expect(ours.filter(({ status }) => status === 'passed').length).toBeGreaterThan(100);
    expect(failed(ours)).toEqual([]);
    expect(graph.map(({ title, status }) => [title, status])).toEqual(
      ours.map(({ title, status }) => [title, status]),
    );
  });

  it('fail on one that is wrong, with the path and the rule', async () => {
    const [ours, graph] = await run('mock:uart?fault=zero-at-temporary-end');
    const messages = failed(ours).map(({ failureMessages }) => failureMessages.join());
    expect(messages.length).toBeGreaterThan(0);
    for (const message of messages) expect(message).toMatch(/VFIO-[A-Z]+-\d\d/);
    expect(messages.join()).toMatch(/Path:/);
    expect(failed(graph).map(({ title }) => title)).toEqual(failed(ours).map(({ title }) => title));
  });

  it('have no more tests than vitest likes in one file', () => {
    const [first] = suite.cases;
    const cases = Array.from({ length: 4001 }, (_, at) => ({ ...first!, id: `case-${at}` }));
    const names = emit({ ...suite, cases }, 'vitest').map(({ name }) => name);
    expect(names).toEqual([
      'vfio-device.suite.json',
      'vfio-device-1.test.mjs',
      'vfio-device-2.test.mjs',
      'vfio-device-3.test.mjs',
    ]);
  });
});
