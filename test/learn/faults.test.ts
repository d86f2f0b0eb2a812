import { describe, expect, test } from 'vitest';
import { FAULTS } from '../../devices/faults/index.js';
import { mockTarget } from '../../devices/mock-target.js';
import { DeviceTeacher, type InputGroup, learnMachine, protocolExpectation } from '../../src/learn/index.js';
import { differencesFrom } from './conformance.js';

/** Faults that change no answer of those that are asked for, but bytes, guest memory or the guest's device. */
const UNSEEN = [
  'read-restarts',
  'halves-swapped',
  'second-load-ignored',
  'not-unsuspended',
  'resumed-dead',
  'suspend-ignored',
  'report-shifted-by-start',
  'report-shifted',
  'report-lost-at-page-edge',
  'report-clean',
  'tracker-too-small',
  'load-writes-memory',
];

/** Faults that requests alone show; of the others, those that DMA logging shows. */
const BY_REQUESTS = [
  'no-way-back',
  'pre-copy-once',
  'save-once',
  'file-left-by-reset',
  'state-races-reset',
  'reset-lost',
];
const BY_LOGGING = ['log-ends-with-save'];

interface How {
  readonly groups: readonly InputGroup[];
  readonly damaged?: boolean;
  readonly extraStates?: number;
  readonly walks?: number;
}

/** Random words in place of a complete suite: enough to find all states of this device, and a tenth of the calls. */
const BY_WALKS = { extraStates: 0, walks: 60 };

async function differences(
  fault: string | null,
  { extraStates = 1, walks = 0, ...how }: How,
): Promise<string[]> {
  const uri = `mock:dma${fault === null ? '' : `?fault=${fault}`}`;
  // What a fault leaves behind must not outlive its word: each word has a new device.
  const teacher = await DeviceTeacher.open(() => mockTarget(uri), { ...how, fresh: 'open' });
  const { machine, reason } = await learnMachine(teacher, { extraStates, walks });
  await teacher.close();
  expect(reason).toBeNull();
  return differencesFrom(machine, protocolExpectation(teacher.capabilities, teacher.alphabet));
}

function howFor(fault: string): How {
  if (BY_REQUESTS.includes(fault)) return { groups: ['request'] };
  if (BY_LOGGING.includes(fault)) return { groups: ['request', 'logging'] };
  return { groups: ['request', 'session'] };
}

describe('a device with a fault', () => {
  test('differs from the protocol where it is wrong, and nowhere else', { timeout: 240_000 }, async () => {
    const lines: string[] = [];
    for (const { name } of FAULTS) {
      if (UNSEEN.includes(name)) continue;
      const found = await differences(name, howFor(name));
      expect(found, name).not.toEqual([]);
      lines.push(name, ...found.sort().map((each) => `  ${each}`));
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('faults.txt');
  });

  test('does not differ by its answers where it is wrong in its data or its memory', async () => {
    for (const fault of [null, ...UNSEEN])
      expect(await differences(fault, { groups: ['request', 'session'], ...BY_WALKS }), fault ?? '').toEqual(
        [],
      );
    for (const fault of UNSEEN.filter((name) => name.startsWith('report') || name.startsWith('tracker')))
      expect(await differences(fault, { groups: ['logging'] }), fault).toEqual([]);
  });

  test('shows what it makes of half a state, where that is asked for', async () => {
    const how: How = { groups: ['request', 'session'], damaged: true, ...BY_WALKS };
    expect(await differences('truncation-unnoticed', how)).toContain('RESUMING SET STOP: ok (STOP)');
    expect(await differences(null, how)).toEqual([]);
  });
});
