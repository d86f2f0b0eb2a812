import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { mockTarget } from '../../devices/index.js';
import { CAPABILITY_SETS } from '../../src/machines/index.js';
import { runSuite } from '../../src/run/index.js';
import { planOf, subsequence, written } from '../../src/run/plan.js';
import { shrink } from '../../src/run/shrink.js';
import { caseOf, suiteOf } from './fixture.js';

test('what is left shows it, and no element of it can be left out', async () => {
  const wanted = fc.uniqueArray(fc.nat(40), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 41, max: 60 }), wanted, async (length, needed) => {
      const shows = async (kept: readonly number[]) => needed.every((each) => kept.includes(each));
      const { kept, minimal } = await shrink(length, shows, 10_000);
      expect(minimal).toBe(true);
      expect(kept).toEqual([...needed].sort((a, b) => a - b));
    }),
  );
});

test('tries are bounded, and what is left still shows it', async () => {
  let tries = 0;
  const shows = async (kept: readonly number[]) => {
    tries++;
    return kept.includes(3) && kept.includes(90);
  };
  const { kept, minimal } = await shrink(100, shows, 5);
  expect([tries, minimal]).toEqual([5, false]);
  expect(kept).toEqual(expect.arrayContaining([3, 90]));
});

describe('steps of a case', () => {
  const steps = caseOf('x', [
    { do: 'set', state: 'PRE_COPY', expect: 'SET.PRE_COPY.data_fd' },
    { do: 'set', state: 'RUNNING', expect: 'SET.RUNNING', at: 'PRE_COPY' },
    { do: 'set', state: 'PRE_COPY', expect: 'SET.PRE_COPY.data_fd' },
    { do: 'set', state: 'STOP_COPY', expect: 'SET.STOP_COPY', at: 'PRE_COPY' },
    { do: 'read', fd: 1, size: 9, until: 'end', expect: 'READ.end', at: 'STOP_COPY' },
    { do: 'read', fd: 0, size: 9, until: 'once', expect: 'READ.error', at: 'STOP_COPY' },
  ]).steps;
  const caps = CAPABILITY_SETS[3]!;
  const plan = planOf(steps, caps, 100);
  const cutTo = (...kept: number[]) => written(subsequence(plan, kept, caps, 100), caps, 100);

  it('have numbers of fds and expectations of their own when some are left out', () => {
    // The first session is gone, so the second has its number; what was read of the first falls away.
    expect(cutTo(2, 3, 4, 5)).toMatchObject([
      { do: 'set', at: 'RUNNING' },
      { do: 'set', state: 'STOP_COPY', expect: ['SET.STOP_COPY'] },
      { do: 'read', fd: 0, at: 'STOP_COPY' },
    ]);
    // Without PRE_COPY it is STOP_COPY that begins the session.
    expect(cutTo(3, 4)).toMatchObject([
      { state: 'STOP_COPY', expect: ['SET.STOP_COPY.data_fd'], at: 'RUNNING' },
      { do: 'read', fd: 0, expect: ['READ.end'] },
    ]);
  });
});

describe('a failure of a faulty device', () => {
  const detours = caseOf('detours', [
    { do: 'set', state: 'STOP', expect: 'SET.STOP' },
    { do: 'set', state: 'RUNNING_P2P', expect: 'SET.RUNNING_P2P', at: 'STOP' },
    { do: 'set', state: 'PRE_COPY', expect: 'SET.PRE_COPY.data_fd', at: 'RUNNING_P2P' },
    { do: 'read', fd: 0, size: 64, until: 'end', expect: ['READ.ENOMSG', 'READ.data'], at: 'PRE_COPY' },
    { do: 'set', state: 'RUNNING', expect: 'SET.RUNNING', at: 'PRE_COPY' },
    { do: 'close', fd: 0, expect: 'CLOSE.ok' },
    { do: 'data_size', expect: 'DATA_SIZE.ok' },
    { do: 'set', state: 'PRE_COPY', expect: 'SET.PRE_COPY.data_fd' },
    { do: 'get', expect: 'GET.PRE_COPY', at: 'PRE_COPY' },
  ]);

  it('is shrunk to the shortest sequence, which fails again and is a suite', async () => {
    const run = (suite = suiteOf([detours])) =>
      runSuite({ target: mockTarget('mock:uart?fault=pre-copy-once'), suite });
    const { report } = await run();
    expect(report.failures).toMatchObject([{ rule: 'VFIO-SES-18', step: 7, minimal: true }]);
    expect(report.failures[0]!.shrunk).toEqual([
      'SET of MIG_DEVICE_STATE to PRE_COPY',
      'SET of MIG_DEVICE_STATE to RUNNING',
      'SET of MIG_DEVICE_STATE to PRE_COPY',
    ]);
    const again = (await run(report.replay!)).report;
    expect(again.failures).toMatchObject([{ case: 'detours', rule: 'VFIO-SES-18', step: 2 }]);
    const { cases } = report.replay!;
    for (const left of cases[0]!.steps.keys()) {
      const steps = cases[0]!.steps.filter((_, index) => index !== left);
      const plan = planOf(cases[0]!.steps, CAPABILITY_SETS[3]!, null);
      const kept = [...plan.keys()].filter((index) => index !== left);
      const fewer = written(subsequence(plan, kept, CAPABILITY_SETS[3]!, null), CAPABILITY_SETS[3]!, null);
      expect(fewer.length).toBeLessThanOrEqual(steps.length);
      const shorter = (await run(suiteOf([{ ...cases[0]!, steps: fewer }]))).report;
      expect(shorter.failures.filter(({ rule }) => rule === 'VFIO-SES-18')).toEqual([]);
    }
  });
});
