import { describe, expect, test } from 'vitest';
import { FAULTS } from '../../devices/faults/index.js';
import type { Criterion } from '../../src/generate/index.js';
import { faultsOf, isKilled, type Mutant, mutant, table, tested } from './mutation-score.js';

/**
 * What a test run finds: each fault on the smallest device that can have it, with the shortest suite that tries
 * everything once. `npm run test:large` has every device and the whole suite.
 */
const SHORT: readonly Criterion[] = ['requests', 'guest'];
/** Calls to the device alone. Migrations with a guest are in `test/devices/published-defects.test.ts`. */
const CALLS: readonly Criterion[] = ['requests', 'sessions', 'errors'];

describe('every fault is found, by a rule that fits', () => {
  const mutants: Mutant[] = [];

  test.each(FAULTS.map((fault) => [fault.name, fault] as const))('%s', async (_name, fault) => {
    const device = (await faultsOf('uart')).includes(fault) ? 'uart' : 'dma';
    const each = await mutant(device, fault, SHORT);
    mutants.push(each);
    expect(isKilled(each), table([each])).toBe(true);
  });

  test('the score', () => {
    expect(table(mutants).split('\n').at(-1)).toBe(`mutation score: ${FAULTS.length} of ${FAULTS.length}`);
  });
});

test('every fault can show on the device that has everything', async () => {
  expect(await faultsOf('dma')).toEqual(FAULTS);
});

test.each([
  ['uart', undefined],
  ['uart?capabilities=stop-copy', undefined],
  ['dma', undefined],
  ['e810-vf?generation=a&precopy&dma-logging', CALLS],
  ['e810-vf?generation=b', CALLS],
])('%s passes everything', async (text, coverage) => {
  const { verdict, failures, passed, cases } = await tested(text, coverage);
  expect({ verdict, failures }).toEqual({ verdict: 'pass', failures: [] });
  expect(passed).toBe(cases);
});
