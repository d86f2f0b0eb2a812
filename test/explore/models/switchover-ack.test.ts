import { describe, expect, test } from 'vitest';
import { switchoverAck } from '../../../src/explore/models/switchover-ack.js';
import { counts, holdsConformant, judged, judgedInSome, make, resultOf } from './runs.js';

describe('switchover-ack', () => {
  test.each([
    [{ devices: 1, faults: 1 }, [151, 229, 19]],
    [{ devices: 2, faults: 1 }, [531, 1188, 26]],
    [{ devices: 3, faults: 1 }, [1577, 4788, 34]],
    [{ devices: 3, faults: 3 }, [11775, 41494, 43]],
  ])('holds with %j, in as many states as ever', async (options, expected) => {
    expect(await counts(switchoverAck, options)).toEqual(expected);
  });

  test('its runs are conformant', () => {
    holdsConformant(make(switchoverAck), 200, ['source: SWITCHOVER_START, completed', 'source: failed']);
  });

  test('up to QEMU 11.0 REINIT between the decision and the stop goes unseen, in the shortest way to lose data', async () => {
    const { result } = await resultOf(switchoverAck, 'qemu-11.0', 'initial-data-loaded');
    const { actions } = result.counterexample!;
    const decision = actions.indexOf('source: the switchover is decided');
    expect(actions.slice(decision)).toEqual([
      'source: the switchover is decided',
      'vf0: REINIT, new initial data',
      'vf0: SET_STATE PRE_COPY_P2P from PRE_COPY',
      'vf1: SET_STATE PRE_COPY_P2P from PRE_COPY',
      'vf0: SET_STATE STOP_COPY from PRE_COPY_P2P',
      'vf1: SET_STATE STOP_COPY from PRE_COPY_P2P',
      'source: all are stopped',
      'source: SWITCHOVER_START, completed',
    ]);
    expect(actions.filter((each) => each.includes('REINIT'))).toHaveLength(1);
  });

  test('in QEMU 11.1 the same run ends in a failure', async () => {
    const { result } = await resultOf(switchoverAck, 'ack-early', 'late-request');
    expect(result.witness!.actions).toContain(
      'source: the final query finds 1 requests, the migration fails',
    );
  });

  test('runs of QEMU 11.0 are conformant, also where a user stops the VM', () => {
    const model = make(switchoverAck, { variant: 'qemu-11.0' });
    expect(judgedInSome(model, 100)).toEqual([]);
  });

  test('the validator judges a switchover that does not wait', async () => {
    expect(await judged(switchoverAck, 'gate-ignored', 'no-early-switchover')).toEqual(['VMM-ACK-01']);
    expect(judgedInSome(make(switchoverAck, { variant: 'gate-ignored' }), 60)).toContain('VMM-ACK-01');
  });
});
