import { describe, expect, it } from 'vitest';
import { wrapDevice } from '../../devices/faults/wrap.js';
import { mockTarget, Uart } from '../../devices/index.js';
import { generateSuite } from '../../src/generate/index.js';
import { validateEvents } from '../../src/index.js';
import { runSuite } from '../../src/run/index.js';
import type { TraceEvent } from '../../src/trace/index.js';
import { DeviceError } from '../../src/uapi/index.js';
import { caseOf, reportOf, SAVE_AND_LOAD, suiteOf, targetOf } from './fixture.js';

describe('a device that does all that is allowed', () => {
  it.each(['mock:uart', 'mock:uart?capabilities=stop-copy', 'mock:dma', 'mock:e810-vf?precopy&dma-logging'])(
    '%s passes every case',
    async (uri) => {
      const { report, findings } = await runSuite({
        target: mockTarget(uri),
        suite: (facts) => generateSuite({ ...facts, coverage: ['requests'] }),
      });
      expect(report.failures).toEqual([]);
      expect(report).toMatchObject({ verdict: 'pass', reason: null, skipped: [], known: [] });
      expect(report.passed).toBe(report.cases);
      expect(report.coverage.requests.reached).toBe(report.coverage.requests.total);
      expect(report.resets).toBeGreaterThan(0);
      expect(findings.verdict).toBe('conformant');
    },
  );

  it('saves its image once, and a write takes its bytes from there', async () => {
    const report = await reportOf(new Uart(), [SAVE_AND_LOAD]);
    expect(report).toMatchObject({ verdict: 'pass', cases: 1, passed: 1 });
    expect(report.steps).toBe(SAVE_AND_LOAD.steps.length + 3);
  });

  it('may choose: what follows is expected from the state that it is in', async () => {
    const choosy = caseOf('choosy', [
      { do: 'set', state: 'RESUMING', expect: 'SET.RESUMING.data_fd' },
      { do: 'write', fd: 0, data: { to: -4 }, piece: null, expect: 'WRITE.ok', at: 'RESUMING' },
      {
        do: 'set',
        state: 'STOP',
        // Written for a device that goes to ERROR; this one stays in RESUMING.
        expect: ['FAIL.STOP.ERROR', 'FAIL.STOP.RESUMING'],
        at: 'RESUMING',
      },
      { do: 'get', expect: 'GET.ERROR', at: 'ERROR' },
      { do: 'reset', expect: 'RESET.ok', at: 'ERROR' },
      { do: 'get', expect: 'GET.RUNNING' },
    ]);
    expect(await reportOf(new Uart(), [choosy])).toMatchObject({ verdict: 'pass', passed: 1 });
  });
});

describe('the way back to RUNNING', () => {
  const stay = caseOf('stay', [{ do: 'set', state: 'STOP_COPY', expect: 'SET.STOP_COPY.data_fd' }]);
  const load = caseOf('load', [{ do: 'set', state: 'RESUMING', expect: 'SET.RESUMING.data_fd' }]);

  it('goes through a reset, a new open, or requests and the image', async () => {
    const resets = await reportOf(new Uart(), [stay, load]);
    expect(resets).toMatchObject({ verdict: 'pass', resets: 3 });
    const opens = await reportOf(new Uart(), [stay, load], { target: targetOf(new Uart(), ['reset']) });
    expect(opens).toMatchObject({ verdict: 'pass', resets: 0 });
    const device = new Uart();
    device.reset = () => {
      throw new Error('nobody may reset it');
    };
    const walks = await reportOf(device, [stay, load, SAVE_AND_LOAD], {
      target: targetOf(device, ['reset', 'reopen']),
    });
    expect(walks).toMatchObject({ verdict: 'pass', resets: 0, passed: 3 });
  });

  it('is what a case is judged by too', async () => {
    const report = await reportOf(wrapDevice(new Uart(), { reset: () => {} }), [stay]);
    const [first] = report.failures;
    expect(first).toMatchObject({ rule: 'VFIO-RST-01', step: null, party: 'driver' });
  });
});

