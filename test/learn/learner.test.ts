import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Mealy, mutants, observed, reduced } from '../../src/automaton/index.js';
import { requestMachine } from '../../src/generate/request-machine.js';
import {
  type Answer,
  type LearnProgress,
  learnMachine,
  MachineTeacher,
  NOT_ASKED,
} from '../../src/learn/index.js';
import { CAPABILITY_SETS } from '../../src/machines/index.js';
import { arbitraryMealy, arbitraryStatusMachine, mealy, STATUS } from '../automaton/arbitrary-mealy.js';
import { sameAnswers } from './same-answers.js';

const SIZE = { states: 6, inputs: 3, outputs: 2 };
const FULL = CAPABILITY_SETS[3]!;

const stateCount = (machine: Mealy, status?: string): number =>
  reduced(observed(machine, status)).watched.machine.states.length;

/** Says what was put to it, word by word. */
class ListeningTeacher extends MachineTeacher {
  readonly heard: string[][] = [];

  override begin() {
    this.heard.push([]);
    return super.begin();
  }

  override step(input: number, asksStatus: boolean): Promise<Answer> {
    this.heard.at(-1)!.push(this.inputs[input]!);
    return super.step(input, asksStatus);
  }
}

/** Once in a while an input is answered otherwise; drawn by a seed. */
class FlakyTeacher extends MachineTeacher {
  #draws = 0;

  protected override answer(state: number, input: number): string {
    if (input === this.inputs.length) return super.answer(state, input); // The status is honest.
    this.#draws = (Math.imul(this.#draws, 1_103_515_245) + 12_345) >>> 0;
    return this.#draws % 50 === 7 ? 'EBUSY' : super.answer(state, input);
  }
}

describe('a machine is learned exactly', () => {
  test.each([
    [0, 'w'],
    [1, 'wp'],
    [2, 'hsi'],
  ] as const)('by its outputs; missing states are more than k = %i (%s)', async (extraStates, method) => {
    let exact = 0;
    const property = fc.asyncProperty(arbitraryMealy(SIZE), async (machine) => {
      const learned = await learnMachine(new MachineTeacher(machine), { extraStates, method, walks: 2 });
      const missing = stateCount(machine) - learned.machine.states.length;
      expect(learned.complete).toBe(true);
      expect(missing === 0 || missing > extraStates).toBe(true);
      if (missing === 0) exact++;
      expect(sameAnswers(learned.machine, machine) === null).toBe(missing === 0);
    });
    await fc.assert(property, { numRuns: 60 });
    expect(exact).toBeGreaterThan(30);
  });

  test('with a status that tells a part of the state', async () => {
    const property = fc.asyncProperty(arbitraryStatusMachine(SIZE), async (machine) => {
      const learned = await learnMachine(new MachineTeacher(machine, STATUS), { extraStates: 1 });
      const missing = stateCount(machine, STATUS) - learned.machine.states.length;
      expect(missing === 0 || missing > 1).toBe(true);
      expect(sameAnswers(learned.machine, machine) === null).toBe(missing === 0);
    });
    await fc.assert(property, { numRuns: 80 });
  });

  test('and so is each fault of the requested view, also behind a hidden state', {
    timeout: 60_000,
  }, async () => {
    const model = observed(requestMachine(FULL, { status: true }), 'GET');
    let learned = 0;
    for (const [hidden, every] of [
      [0, 7],
      [1, 397],
    ] as const) {
      for (const [number, { machine }] of [...mutants(model, hidden)].entries()) {
        if (number % every !== 0) continue;
        const result = await learnMachine(new MachineTeacher(machine, 'GET'));
        expect(sameAnswers(result.machine, machine)).toBeNull();
        learned++;
      }
    }
    expect(learned).toBeGreaterThan(70);
  });
});

