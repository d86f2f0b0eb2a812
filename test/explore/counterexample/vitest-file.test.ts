import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { ModelBuilder } from '../../../src/explore/builder.js';
import { vitestFile } from '../../../src/explore/counterexample/vitest-file.js';
import { explore } from '../../../src/explore/engine/explore.js';
import { eq } from '../../../src/explore/expression.js';
import type { Property } from '../../../src/explore/model.js';
import { modelNamed } from '../../../src/explore/models/index.js';
import { modelOptions } from '../../../src/explore/models/options.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-emitted-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** As in a project that has installed the package. */
const CONFIG = `
export default {
  test: { testTimeout: 60000, isolate: false, maxWorkers: 1 },
  resolve: { alias: [{ find: 'stopcopy/explore', replacement: ${JSON.stringify(`${ROOT}src/explore/index.ts`)} }] },
};`;

/** The file for what is found of a property. */
async function emitted(variant: string | null, id: string): Promise<string> {
  const entry = modelNamed('two-phase-stop')!;
  const model = entry.make(modelOptions(entry, { variant }));
  const { properties } = await explore(model, { properties: [id] });
  const path = properties[0]!.counterexample ?? properties[0]!.witness!;
  const property: Property = model.properties.find((each) => each.id === id)!;
  return vitestFile(model, property, path);
}

test('the file of a run passes, and fails when the run is another one', { timeout: 180_000 }, async () => {
  const files = {
    state: await emitted('qemu-11.1', 'no-p2p-to-stopped'),
    step: await emitted('vcpus-early', 'vcpus-run-last'),
    deadlock: await emitted('stuck-after-failure', 'no-deadlock'),
    cycle: await emitted('prepare-hangs', 'stop-ends'),
    witness: await emitted(null, 'migrated'),
    // The right model takes another way after the failure.
    repaired: (await emitted('qemu-11.1', 'no-p2p-to-stopped')).replace(
      '"variant":"qemu-11.1"',
      '"variant":null',
    ),
  };
  expect(files.repaired).not.toBe(files.state);
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'vitest.config.mjs'), CONFIG);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `${name}.test.ts`), text);
  const report = join(folder, 'report.json');
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  // It fails when a test does.
  await promisify(execFile)(process.execPath, [vitest, 'run', '--reporter=json', `--outputFile=${report}`], {
    cwd: folder,
  }).catch(() => {});
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: {
      name: string;
      assertionResults: { status: string; failureMessages: string[] }[];
    }[];
  };
  const results = testResults.map(({ name, assertionResults: [result] }) => ({
    name: name.slice(name.lastIndexOf('/') + 1, -'.test.ts'.length),
    status: result?.status,
    message: result?.failureMessages[0],
  }));
  const passed = results.filter(({ status }) => status === 'passed').map(({ name }) => name);
  expect(passed.sort()).toEqual(['cycle', 'deadlock', 'state', 'step', 'witness']);
  expect(results.find(({ name }) => name === 'repaired')).toMatchObject({
    status: 'failed',
    message: expect.stringMatching(/step \d+: no action is called/),
  });
});

test('it has the words and the chart as a comment, and the run as data', () => {
  const options = { devices: 0, pages: 0, faults: 0, capabilities: [], variant: 'b/*c*/' };
  const model = new ModelBuilder('clock', 'A clock', options);
  const on = model.variable('on', 'whether it is on', 1);
  model.action('clock: tick', { when: eq(on, 0), set: [on.to(1)], chart: { text: '*/ tick' } });
  model.action('clock: tock', { when: eq(on, 1), set: [on.to(0)] });
  model.leadsTo(
    'stops',
    'It stops, and says so in words that are long enough to need another line. */',
    1,
    0,
    [],
  );
  const built = model.build();
  const path = { actions: ['clock: tick', 'clock: tock'], end: 'cycle', loop: 0, changes: [] } as const;
  expect(vitestFile(built, built.properties[0]!, path)).toMatchInlineSnapshot(`
    "import { modelNamed, modelOptions, replay } from 'stopcopy/explore';
    import { expect, test } from 'vitest';

    /*
     * It stops, and says so in words that are long enough to need another line. * /
     *
     *    clock
     *    -- from here on without end --
     * 1  * * / tick
     * 2  * tock
     *    -- and again from step 1 --
     */
    test("clock as b/*c*/: stops is broken by 2 steps", () => {
      const entry = modelNamed("clock")!;
      const model = entry.make(modelOptions(entry, {"devices":0,"pages":0,"faults":0,"capabilities":[],"variant":"b/*c*/"}));
      const property = model.properties.find(({ id }) => id === "stops")!;
      const path = {
        "actions": [
          "clock: tick",
          "clock: tock"
        ],
        "end": "cycle",
        "loop": 0
      } as const;
      expect(replay(model, property, path).problem).toBe(null);
    });
    "
  `);
});
