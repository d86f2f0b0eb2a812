import { describe, expect, test } from 'vitest';
import { COMPLETE_METHODS } from '../../src/automaton/index.js';
import { mCompleteCases } from '../../src/generate/m-complete.js';
import { CAPABILITY_SETS, capabilitySet } from '../../src/machines/index.js';
import { caseSchema, type Step } from '../../src/suite/index.js';

const FULL = capabilitySet(['p2p', 'pre-copy']);
const isRequest = ({ do: call }: Step) => call === 'set' || call === 'reset';

describe('m-complete suites over the requests to a device', () => {
  test.each([
    [0, 57, 111],
    [1, 513, 1_512],
    [2, 4_617, 18_225],
  ])('for %d hidden states, with GET: %d cases of %d requests', (extraStates, tests, requests) => {
    const { cases } = mCompleteCases({ capabilities: FULL, method: 'w', extraStates, status: true });
    expect(cases).toHaveLength(tests);
    expect(cases.flatMap(({ steps }) => steps.filter(isRequest))).toHaveLength(requests);
  });

  test('with GET the methods make the same cases', () => {
    const [w, wp, hsi] = COMPLETE_METHODS.map((method) =>
      mCompleteCases({ capabilities: FULL, method, extraStates: 1, status: true }),
    );
    expect(wp).toEqual(w);
    expect(hsi).toEqual(w);
  });

  test.each(CAPABILITY_SETS)('%j: cases are well formed, and each has an id of its own', (capabilities) => {
    const made = [true, false].map((status) =>
      mCompleteCases({ capabilities, method: 'hsi', extraStates: 1, status }),
    );
    const cases = made.flatMap((each) => each.cases);
    for (const each of cases) expect(caseSchema.parse(each)).toEqual(each);
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    for (const { steps } of made[0]!.cases)
      expect(steps.filter(({ do: call }) => call === 'get').length).toBe(steps.filter(isRequest).length);
    for (const { steps } of made[1]!.cases) expect(steps.some(({ do: call }) => call === 'get')).toBe(false);
  });

  test('ids can be read', () => {
    const { cases } = mCompleteCases({ capabilities: FULL, method: 'w', extraStates: 0, status: true });
    const own = cases.filter(({ id }) => id.startsWith('m-complete/0/STOP>STOP_COPY-'));
    expect(own).toHaveLength(1);
    expect(own[0]!.steps).toMatchObject([
      { state: 'STOP' },
      { do: 'get' },
      { state: 'STOP_COPY' },
      { do: 'get' },
    ]);
  });

  test('a target without reset has no reset in its suite', () => {
    const { cases, guarantee } = mCompleteCases({
      capabilities: FULL,
      method: 'hsi',
      extraStates: 0,
      status: true,
      reset: false,
    });
    // 7 states with 8 requests each: the 6 that lead on from RUNNING need no case of their own.
    expect(cases).toHaveLength(7 * 8 - 6);
    expect(cases.flatMap(({ steps }) => steps).some(({ do: call }) => call === 'reset')).toBe(false);
    expect(guarantee).not.toContain('RESET');
  });

  test('the guarantee says how many states, what is seen, and on what it rests', () => {
    const { guarantee, indistinguishable } = mCompleteCases({
      capabilities: FULL,
      method: 'hsi',
      extraStates: 1,
      status: true,
    });
    expect(guarantee).toContain('at most 8 states: the 7 of the model and 1 hidden.');
    expect(guarantee).toContain(
      'reached from RUNNING by nothing or by STOP, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P, and at most 1 request more.',
    );
    expect(guarantee).toContain('GET tells the state and changes nothing');
    expect(indistinguishable).toEqual([]);
  });

  test('without GET it says which states look alike', () => {
    const made = CAPABILITY_SETS.map((capabilities) =>
      mCompleteCases({ capabilities, method: 'hsi', extraStates: 0, status: false }),
    );
    expect(made.map(({ indistinguishable }) => indistinguishable)).toEqual([
      [['RUNNING', 'STOP']],
      [['RUNNING', 'STOP', 'RUNNING_P2P']],
      [['RUNNING', 'STOP']],
      [
        ['RUNNING', 'STOP', 'RUNNING_P2P'],
        ['PRE_COPY', 'PRE_COPY_P2P'],
      ],
    ]);
    expect(made[3]!.guarantee).toContain(
      'What is seen does not tell apart RUNNING, STOP, RUNNING_P2P; nor PRE_COPY, PRE_COPY_P2P',
    );
    expect(made[3]!.guarantee).toContain('at most 4 states: the 4 of the model.');
  });

  test('too many hidden states are refused before anything is made', () => {
    expect(() => mCompleteCases({ capabilities: FULL, method: 'w', extraStates: 9, status: true })).toThrow(
      'vfio-device: 9 extra states give about',
    );
  });
});