describe('what is left out', () => {
  it('says why: calls that the target lacks, a guest that is not there', async () => {
    const cases = [
      caseOf('reset', [{ do: 'reset', expect: 'RESET.ok' }]),
      caseOf('log', [{ do: 'log_stop', expect: 'STOP.error' }]),
      caseOf('guest', [{ do: 'scenario', name: 'there-and-back', expect: 'SCENARIO.ok' }]),
      caseOf('get', [{ do: 'get', expect: 'GET.RUNNING' }]),
    ];
    const report = await reportOf(new Uart(), cases, { target: targetOf(new Uart(), ['reset']) });
    expect(report).toMatchObject({ verdict: 'pass', cases: 1, passed: 1 });
    expect(report.skipped).toEqual([
      { case: 'reset', reason: 'the target has no reset' },
      { case: 'log', reason: 'the target has no dma_logging' },
      { case: 'guest', reason: 'the target has no guest to migrate' },
    ]);
  });

  it('is no pass when it is all', async () => {
    const cases = [caseOf('log', [{ do: 'log_stop', expect: 'STOP.error' }])];
    expect(await reportOf(new Uart(), cases)).toMatchObject({ verdict: 'error', cases: 0 });
    const other = await reportOf(new Uart(), [], { suite: suiteOf([SAVE_AND_LOAD], ['stop-copy']) });
    expect(other).toMatchObject({ verdict: 'error', cases: 0 });
    expect(other.reason).toContain('this one has');
  });

  it('refuses a case that is not there', async () => {
    await expect(reportOf(new Uart(), [SAVE_AND_LOAD], { only: 'nothing' })).rejects.toThrow(
      'the suite has no case nothing',
    );
  });
});

describe('a known deviation', () => {
  const drain = caseOf('drain', [
    { do: 'set', state: 'PRE_COPY', expect: 'SET.PRE_COPY.data_fd' },
    {
      do: 'read',
      fd: 0,
      size: 4096,
      until: 'end',
      expect: 'READ.ENOMSG',
      rule: 'VFIO-PRE-01',
      at: 'PRE_COPY',
    },
    { do: 'get', expect: 'GET.PRE_COPY', at: 'PRE_COPY' },
  ]);

  it('is no failure, and does not end its case', async () => {
    const run = { target: mockTarget('mock:dma?fault=zero-at-temporary-end'), suite: suiteOf([drain]) };
    const known = (await runSuite({ ...run, profile: 'mtty' })).report;
    expect(known).toMatchObject({ verdict: 'pass', passed: 1, profile: 'mtty', steps: 6 });
    expect(known.known).toEqual([
      {
        case: 'drain',
        rule: 'VFIO-PRE-01',
        step: 1,
        words: 'reads at the temporary end of PRE_COPY data give 0',
      },
    ]);
    const strict = (await runSuite(run)).report;
    expect(strict.failures).toMatchObject([{ rule: 'VFIO-PRE-01', step: 1, actual: 'READ.end' }]);
  });
});

describe('a long case', () => {
  it('goes on behind a failure, on a device that is brought to the next state anew', async () => {
    const steps = Array.from({ length: 15 }, () => [
      { do: 'set' as const, state: 'STOP', expect: 'SET.STOP' },
      { do: 'set' as const, state: 'RUNNING', expect: 'SET.RUNNING', at: 'STOP' },
    ]).flat();
    let stops = 0;
    const uart = new Uart();
    const device = wrapDevice(uart, {
      setState: (state) => {
        if (state === 'STOP' && ++stops === 5) throw new DeviceError('EIO', 'not this time');
        return uart.setState(state);
      },
    });
    const report = await reportOf(device, [caseOf('tour', steps)], { shrinkTries: 0 });
    expect(report.failures).toMatchObject([{ step: 8, actual: 'FAIL.STOP.RUNNING', errno: 'EIO' }]);
    expect(report.steps).toBe(steps.length + 3);
    expect(report.remarks).toEqual([
      'tour: after the failure at step 8 it went on with step 9, on a device that was brought to STOP anew',
    ]);
  });
});

it('records what the validator reads', async () => {
  const events: TraceEvent[] = [];
  await reportOf(new Uart(), [SAVE_AND_LOAD], { emit: (event) => events.push(event) });
  expect(validateEvents(events).verdict).toBe('conformant');
  expect(events.filter(({ kind }) => kind === 'device_open')).toHaveLength(3);
});