describe('states beyond the guarantee', () => {
  /** A lock: only the word 0 1 0 1 0 1 opens it, and nothing shows before. */
  const lock = mealy(
    { states: 7, inputs: 2, outputs: 2 },
    [1, 0, 1, 2, 3, 0, 1, 4, 5, 0, 1, 6, 6, 6],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
  );

  test('are not seen, and the guarantee says for which devices the machine is right', async () => {
    const learned = await learnMachine(new MachineTeacher(lock), { extraStates: 1, walks: 0 });
    expect(learned.machine.states).toEqual(['initial']);
    expect(learned.complete).toBe(true);
    expect(learned.guarantee).toBe(
      'exact for a device with at most 2 states: 1 was found, and 1 hidden one would have shown',
    );
  });

  test('are seen with more extra states', async () => {
    const learned = await learnMachine(new MachineTeacher(lock), { extraStates: 6, walks: 0 });
    expect(sameAnswers(learned.machine, lock)).toBeNull();
    expect(learned.machine.states).toHaveLength(7);
  });

  test('are seen by random words', async () => {
    const learned = await learnMachine(new MachineTeacher(lock), { extraStates: 0, walks: 20, seed: 3 });
    expect(sameAnswers(learned.machine, lock)).toBeNull();
    expect(learned.guarantee).toBe(
      'exact for a device with at most 7 states: 7 were found; 20 random words of 30 inputs agree',
    );
  });
});

test('no word is put twice, and none that begins another one that was put before', async () => {
  const teacher = new ListeningTeacher(requestMachine(FULL, { status: true }), 'GET');
  await learnMachine(teacher);
  const known = new Set<string>();
  for (const word of teacher.heard.slice(1)) {
    expect(known).not.toContain(word.join());
    for (let length = 1; length <= word.length; length++) known.add(word.slice(0, length).join());
  }
  expect(known.size).toBeGreaterThan(500);
});

describe('learning that ends early', () => {
  const machine = requestMachine(FULL, { status: true });

  test('for its budget of requests', async () => {
    const learned = await learnMachine(new MachineTeacher(machine, 'GET'), { maxRequests: 60 });
    expect(learned).toMatchObject({ complete: false, reason: 'budget', nondeterminism: null });
    expect(learned.requests).toBeLessThan(64);
    expect(learned.machine.outputs).toContain(NOT_ASKED);
    expect(learned.guarantee).toMatch(
      /^none: the budget was used up after 6\d requests; \d states were found/,
    );
  });

  test('for its time', async () => {
    const learned = await learnMachine(new MachineTeacher(machine, 'GET'), { maxMilliseconds: 0 });
    expect(learned).toMatchObject({ reason: 'budget', requests: 0 });
    expect(learned.machine).toMatchObject({ states: ['initial'], outputs: [NOT_ASKED] });
  });

  test('by a signal, with the states that were found', async () => {
    const abort = new AbortController();
    const seen: LearnProgress[] = [];
    const progress = (each: LearnProgress) => {
      seen.push(each);
      if (each.examination !== null && each.examination.done > 20) abort.abort();
    };
    const learned = await learnMachine(new MachineTeacher(machine, 'GET'), {
      signal: abort.signal,
      progress,
    });
    expect(learned).toMatchObject({ complete: false, reason: 'interrupted' });
    expect(learned.machine.states).toHaveLength(7);
    expect(learned.machine.outputs).not.toContain(NOT_ASKED);
    expect(seen.map(({ words }) => words)).toEqual(seen.map((_, at) => at + 1));
    expect(seen.at(-1)!.examination!.words).toBeGreaterThan(500);
  });

  test('because the same word is answered differently', async () => {
    const learned = await learnMachine(new FlakyTeacher(machine, 'GET'));
    expect(learned).toMatchObject({ complete: false, reason: 'nondeterminism' });
    const { word, answers } = learned.nondeterminism!;
    expect(word.length).toBeGreaterThan(0);
    expect(answers.length).toBeGreaterThan(1);
    for (const each of answers) expect(each).toHaveLength(word.length);
    expect(new Set(answers.map((each) => each.join())).size).toBe(answers.length);
    expect(learned.guarantee).toContain('none: the device answers the same word differently');
  });
});

test('an examination that would be too large is refused', async () => {
  const teacher = new MachineTeacher(requestMachine(FULL, { status: true }), 'GET');
  await expect(learnMachine(teacher, { extraStates: 9 })).rejects.toThrow('take fewer extra states');
});
