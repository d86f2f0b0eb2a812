import { expect, test } from 'vitest';
import { mockTarget } from '../../devices/mock-target.js';
import { DeviceTeacher, learnMachine, protocolExpectation } from '../../src/learn/index.js';
import { differencesFrom, wrongWord } from '../learn/conformance.js';

/** The sessions of every VF, with and without GET: learned exactly, as 400 long random words show. */
const VFS = ['a', 'b'].flatMap((generation) =>
  ['', '&precopy', '&personality=published'].map((rest) => `e810-vf?generation=${generation}${rest}`),
);

test.each(VFS.flatMap((device) => [true, false].map((status) => [device, status] as const)))(
  '%s, status %s',
  async (device, status) => {
    const groups = ['request', 'session'] as const;
    const teacher = await DeviceTeacher.open(mockTarget(`mock:${device}`), { groups, status });
    const learned = await learnMachine(teacher);
    expect(learned).toMatchObject({ complete: true, reason: null });
    expect(await wrongWord(learned.machine, teacher, { words: 400, length: 60, seed: 11 })).toBeNull();
    await teacher.close();
    const expectation = protocolExpectation(teacher.capabilities, teacher.alphabet);
    const differences = differencesFrom(learned.machine, expectation);
    expect(differences.length > 0).toBe(device.includes('published'));
    console.log(`${device}: ${learned.machine.states.length} states, ${learned.requests} requests`);
  },
);
