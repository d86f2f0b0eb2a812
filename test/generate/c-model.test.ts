import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateSuite } from '../../src/generate/index.js';
import { capabilitySet } from '../../src/machines/index.js';
import { CaseModel, imageCase, type Suite } from '../../src/suite/index.js';
import { MIG_STATES, type MigState } from '../../src/uapi/index.js';
import { buildHarness, hasCompiler } from './c-program.js';

const capabilities = capabilitySet(['p2p', 'pre-copy']);
const suite = generateSuite({ capabilities, coverage: ['requests', 'pairs', 'sessions', 'errors'] });
const HARNESS = fileURLToPath(new URL('model-harness.c', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-c-model-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The program has the failures of a request in the order of the header, and all else as it is. */
function byState(one: string, other: string): number {
  const [a, b] = [one, other].map((each) => MIG_STATES.indexOf(each.split('.')[2] as MigState));
  return one.startsWith('FAIL') && other.startsWith('FAIL') ? a! - b! : 0;
}

/** As the harness walks the cases of its program. */
function walked({ cases }: Suite, seed: number): string[] {
  return [imageCase(capabilities), ...cases].flatMap(({ id, steps }, c) => {
    const model = new CaseModel(capabilities, 48);
    return steps.map((step, index) => {
      const allowed = model.allowed(step)?.toSorted(byState);
      if (allowed === undefined) return `${id} ${index} no fd`;
      const choice = seed + 31 * c + 7 * index;
      const words = choice % 3 === 0 ? step.expect : allowed;
      model.take(step, words[choice % words.length]!);
      return `${id} ${index} ${allowed.join(' ')}`;
    });
  });
}

describe.skipIf(!hasCompiler('gcc'))('the model in C', () => {
  let harness = '';
  beforeAll(async () => {
    copyFileSync(HARNESS, join(folder, 'model-harness.c'));
    harness = await buildHarness(suite, folder);
  });

  it.each([0, 1, 2, 3, 4, 5])(
    'allows what CaseModel allows, whichever way a device takes (%i)',
    async (seed) => {
      const { stdout } = await promisify(execFile)(harness, [`${seed}`], { maxBuffer: 1 << 26 });
      expect(stdout.trimEnd().split('\n')).toEqual(walked(suite, seed));
    },
  );
});
