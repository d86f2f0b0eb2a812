import { describe, expect, test } from 'vitest';
import { MigratableDevice } from '../../devices/migratable.js';
import { capabilitySet } from '../../src/machines/index.js';
import { DeviceError } from '../../src/uapi/device.js';
import type { MigState } from '../../src/uapi/vfio.js';
import { withoutP2p } from '../../src/vfio-user/index.js';

/** A device with all states, some of whose arcs fail. */
class Failing extends MigratableDevice {
  fails: string[] = [];
  readonly walked: string[] = [];
  protected override readonly arcs;

  constructor() {
    super('it', capabilitySet(['p2p', 'pre-copy']));
    const session = { read: () => 0, write: () => undefined };
    const opens = ['RUNNING>PRE_COPY', 'RUNNING_P2P>PRE_COPY_P2P', 'STOP>STOP_COPY', 'STOP>RESUMING'];
    const states: MigState[] = [
      'STOP',
      'RUNNING',
      'STOP_COPY',
      'RESUMING',
      'RUNNING_P2P',
      'PRE_COPY',
      'PRE_COPY_P2P',
    ];
    const known = [
      ...opens,
      ...[
        'STOP_COPY>STOP',
        'RESUMING>STOP',
        'RUNNING>RUNNING_P2P',
        'RUNNING_P2P>RUNNING',
        'RUNNING_P2P>STOP',
      ],
      ...['STOP>RUNNING_P2P', 'PRE_COPY>RUNNING', 'PRE_COPY_P2P>RUNNING_P2P', 'PRE_COPY>PRE_COPY_P2P'],
      ...['PRE_COPY_P2P>PRE_COPY', 'PRE_COPY_P2P>STOP_COPY'],
    ];
    expect(states.length).toBe(7);
    this.arcs = Object.fromEntries(
      known.map((arc) => [
        arc,
        () => {
          if (this.fails.includes(arc)) throw new DeviceError('EBUSY', arc);
          this.walked.push(arc);
          return opens.includes(arc) ? session : undefined;
        },
      ]),
    );
  }

  protected override onReset(): void {}
  protected override estimate = () => 0;
  override readRegion = () => new Uint8Array();
  override writeRegion = () => {};
}

const busy = expect.objectContaining({ code: 'EBUSY' });

test('the P2P flag and states are not there, and the device passes them all the same', async () => {
  const device = new Failing();
  const shown = withoutP2p(device);
  expect(shown.flags).toBe(5);
  await expect(shown.setState('RUNNING_P2P')).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(shown.setState(7)).rejects.toMatchObject({ code: 'EINVAL' });
  await shown.setState('STOP');
  expect(device.walked).toEqual(['RUNNING>RUNNING_P2P', 'RUNNING_P2P>STOP']);
  device.setState('RUNNING_P2P');
  expect(await shown.getState()).toBe('RUNNING');
});

describe('an arc that fails in a P2P state', () => {
  const cases: [MigState, MigState, string[], MigState, MigState][] = [
    // from, to, arcs that fail, what the client sees then, what the device is in
    ['RUNNING', 'STOP', ['RUNNING_P2P>STOP'], 'RUNNING', 'RUNNING'],
    ['RUNNING', 'STOP', ['RUNNING>RUNNING_P2P'], 'RUNNING', 'RUNNING'],
    ['RUNNING', 'RESUMING', ['RUNNING_P2P>STOP'], 'RUNNING', 'RUNNING'],
    ['STOP', 'RUNNING', ['RUNNING_P2P>RUNNING'], 'STOP', 'STOP'],
    ['STOP', 'PRE_COPY', ['RUNNING_P2P>RUNNING'], 'STOP', 'STOP'],
    ['RESUMING', 'RUNNING', ['RUNNING_P2P>RUNNING'], 'STOP', 'STOP'],
    ['PRE_COPY', 'STOP_COPY', ['PRE_COPY_P2P>STOP_COPY'], 'PRE_COPY', 'PRE_COPY'],
    ['PRE_COPY', 'STOP', ['RUNNING_P2P>STOP'], 'RUNNING', 'RUNNING'],
    // It does not go back either: it runs, and is shown as running.
    ['STOP', 'RUNNING', ['RUNNING_P2P>RUNNING', 'RUNNING_P2P>STOP'], 'RUNNING', 'RUNNING_P2P'],
    [
      'PRE_COPY',
      'STOP_COPY',
      ['PRE_COPY_P2P>STOP_COPY', 'PRE_COPY_P2P>PRE_COPY'],
      'PRE_COPY',
      'PRE_COPY_P2P',
    ],
  ];
  test.each(cases)('%s to %s, without %s', async (from, to, fails, seen, is) => {
    const device = new Failing();
    const shown = withoutP2p(device);
    if (from !== 'RUNNING') await shown.setState(from);
    device.fails = fails;
    await expect(shown.setState(to)).rejects.toEqual(busy);
    expect([await shown.getState(), device.getState()]).toEqual([seen, is]);
  });
});
