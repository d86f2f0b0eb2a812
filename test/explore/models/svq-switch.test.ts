import { describe, expect, test } from 'vitest';
import { traceOf } from '../../../src/explore/counterexample/trace.js';
import { explore } from '../../../src/explore/engine/explore.js';
import { svqSwitch } from '../../../src/explore/models/svq-switch.js';
import { counts, holdsConformant, judged, make, resultOf } from './runs.js';

describe('svq-switch', () => {
  test.each([
    [{ devices: 1, pages: 1, faults: 0 }, [282, 484, 25]],
    [{ devices: 2, pages: 2 }, [6255, 19563, 39]],
    [{ devices: 3, pages: 2 }, [16114, 52006, 78]],
    [{ devices: 4, pages: 2 }, [162069, 716765, 93]],
  ])('holds with %j, in as many states as ever', async (options, expected) => {
    expect(await counts(svqSwitch, options)).toEqual(expected);
  });

  test('its runs are conformant', () => {
    holdsConformant(make(svqSwitch), 200, [
      'VMM: GET_VRING_BASE of all rings',
      'VMM: the shadow rings end, their indices are its own',
      'VMM: the migration completes',
      'VMM: the migration has been cancelled',
      'VMM: the migration has failed',
    ]);
  });

  test.each([
    ['switch-without-stop', 'no-change-while-working', ['VDPA-RING-03']],
    ['works-while-suspended', 'quiet-when-suspended', ['VDPA-SUSPEND-01']],
  ])('the validator judges %s by the counterexample of %s', async (variant, property, rules) => {
    expect(await judged(svqSwitch, variant, property)).toEqual(rules);
  });

  test('the way back is: suspend, index of the shadow, reset, and a start', async () => {
    const model = make(svqSwitch, { devices: 1 });
    const { properties } = await explore(model, { properties: ['goes-back'] });
    const kinds = new Set(['vdpa_suspend', 'vring_base_read', 'vdpa_status', 'vhost_dev_start']);
    const events = traceOf(model, properties[0]!.witness!).filter(({ kind }) => kinds.has(kind));
    expect(events.slice(-4)).toMatchObject([
      { kind: 'vdpa_suspend' },
      { kind: 'vring_base_read', shadow: true },
      { kind: 'vdpa_status', status: 0 },
      { kind: 'vhost_dev_start', begin: true },
    ]);
  });

  test('as QEMU 11.1.2 the device is on its second set of shadow rings when the cancel is over', async () => {
    const { model, result } = await resultOf(svqSwitch, 'qemu-11.1', 'shadow-off');
    const bases = traceOf(model, result.counterexample!).filter(({ kind }) => kind === 'vring_base');
    expect(bases.map((event) => 'shadow' in event && event.shadow)).toEqual([true, true, true, true]);
  });

  test('a device of three or more virtqueues has a control queue, others have none', () => {
    const ids = (devices: number) => make(svqSwitch, { devices }).properties.map(({ id }) => id);
    expect(ids(3).filter((id) => !ids(2).includes(id))).toEqual(['control-queue-first']);
    const rings = (devices: number) =>
      make(svqSwitch, { devices }).components.filter(({ name }) => name.startsWith('ring')).length;
    expect([1, 2, 3, 4].map(rings)).toEqual([1, 2, 2, 3]);
  });
});
