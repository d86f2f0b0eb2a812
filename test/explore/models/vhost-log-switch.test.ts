import { describe, expect, test } from 'vitest';
import { vhostLogSwitch } from '../../../src/explore/models/vhost-log-switch.js';
import { counts, holdsConformant, make, resultOf } from './runs.js';

describe('vhost-log-switch', () => {
  test.each([
    [{ devices: 1, pages: 1 }, [2423, 9993, 21]],
    [{ devices: 2, pages: 1 }, [22730, 138493, 27]],
    [{ devices: 3, pages: 1 }, [179333, 1444480, 35]],
    [{ devices: 2, pages: 2 }, [147347, 1160761, 30]],
  ])('holds with %j, in as many states as ever', async (options, expected) => {
    expect(await counts(vhostLogSwitch, options)).toEqual(expected);
  });

  test('its runs are conformant', () => {
    holdsConformant(make(vhostLogSwitch), 200, [
      'VMM: SET_LOG_BASE of the device that starts',
      'VMM: guest memory grows, SET_LOG_BASE of a larger log',
      'VMM: the log is released',
      'VMM: the migration completes',
    ]);
  });

  test('each gate alone loses what the other one guards', async () => {
    /** What was written in a run in which a page is lost. */
    const lost = async (variant: string) => {
      const { result } = await resultOf(vhostLogSwitch, variant, 'no-page-lost');
      const { actions } = result.counterexample!;
      return actions.filter((each) => each.includes('writes'));
    };
    const [used, buffer] = [/^ring \d: writes its used part$/, /^ring \d: writes page \d$/];
    expect(await lost('ring-flag-forgotten')).toEqual([expect.stringMatching(used)]);
    expect(await lost('log-all-forgotten')).toEqual([expect.stringMatching(buffer)]);
  });

  test('as QEMU 11.1.2 starts a device: a ring is kicked, and then comes the log', async () => {
    const { result } = await resultOf(vhostLogSwitch, 'qemu-11.1', 'no-run-without-log');
    const { actions } = result.counterexample!;
    expect(actions.at(-1)).toBe('ring 0: SET_VRING_KICK, it runs and logs');
    expect(actions.filter((each) => each.includes('SET_LOG_BASE'))).toEqual([]);
  });
});
