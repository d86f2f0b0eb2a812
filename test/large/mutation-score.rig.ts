import { describe, expect, test } from 'vitest';
import { faultsOf, isKilled, type Mutant, mutant, table, tested } from '../conformance/mutation-score.js';

const DEVICES = [
  'uart',
  'uart?capabilities=stop-copy',
  'dma',
  'dma?capabilities=stop-copy',
  'e810-vf?generation=a',
  'e810-vf?generation=a&precopy',
  'e810-vf?generation=a&dma-logging',
  'e810-vf?generation=a&precopy&dma-logging',
  'e810-vf?generation=b',
  'e810-vf?generation=b&precopy',
  'e810-vf?generation=b&dma-logging',
  'e810-vf?generation=b&precopy&dma-logging',
];

describe.each(DEVICES)('%s', (device) => {
  test('passes everything', async () => {
    const { verdict, failures } = await tested(device);
    expect({ verdict, failures }).toEqual({ verdict: 'pass', failures: [] });
  });

  test('with each fault that can show fails, by a rule that fits', async () => {
    const mutants: Mutant[] = [];
    for (const fault of await faultsOf(device)) mutants.push(await mutant(device, fault));
    console.log(table(mutants));
    expect(mutants.filter((each) => !isKilled(each))).toEqual([]);
  });
});
