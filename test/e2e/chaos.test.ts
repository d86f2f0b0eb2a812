import { describe, expect, test } from 'vitest';
import { complaints, type Disaster, disaster } from '../support/chaos.js';

const TIMEOUT = 60_000;
const SMALL = ['--ram', '48M', '--working-set', '2M', '--dirty-rate', '500', '--run-for', '20'];
const options = (seed: number, ...more: string[]) => [
  ...[...SMALL, '--queues', '1', '--seed', `${seed}`, '--patience', '15000'],
  ...more,
];

/** A few of what `test/large/migration-chaos.rig.ts` does by the hundred. */
const DISASTERS: Record<string, Disaster> = {
  'the source is killed early': { options: options(1), kill: { side: 'source', after: 0 } },
  'the source is killed in pre-copy': {
    options: options(10, '--max-bandwidth', '4M'),
    kill: { side: 'source', after: 300 },
  },
  'the destination is killed in pre-copy': {
    options: options(3, '--precopy', '--max-bandwidth', '4M'),
    kill: { side: 'destination', after: 300 },
  },
  'the connection is cut in the first word': {
    options: options(11),
    faults: { forward: { cutAfter: 3 } },
  },
  'the connection is cut in RAM': { options: options(5), faults: { forward: { cutAfter: 600_000 } } },
  'the way back is cut': { options: options(6), faults: { back: { cutAfter: 20 } } },
  'a byte of the configuration is changed': {
    options: options(7),
    faults: { forward: { corrupt: { at: 20, mask: 4 } } },
  },
  'a byte of a page is changed': {
    options: options(8),
    faults: { forward: { corrupt: { at: 400_001, mask: 1 } } },
  },
  'a byte of what both sides must have is changed': {
    options: options(9),
    faults: { forward: { corrupt: { at: 150, mask: 1 } } },
  },
};

describe.concurrent('whatever happens, the VM runs on one side, or somebody says why not', () => {
  test.each(Object.entries(DISASTERS))('%s', { timeout: TIMEOUT }, async (_name, what) => {
    const aftermath = await disaster(what);
    const words = JSON.stringify(aftermath);
    expect(complaints(aftermath), words).toEqual([]);
    const { report, destination, killed, idle } = aftermath;
    // None of them is so late that the VM could have gone over.
    expect(destination?.running ?? false, words).toBe(false);
    if (killed?.side !== 'source')
      expect(report, words).toMatchObject({ outcome: 'failed', running: 'source' });
    if (killed?.side !== 'destination') expect(destination?.error ?? idle, words).toBeTruthy();
  });
});
