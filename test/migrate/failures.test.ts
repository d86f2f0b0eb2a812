import { describe, expect, test } from 'vitest';
import { ARCS } from '../../src/machines/index.js';
import { type Device, DeviceError, type MigState } from '../../src/uapi/index.js';
import { type Host, judged, migration } from './two-sides.js';

const TIMEOUT = 60_000;

/** Makes a host's device fail its next request that goes over an arc. */
function failing(host: Host, from: MigState, to: MigState): void {
  const { machine } = host.vm.devices[0]!;
  const device = machine.device as Device & { arcs: Record<string, () => unknown> };
  const original = device.arcs[`${from}>${to}`];
  let failed = false;
  device.arcs[`${from}>${to}`] = () => {
    if (failed) return original?.();
    failed = true;
    throw new DeviceError('EIO', `${from}>${to} fails`);
  };
}

/** Arcs that a migration walks, by who walks them. */
const walked = (states: readonly MigState[]) =>
  ARCS.filter(({ from, to }) => states.includes(from) && states.includes(to)).map(
    ({ from, to }) => [from, to] as const,
  );

describe('a driver that fails an arc', () => {
  const source = walked(['RUNNING_P2P', 'STOP', 'STOP_COPY', 'PRE_COPY', 'PRE_COPY_P2P', 'RUNNING']);
  const options = ['--precopy', '--device', 'uart'];

  test.each(source)('on the source, %s to %s', { timeout: TIMEOUT }, async (from, to) => {
    let after = false;
    const {
      report,
      destination,
      from: host,
    } = await migration(options, {
      during: () => {
        after = true;
      },
      prepare: (host) => {
        const { machine } = host.vm.devices[0]!;
        const device = machine.device as Device & { arcs: Record<string, () => unknown> };
        const original = device.arcs[`${from}>${to}`];
        device.arcs[`${from}>${to}`] = () => {
          if (!after) return original?.();
          after = false;
          throw new DeviceError('EIO', `${from}>${to} fails`);
        };
      },
    });
    if (report.outcome === 'completed') {
      expect(destination.running).toBe(true);
      expect(report.running).toBe('destination');
    } else {
      expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
      expect(destination.running).toBe(false);
      expect(host.vm.devices[0]!.state).toBe('RUNNING');
    }
  });

  test.each(walked(['RUNNING', 'RUNNING_P2P', 'STOP', 'RESUMING']))(
    'on the destination, %s to %s',
    { timeout: TIMEOUT },
    async (from, to) => {
      const { report, destination, events } = await migration(options, {
        prepare: (_source, host) => failing(host, from, to),
      });
      if (destination.running) {
        expect(report).toMatchObject({ outcome: 'completed', running: 'destination' });
      } else {
        expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
        expect(report.error).toContain(`${from}>${to} fails`);
      }
      expect(judged(events).broken).not.toContain('VMM-MIG-01');
    },
  );
});

describe('a cancelled migration', () => {
  test.each(['a', 'b'])(
    'of generation %s leaves a VF that works',
    { timeout: TIMEOUT },
    async (generation) => {
      for (const capability of [[], ['--capability', 'pause-before-switchover']]) {
        const options = ['--generation', generation, '--precopy', ...capability];
        const { report, destination, events } = await migration(options, {
          during: (migration) => {
            const timer = setInterval(() => {
              const wanted = capability.length > 0 ? 'pre-switchover' : 'active';
              if (migration.status !== wanted) return;
              clearInterval(timer);
              expect(migration.cancel()).toBe(true);
              expect(migration.cancel()).toBe(false);
            }, 1);
          },
        });
        expect(report).toMatchObject({ outcome: 'cancelled', running: 'source' });
        expect(report.devices[0]!.works).toBe(true);
        expect(report.devices[0]!.books).toMatchObject({ framesLost: 0, framesDuplicated: 0 });
        expect(destination.running).toBe(false);
        expect(judged(events).broken).toEqual([]);
      }
    },
  );

  test('can be tried again', { timeout: TIMEOUT }, async () => {
    const { Host, migrate } = await import('./two-sides.js');
    const options = ['--precopy'];
    const from = await Host.make('source', options);
    const first = await Host.make('destination', options);
    const second = await Host.make('destination', options);
    try {
      await from.boot();
      const cancelled = await migrate(from, first, (migration) => {
        setTimeout(() => migration.cancel(), 30);
      });
      expect(cancelled.report.outcome).toBe('cancelled');
      const { report } = await migrate(from, second);
      expect(report).toMatchObject({
        outcome: 'completed',
        memoryEqual: true,
        deviceStateEqual: true,
        framesLost: 0,
      });
    } finally {
      for (const host of [from, first, second]) host.vm.dispose();
    }
  });
});

describe('the published personalities', () => {
  test.each(['a', 'b'])(
    'generation %s migrates in the good case',
    { timeout: TIMEOUT },
    async (generation) => {
      const { report, events } = await migration(['--generation', generation, '--personality', 'published']);
      expect(report).toMatchObject({ outcome: 'completed', memoryEqual: true, framesLost: 0 });
      expect(judged(events)).toMatchObject({ verdict: 'conformant', broken: [] });
    },
  );

  test.each(['a', 'b'])(
    'generation %s: cancel leaves a dead VF',
    { timeout: TIMEOUT },
    async (generation) => {
      const options = ['--generation', generation, '--personality', 'published', '--patience', '500'];
      const { report, events } = await migration([...options, '--capability', 'pause-before-switchover'], {
        during: (migration) => {
          const timer = setInterval(() => {
            if (migration.status === 'pre-switchover' && migration.cancel()) clearInterval(timer);
          }, 1);
        },
      });
      expect(report).toMatchObject({ outcome: 'cancelled', running: 'source' });
      expect(report.devices[0]!.works).toBe(false);
      expect(judged(events).broken).toEqual(['VFIO-OUT-01']);
    },
  );
});
