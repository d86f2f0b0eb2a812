import { describe, expect, test } from 'vitest';
import { parametersOf } from '../../src/cli/migrate/machine.js';
import { checkGuest, guestIsUp } from '../../src/migrate/guest-check.js';
import { SourceMigration } from '../../src/migrate/source.js';
import type { VirtioDevice } from '../../src/migrate/virtio-device.js';
import { DeviceError } from '../../src/uapi/device.js';
import type { VhostBackend } from '../../src/uapi/vhost-backend.js';
import { fakeChannels } from './fake-channel.js';
import { Host, judged, migration } from './two-sides.js';

const TIMEOUT = 30_000;
const FACES = ['vhost', 'vhost-user', 'vdpa'] as const;
const options = (...faces: string[]) => faces.flatMap((face) => ['--device', `virtio-net:${face}`]);

type Requests = {
  [K in keyof VhostBackend as VhostBackend[K] extends (...of: never[]) => unknown
    ? K
    : never]: VhostBackend[K];
};

const deviceOf = (host: Host): VirtioDevice => host.vm.virtio[0]!;

/** Has the back end of a host refuse a request, each time that `when` says so. */
function refuses<K extends keyof Requests>(host: Host, name: K, when: () => boolean): void {
  const backend = deviceOf(host).machine.backend as unknown as Record<string, (...of: unknown[]) => unknown>;
  const original = backend[name]!.bind(backend);
  backend[name] = (...of) => {
    if (when()) throw new DeviceError('EIO', `${name} is refused`);
    return original(...of);
  };
}

/** Changes what crosses, behind the back of the device. */
function saves(host: Host, change: (fields: Record<string, unknown>) => void, section = 0): void {
  const device = deviceOf(host);
  const stop = device.stop.bind(device);
  device.stop = async (saving) => {
    await stop(saving);
    if (saving) change(device.states[section]!.target as Record<string, unknown>);
  };
}

const works = { framesLost: 0, framesDuplicated: 0, framesReordered: 0, framesCorrupted: 0 };

describe('a device that migrates', () => {
  test.each(FACES)('%s: nothing is lost', { timeout: TIMEOUT }, async (face) => {
    const { report, events } = await migration(options(face));
    expect(report).toMatchObject({ outcome: 'completed', memoryEqual: true, deviceStateEqual: true });
    expect(report.devices[0]).toMatchObject({ works: true, books: works });
    expect(judged(events)).toMatchObject({ verdict: 'conformant', broken: [] });
  });
});

