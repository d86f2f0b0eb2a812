import { openTarget } from 'stopcopy/devices';
import { describe, expect, test } from 'vitest';
import { mutants, observed } from '../../src/automaton/index.js';
import {
  alphabetOf,
  DeviceTeacher,
  differences,
  learnedDot,
  learnedMermaid,
  learnMachine,
  learnReport,
  learnSchema,
  MachineTeacher,
  placesOf,
  protocolExpectation,
  protocolMachine,
  STATUS_INPUT,
} from '../../src/learn/index.js';
import { CAPABILITY_SETS } from '../../src/machines/index.js';

/** Learns a mock device, and compares it with the protocol. */
async function diff(uri: string, groups: ('request' | 'session')[] = ['request']) {
  const teacher = await DeviceTeacher.open(() => openTarget(uri, 1), { groups });
  try {
    const expectation = protocolExpectation(teacher.capabilities, teacher.alphabet);
    const learned = await learnMachine(teacher, {
      extraStates: 0,
      walks: 2,
      suspects: (machine) => differences(machine, expectation).map(({ word }) => word),
    });
    const found = differences(learned.machine, expectation);
    for (const { word } of found) expect(learned.wasPut!(word)).toBe(true);
    return { learned, found };
  } finally {
    await teacher.close();
  }
}

describe('no difference', () => {
  test.each(['mock:uart', 'mock:dma', 'mock:e810-vf', 'mock:e810-vf?precopy'])('%s', async (uri) => {
    const { learned, found } = await diff(uri);
    expect(learned.complete).toBe(true);
    expect(found).toEqual([]);
    expect(learnSchema.parse(learnReport(learned, 'vfio-device', found))).toMatchObject({ differences: [] });
  });

  test('of mock:uart with its session', async () => {
    expect((await diff('mock:uart', ['request', 'session'])).found).toEqual([]);
  });
});

/** Faults of devices that show at requests, and all arcs that the differences name. */
const NAMED: readonly (readonly [fault: string, arcs: readonly string[]])[] = [
  [
    'no-way-back',
    [
      'STOP SET RUNNING',
      'STOP SET RUNNING_P2P',
      'STOP_COPY, save SET RUNNING',
      'STOP_COPY, save SET RUNNING_P2P',
    ],
  ],
  ['pre-copy-once', ['STOP SET PRE_COPY', 'STOP SET PRE_COPY_P2P']],
];

test.each(NAMED)('%s is named by its arcs', async (fault, arcs) => {
  const { learned, found } = await diff(`mock:uart?fault=${fault}`);
  expect(found.map(({ from, input }) => `${from} ${input}`)).toEqual(arcs);
  expect(
    learnedMermaid(learned.machine, placesOf(learned.machine, found)).some((line) =>
      line.includes(': ! SET'),
    ),
  ).toBe(true);
  expect(learnedDot(learned.machine, placesOf(learned.machine, found)).join('\n')).toContain('color=red');
});

test.each(CAPABILITY_SETS)('each single-arc fault is named (%o)', async (caps) => {
  const alphabet = alphabetOf();
  const machine = protocolMachine(caps, alphabet);
  const expectation = protocolExpectation(caps, alphabet);
  let faults = 0;
  for (const { machine: mutant, fault } of mutants(observed(machine, STATUS_INPUT))) {
    const { machine: learned } = await learnMachine(new MachineTeacher(mutant, STATUS_INPUT), {
      extraStates: 0,
      walks: 0,
    });
    const found = differences(learned, expectation);
    const [from, input] = [machine.states[fault.state]!, machine.inputs[fault.input]!];
    // A failure may leave the device in ERROR, and errors are of any number: such answers are allowed.
    if (found.length === 0) continue;
    faults++;
    expect(new Set(found.map((each) => each.input))).toEqual(new Set([input]));
    expect(found[0]!.from.split(',')[0]).toBe(from.split(',')[0]);
  }
  expect(faults).toBeGreaterThan(100);
});
