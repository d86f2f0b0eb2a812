import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Mealy, type Observed, observed, reduced } from '../../src/automaton/index.js';
import { learnMachine } from '../../src/learn/learner.js';
import { NOT_ASKED } from '../../src/learn/result.js';
import { MachineTeacher } from '../../src/learn/teacher.js';
import { arbitraryMealy, arbitraryStatusMachine, STATUS } from '../automaton/arbitrary-mealy.js';
import { sameAnswers } from './same-answers.js';

const SIZE = { states: 6, inputs: 3, outputs: 2 };

const stateCount = (machine: Mealy, status?: string): number =>
  reduced(observed(machine, status)).watched.machine.states.length;

describe('a machine is learned exactly', () => {
  test.each([
    [0, 'w'],
    [1, 'wp'],
    [2, 'hsi'],
  ] as const)(
    'with as many hidden states as the suite looks for (k = %i, %s)',
    async (extraStates, method) => {
      await fc.assert(
        fc.asyncProperty(arbitraryMealy(SIZE), async (machine) => {
          const learned = await learnMachine(new MachineTeacher(machine), { extraStates, method, walks: 5 });
          const hidden = stateCount(machine) - learned.machine.states.length;
          expect(learned.complete).toBe(true);
          // Whatever is missing lies beyond the guarantee.
          if (hidden <= extraStates) expect(sameAnswers(learned.machine, machine)).toBeNull();
          if (hidden === 0) expect(learned.machine.outputs).not.toContain(NOT_ASKED);
          expect(hidden === 0 || hidden > extraStates).toBe(true);
        }),
        { numRuns: 60 },
      );
    },
  );
});