describe('a back end that fails', () => {
  test.each([
    ['vhost', 'setMemTable'],
    ['vhost', 'setBackend'],
    ['vhost-user', 'loadState'],
    ['vhost-user', 'setVringKick'],
    ['vdpa', 'setVringAddr'],
    ['vdpa', 'setVringEnable'],
  ] as const)('%s at %s on the destination: the source goes on', { timeout: TIMEOUT }, async (face, name) => {
    const { report, destination, from, events } = await migration(options(face), {
      prepare: (_from, to) => refuses(to, name, () => true),
    });
    expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
    expect(report.error).toContain(`${name} is refused`);
    expect(destination.running).toBe(false);
    expect(report.devices[0]).toMatchObject({ works: true, books: works });
    expect(deviceOf(from).vhost.isStarted).toBe(true);
    expect(deviceOf(from).vhost.isLogging).toBe(false);
    expect(deviceOf(from).vhost.isShadowed(0)).toBe(false);
    expect(judged(events).broken).toEqual([]);
  });

  test.each([
    ['vhost', 'setLogBase'],
    ['vhost-user', 'setVringAddr'],
    ['vhost-user', 'saveState'],
  ] as const)('%s at %s on the source: it goes on there', { timeout: TIMEOUT }, async (face, name) => {
    let once = false;
    const { report, destination, from } = await migration(options(face), {
      prepare: (host) =>
        refuses(host, name, () => {
          const now = once;
          once = false;
          return now;
        }),
      during: () => {
        once = true;
      },
    });
    expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
    expect(report.error).toContain(`${name} is refused`);
    expect(destination.running).toBe(false);
    expect(report.devices[0]).toMatchObject({ works: true, books: works });
    expect(deviceOf(from).vhost.isLogging).toBe(false);
  });

  test('vdpa that does not start on shadow virtqueues goes on without them', {
    timeout: TIMEOUT,
  }, async () => {
    const host = await Host.make('source', options('vdpa'));
    let once = false;
    refuses(host, 'setFeatures', () => {
      const now = once;
      once = false;
      return now;
    });
    try {
      await host.boot();
      once = true;
      const [channel] = fakeChannels();
      const parameters = parametersOf(host.flags);
      const { vm } = host;
      const source = new SourceMigration({ vm, channel, multifd: null, parameters, write: channel.write });
      const report = await source.run();
      expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
      expect(report.error).toContain('setFeatures is refused');
      expect(deviceOf(host).vhost.isStarted).toBe(true);
      expect(deviceOf(host).vhost.isShadowed(0)).toBe(false);
      expect((await checkGuest(vm, 3000))[0]).toMatchObject({ works: true, books: works });
      expect(judged(host.events).broken).toEqual([]);
    } finally {
      host.vm.dispose();
    }
  });

  test('that does not end its log leaves the migration what it is', { timeout: TIMEOUT }, async () => {
    let isCancelled = false;
    const { report, from } = await migration(options('vhost'), {
      prepare: (host) => refuses(host, 'setFeatures', () => isCancelled),
      during: (source) => {
        const timer = setInterval(() => {
          if (source.status !== 'active') return;
          clearInterval(timer);
          isCancelled = source.cancel();
        }, 1);
      },
    });
    expect(report).toMatchObject({ outcome: 'cancelled', running: 'source' });
    expect(report.devices[0]).toMatchObject({ works: true, books: works });
    expect(deviceOf(from).vhost.isLogging).toBe(false);
    // The flags of the rings were taken away all the same.
    const flags = from.events.flatMap((event) => (event.kind === 'vring_addr' ? [event.log] : []));
    expect(new Set(flags.slice(-2))).toEqual(new Set([false]));
  });

  test('when a driver has set it up: it is told, and the VM goes on', { timeout: TIMEOUT }, async () => {
    const host = await Host.make('source', options('vhost'));
    refuses(host, 'setMemTable', () => true);
    try {
      await host.vm.start();
      expect(await guestIsUp(host.vm, 200)).toBe(false);
      expect(host.vm.running).toBe(true);
      const told = host.events.filter(({ kind }) => kind === 'guest_check');
      expect(told).toMatchObject([{ works: false, what: expect.stringContaining('setMemTable is refused') }]);
    } finally {
      host.vm.dispose();
    }
  });

  test('a driver that sets it up again has it started anew', { timeout: TIMEOUT }, async () => {
    const host = await Host.make('source', options('vhost-user'));
    try {
      await host.boot();
      const device = deviceOf(host);
      host.events.length = 0;
      const before = device.vhost.state!;
      device.driverOk({ ...before, rings: before.rings.map((ring) => ({ ...ring })) });
      await new Promise((resolve) => setTimeout(resolve, 20));
      await host.vm.stop('paused');
      const kinds = host.events.map(({ kind }) => kind);
      const starts = kinds.filter((kind) => kind === 'vhost_dev_start' || kind === 'vhost_dev_stop');
      // Stopped by the driver, started, and stopped with the VM: each with its beginning and end.
      expect(starts).toEqual([
        ...['vhost_dev_stop', 'vhost_dev_stop'],
        ...['vhost_dev_start', 'vhost_dev_start'],
        ...['vhost_dev_stop', 'vhost_dev_stop'],
      ]);
      expect(device.vhost.isStarted).toBe(false);
    } finally {
      host.vm.dispose();
    }
  });
});

describe('a hostile source', () => {
  const ring = (fields: Record<string, unknown>) => (fields.rings as Record<string, unknown>[])[0]!;

  test.each<[string, (fields: Record<string, unknown>) => void, RegExp]>([
    ['a size', (fields) => Object.assign(ring(fields), { size: 7 }), /7 descriptors, no power of two/],
    ['an address', (fields) => Object.assign(ring(fields), { desc: 1n << 60n }), /outside of guest memory/],
    ['features', (fields) => Object.assign(fields, { features: 1n << 50n }), /none of the device/],
  ])('%s of no device: the destination does not run', { timeout: TIMEOUT }, async (_name, change, reason) => {
    const { report, destination } = await migration(options('vhost-user'), {
      prepare: (host) => saves(host, change),
    });
    expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
    expect(destination.running).toBe(false);
    expect(destination.error).toMatch(reason);
    expect(report.devices[0]!.works).toBe(true);
  });

  test('a state of the back end that is none', { timeout: TIMEOUT }, async () => {
    const { report, destination } = await migration(options('vhost-user'), {
      prepare: (host) =>
        saves(host, (fields) =>
          Object.assign(fields, { backend: Uint8Array.of(1, 2, 3), backend_length: 3 }),
        ),
    });
    expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
    expect(destination.running).toBe(false);
    expect(report.error).toMatch(/state of the network device/);
  });

  test.each(['{', '[]', '{"next":[1]}', 'null'])('a wire that is %s', { timeout: TIMEOUT }, async (text) => {
    const { report, destination } = await migration(options('vdpa'), {
      prepare: (host) => {
        const { description } = deviceOf(host).states[1]!;
        const target = deviceOf(host).states[1]!.target as { text: Uint8Array; length: number };
        Object.assign(description, {
          preSave: () => Object.assign(target, { text: new TextEncoder().encode(text), length: text.length }),
        });
      },
    });
    expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
    expect(destination.error).toMatch(/the state of the wire/);
  });
});
