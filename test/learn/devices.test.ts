import { describe, expect, test } from 'vitest';
import { mockTarget } from '../../devices/mock-target.js';
import {
  DeviceTeacher,
  type DeviceTeacherOptions,
  type InputGroup,
  learnMachine,
  protocolExpectation,
} from '../../src/learn/index.js';
import { capabilityNames } from '../../src/machines/index.js';
import { differencesFrom, wrongWord } from './conformance.js';

/** Every capability set and personality of the catalog. */
const BARE = [
  ...['uart', 'dma'].flatMap((model) =>
    ['stop-copy', 'stop-copy,p2p', 'stop-copy,pre-copy', 'stop-copy,p2p,pre-copy'].map(
      (names) => `${model}?capabilities=${names}`,
    ),
  ),
];
const VFS = ['a', 'b'].flatMap((generation) => [
  `e810-vf?generation=${generation}`,
  `e810-vf?generation=${generation}&precopy`,
]);
const PUBLISHED = ['a', 'b'].map((generation) => `e810-vf?generation=${generation}&personality=published`);

interface Kind {
  readonly groups: readonly InputGroup[];
  readonly status: boolean;
  readonly extraStates: number;
}

async function learn(device: string, kind: Kind, options: DeviceTeacherOptions = {}) {
  const { groups, status, extraStates } = kind;
  const teacher = await DeviceTeacher.open(mockTarget(`mock:${device}`), { groups, status, ...options });
  const learned = await learnMachine(teacher, { extraStates });
  expect(learned).toMatchObject({ complete: true, reason: null, nondeterminism: null });
  // Whatever the suite has not asked: long words, of which hardly one was put before.
  expect(await wrongWord(learned.machine, teacher, { words: 60, length: 40, seed: 7 })).toBeNull();
  const differences = differencesFrom(
    learned.machine,
    protocolExpectation(teacher.capabilities, teacher.alphabet),
  );
  await teacher.close();
  return { teacher, learned, differences };
}

const line = (
  device: string,
  { groups, status, extraStates }: Kind,
  learned: Awaited<ReturnType<typeof learn>>,
) => {
  const { machine, requests, words } = learned.learned;
  const what = `${groups.join('+')}${status ? '' : ' without GET'}`;
  return `${device.padEnd(44)} ${what.padEnd(24)} k=${extraStates} ${String(machine.states.length).padStart(3)} states ${String(requests).padStart(6)} requests ${String(words).padStart(5)} words`;
};

const KINDS: readonly Kind[] = [
  { groups: ['request'], status: true, extraStates: 0 },
  { groups: ['request'], status: true, extraStates: 1 },
  { groups: ['request'], status: false, extraStates: 1 },
];
const SESSION: Kind = { groups: ['request', 'session'], status: true, extraStates: 1 };
const SESSION_BLIND: Kind = { ...SESSION, status: false };
/** With a status that does not show logging: without an extra state nobody would look for it. */
const LOGGING: Kind = { groups: ['request', 'logging'], status: true, extraStates: 1 };

describe('devices that keep the protocol are learned exactly, and nothing in them differs from it', () => {
  test('requests to each device, and what they cost', { timeout: 120_000 }, async () => {
    const lines: string[] = [];
    const cases: (readonly [string, Kind])[] = [
      ...[...BARE, ...VFS].flatMap((device) => KINDS.map((kind) => [device, kind] as const)),
      ...BARE.slice(0, 4).map((device) => [device, SESSION] as const),
      ['dma', SESSION],
      ['uart', SESSION_BLIND],
      ['dma', LOGGING],
    ];
    for (const [device, kind] of cases) {
      const result = await learn(device, kind);
      expect(result.differences, device).toEqual([]);
      lines.push(line(device, kind, result));
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('requests.txt');
  });

  test('states are as many as the protocol has, and named by what GET said', async () => {
    const { learned, teacher } = await learn('uart', KINDS[1]!);
    expect(capabilityNames(teacher.capabilities)).toEqual(['stop-copy', 'p2p', 'pre-copy']);
    expect([...learned.machine.states].sort()).toEqual([
      'PRE_COPY',
      'PRE_COPY_P2P',
      'RESUMING',
      'RUNNING',
      'RUNNING_P2P',
      'STOP',
      'STOP_COPY',
    ]);
  });
});

describe('personalities as the drivers were posted', () => {
  test.each(PUBLISHED)(
    '%s is learned exactly, and differs where it is known to',
    { timeout: 60_000 },
    async (device) => {
      const blind = await learn(device, KINDS[2]!);
      expect(blind.learned.machine.states.length).toBeGreaterThan(4);
      const { differences } = await learn(device, KINDS[1]!);
      await expect(`${differences.sort().join('\n')}\n`).toMatchFileSnapshot(
        `published-${device.includes('=a') ? 'a' : 'b'}.txt`,
      );
    },
  );
});
