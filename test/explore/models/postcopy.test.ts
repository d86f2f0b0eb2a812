import { describe, expect, test } from 'vitest';
import { postcopy } from '../../../src/explore/models/postcopy.js';
import { counts, holdsConformant, judged, judgedInSome, make, resultOf } from './runs.js';

describe('postcopy', () => {
  test.each([
    [{ pages: 1, faults: 1 }, [640, 1271, 28]],
    [{ pages: 2, faults: 2 }, [2103, 5843, 33]],
    [{ pages: 3, faults: 1 }, [4344, 14776, 35]],
    [{ pages: 4, faults: 3 }, [14275, 71095, 43]],
  ])('holds with %j, in as many states as ever', async (options, expected) => {
    expect(await counts(postcopy, options)).toEqual(expected);
  });

  test('its runs are conformant', () => {
    holdsConformant(make(postcopy), 200, [
      'source: takes SHUT, completed',
      'source: takes RESUME_ACK, goes on',
    ]);
  });

  test('the window that is left: the PONG is lost, both run', async () => {
    const { result } = await resultOf(postcopy, 'pong-lost', 'one-vm');
    const { actions } = result.counterexample!;
    const pong = actions.indexOf('destination: device state is loaded, PONG 0x42');
    expect(actions.slice(pong).sort()).toEqual([
      'destination: RUN, the VM runs',
      'destination: device state is loaded, PONG 0x42',
      'network: the connection breaks',
      'source: the VM runs again',
      'source: the connection is gone before PONG 0x42, the migration fails',
    ]);
  });

  test('before QEMU 10.2 nobody runs when the load of the device state fails', async () => {
    const { result } = await resultOf(postcopy, 'qemu-10.1', 'failure-goes-back');
    const { actions, end } = result.counterexample!;
    expect(end).toBe('cycle');
    expect(actions).toContain('source: the package: LISTEN, device state, PING 0x42, RUN');
    expect(actions.filter((each) => each.includes('again'))).toEqual([]);
  });

  test('a source that sends nothing in postcopy-device is waited for by the load, for ever', async () => {
    const { result } = await resultOf(postcopy, 'blocks-in-postcopy-device', 'switch-ends');
    expect(result.counterexample!.actions.at(-1)).toMatch(/asks for page|waits for page/);
  });

  test.each([
    ['cancel-accepted', 'cancel-is-refused', ['VMM-MIG-05']],
    ['cancel-accepted', 'one-vm', ['VMM-MIG-01', 'VMM-MIG-05']],
    ['pong-lost', 'one-vm', ['VMM-MIG-01']],
  ])('the validator judges %s by the counterexample of %s', async (variant, property, rules) => {
    expect(await judged(postcopy, variant, property)).toEqual(rules);
  });

  test('the validator judges post-copy with a VFIO device', () => {
    expect(judgedInSome(make(postcopy, { variant: 'vfio-not-refused' }), 100)).toContain('VMM-MIG-04');
  });
});
