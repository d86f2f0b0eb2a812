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

async function differences(fault: string | null, groups: readonly InputGroup[]): Promise<string[]> {
  const uri = `mock:dma${fault === null ? '' : `?fault=${fault}`}`;
  // What a fault leaves behind must not outlive its word: each word has a new device.
  const teacher = await DeviceTeacher.open(() => mockTarget(uri), { groups, fresh: 'open' });
  const { machine, reason } = await learnMachine(teacher, { walks: 0 });
  await teacher.close();
  expect(reason).toBeNull();
  return differencesFrom(machine, protocolExpectation(teacher.capabilities, teacher.alphabet));
}

describe('a device with a fault', () => {
  test('differs from the protocol at the arc that is wrong, and nowhere else before it', {
    timeout: 240_000,
  }, async () => {
    const lines: string[] = [];
    for (const { name } of FAULTS) {
      const groups: InputGroup[] = name.startsWith('log-') ? ['request', 'logging'] : ['request', 'session'];
      const found = await differences(name, groups);
      expect(found.length > 0, name).toBe(!UNSEEN.includes(name));
      lines.push(name, ...found.sort().map((each) => `  ${each}`));
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('faults.txt');
  });

  test('differs by its requests alone where they are wrong', async () => {
    expect(await differences('no-way-back', ['request'])).toContain('STOP SET RUNNING: EFAULT (ERROR)');
    expect(await differences('state-races-reset', ['request'])).toContain('STOP_COPY RESET: ok (STOP)');
    expect(await differences(null, ['request'])).toEqual([]);
  });
});
