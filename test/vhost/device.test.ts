import { describe, expect, test } from 'vitest';
import { DeviceError } from '../../src/uapi/device.js';
import { VHOST_FEATURES } from '../../src/uapi/vhost.js';
import type { SharedMemory } from '../../src/uapi/vhost-backend.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../../src/uapi/vhost-user.js';
import { featureBits, VIRTIO_FEATURES } from '../../src/uapi/virtio.js';
import { markPages, runsOf } from '../../src/vhost/index.js';
import { PAGE, regionOf, scriptedDevice, stateOf, USED } from './scripted-backend.js';

const KERNEL = {
  getFeatures: () => featureBits(VHOST_FEATURES.LOG_ALL),
  getVringBase: (n: number) => 40 + n,
};
const { LOG_SHMFD, DEVICE_STATE, RARP } = VHOST_USER_PROTOCOL_FEATURES;
const USER = {
  getFeatures: () => featureBits(VHOST_FEATURES.LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES),
  getProtocolFeatures: () => featureBits(LOG_SHMFD, DEVICE_STATE, RARP, VHOST_USER_PROTOCOL_FEATURES.CONFIG),
  getVringBase: (n: number) => 40 + n,
};
/** The names of requests alone. */
const names = (requests: readonly string[]) => requests.map((each) => each.split(' ').slice(0, 2).join(' '));

describe('the order of requests', () => {
  test('kernel: start, log on, log off, stop', async () => {
    const { device, asked } = await scriptedDevice('kernel', KERNEL);
    await device.start();
    expect(asked()).toMatchInlineSnapshot(`
      [
        "setFeatures 0x100000000",
        "setMemTable [{gpa 65536, size 65536, uaddr 139637976727552, offset 0}]",
        "setVringNum 0 4",
        "setVringBase 0 0",
        "setVringAddr 0 {desc 139637976727552, avail 139637976731648, used 139637976735744, logGuestAddr 73728, log false}",
        "setVringNum 1 4",
        "setVringBase 1 7",
        "setVringAddr 1 {desc 139637976727808, avail 139637976731904, used 139637976736000, logGuestAddr 73984, log false}",
        "setVringKick 0 true",
        "setVringCall 0 call",
        "setVringKick 1 true",
        "setVringCall 1 call",
        "setBackend 0 true",
        "setBackend 1 true",
        "kick 0",
        "kick 1",
      ]
    `);
    await device.startLog();
    expect(asked()).toMatchInlineSnapshot(`
      [
        "setLogBase {address 279275953455104}",
        "setFeatures 0x104000000",
        "setVringAddr 0 {desc 139637976727552, avail 139637976731648, used 139637976735744, logGuestAddr 73728, log true}",
        "setVringAddr 1 {desc 139637976727808, avail 139637976731904, used 139637976736000, logGuestAddr 73984, log true}",
      ]
    `);
    await device.stopLog();
    expect(names(asked())).toEqual(['setFeatures 0x100000000', 'setVringAddr 0', 'setVringAddr 1']);
    await device.stop();
    expect(asked()).toEqual(['setBackend 0 false', 'setBackend 1 false', 'getVringBase 0', 'getVringBase 1']);
    expect(device.state!.rings.map(({ base }) => base)).toEqual([40, 41]);
  });

  test('vhost-user: state is loaded between bases and kicks, and rings are enabled last', async () => {
    const { device, asked } = await scriptedDevice('user', USER);
    expect(device.hasBackendState).toBe(true);
    device.pendingState = Uint8Array.of(1, 2, 3);
    await device.start();
    expect(names(asked())).toEqual([
      'setFeatures 0x140000000',
      'setMemTable [{gpa',
      ...[0, 1].flatMap((n) => [`setVringNum ${n}`, `setVringBase ${n}`, `setVringAddr ${n}`]),
      'loadState 3',
      ...[0, 1].flatMap((n) => [`setVringKick ${n}`, `setVringCall ${n}`]),
      'setVringEnable 0',
      'setVringEnable 1',
      'kick 0',
      'kick 1',
    ]);
    await device.stop();
    expect(asked()).toEqual([
      'setVringEnable 0 false',
      'setVringEnable 1 false',
      'getVringBase 0',
      'getVringBase 1',
    ]);
    await device.start();
    expect(names(asked())).not.toContain('loadState 3');
    await device.announce(Uint8Array.of(2, 0, 0, 0, 0, 1));
    expect(asked()).toEqual(['sendRarp 6 bytes']);
  });

  test('a device that starts while it is logged has its log before its rings', async () => {
    const { device, asked } = await scriptedDevice('kernel', KERNEL);
    await device.startLog();
    expect(asked()).toEqual([]);
    await device.start();
    const requests = asked();
    expect(names(requests).slice(0, 3)).toEqual([
      'setLogBase {address',
      'setFeatures 0x104000000',
      'setMemTable [{gpa',
    ]);
    expect(requests.filter((each) => /setVringAddr.*log true/.test(each))).toHaveLength(2);
  });

  test('what is stopped is not kicked, nor stopped or started twice', async () => {
    const { device, asked } = await scriptedDevice('kernel', KERNEL);
    device.kick(0);
    await device.stop();
    expect(asked()).toEqual([]);
    await device.start();
    asked();
    await device.start();
    expect(asked()).toEqual([]);
    device.kick(1);
    expect(asked()).toEqual(['kick 1']);
  });
});

describe('the log', () => {
  /** A kernel that has the log that it was given last. */
  const withLog = async () => {
    const logs: SharedMemory[] = [];
    const setup = await scriptedDevice('kernel', {
      ...KERNEL,
      setLogBase: (log) => {
        logs.push(log!);
      },
    });
    await setup.device.start();
    await setup.device.startLog();
    setup.asked();
    return { ...setup, logs };
  };

  test('each page is read once', async () => {
    const { device, logs } = await withLog();
    markPages(logs[0]!.bytes, 0x11_000, 2 * PAGE);
    expect(runsOf(device.readLog(false))).toEqual([[0x11, 2]]);
    expect(runsOf(device.readLog(true))).toEqual([]);
  });

  test('it grows before the memory table and shrinks behind it, and nothing of the old one is lost', async () => {
    const { device, asked, logs } = await withLog();
    const [small, large] = [regionOf(16), regionOf(40_000)];
    markPages(logs[0]!.bytes, 0x12_000, 1);
    await device.changeMemory([large]);
    expect(names(asked())).toEqual(['setLogBase {address', 'setMemTable [{gpa']);
    expect(logs[1]!.bytes.length).toBeGreaterThan(logs[0]!.bytes.length);
    const far = large.gpa + large.size - 1;
    expect(markPages(logs[1]!.bytes, far, 1)).toBe(true);
    expect(runsOf(device.readLog(false))).toEqual([
      [0x12, 1],
      [Math.floor(far / PAGE), 1],
    ]);
    markPages(logs[1]!.bytes, 0x13_000, 1);
    await device.changeMemory([small]);
    expect(names(asked())).toEqual(['setMemTable [{gpa', 'setLogBase {address']);
    expect(logs[2]!.bytes.length).toBe(logs[0]!.bytes.length);
    expect(runsOf(device.readLog(false))).toEqual([[0x13, 1]]);
  });

  test('memory that changes within the size of the log changes the table alone', async () => {
    const { device, asked } = await withLog();
    await device.changeMemory([regionOf(20)]);
    expect(names(asked())).toEqual(['setMemTable [{gpa']);
  });

  test('a back end that refuses it is left as it was', async () => {
    const refuses = () => {
      throw new DeviceError('EFAULT', 'no');
    };
    const { device, asked } = await scriptedDevice('kernel', { ...KERNEL, setLogBase: refuses });
    await device.start();
    asked();
    await expect(device.startLog()).rejects.toThrow(/EFAULT/);
    expect(device.isLogging).toBe(false);
    expect(names(asked()).at(1)).toBe('setFeatures 0x100000000');
    await device.stop();
    asked();
    await device.start();
    expect(names(asked())).not.toContain('setLogBase {address');
  });
});

describe('a back end that fails at the stop', () => {
  test('the other rings are stopped, and the ring stands at its used index', async () => {
    const memory = { bytes: new Uint8Array(16 * PAGE) };
    const getVringBase = (index: number) => {
      if (index === 0) throw new DeviceError('EIO', 'gone');
      return 41;
    };
    const { device, asked } = await scriptedDevice(
      'user',
      { ...USER, getVringBase },
      { regions: [regionOf(16, memory)] },
    );
    await device.start();
    memory.bytes.set([0x34, 0x12], USED - 0x10_000 + 2);
    asked();
    await expect(device.stop()).rejects.toThrow(/EIO: gone/);
    expect(device.isStarted).toBe(false);
    expect(asked().slice(-2)).toEqual(['getVringBase 0', 'getVringBase 1']);
    expect(device.state!.rings.map(({ base }) => base)).toEqual([0x1234, 41]);
  });

  test('a packed ring stays where it was: nothing in memory says where it is', async () => {
    const getVringBase = () => {
      throw new DeviceError('EIO', 'gone');
    };
    const { device } = await scriptedDevice('user', { ...USER, getVringBase });
    device.state = stateOf(featureBits(VIRTIO_FEATURES.RING_PACKED));
    await device.start();
    await expect(device.stop()).rejects.toThrow(/gone/);
    expect(device.state!.rings.map(({ base }) => base)).toEqual([0, 7]);
  });
});

describe('a back end that fails at the start', () => {
  const fails = (at: number) => (index: number) => {
    if (index === at) throw new DeviceError('EIO', 'no');
  };

  test('a ring that runs already is stopped again, and the others stay where they were', async () => {
    const { device, asked } = await scriptedDevice('user', { ...USER, setVringKick: fails(1) });
    await expect(device.start()).rejects.toThrow(/EIO: no/);
    expect(device.isStarted).toBe(false);
    expect(asked().slice(-6)).toEqual([
      'setVringCall 0 call',
      'setVringKick 1 true',
      'setVringEnable 0 false',
      'setVringEnable 1 false',
      'getVringBase 0',
      'getVringBase 1',
    ]);
    expect(device.state!.rings.map(({ base }) => base)).toEqual([40, 41]);
    device.kick(0);
    expect(asked()).toEqual([]);
  });

  test('before a ring runs nothing is to be taken back, and the state is there for the next start', async () => {
    let refuses = true;
    const loadState = () => {
      if (refuses) throw new DeviceError('EINVAL', 'not yet');
    };
    const { device, asked } = await scriptedDevice('user', { ...USER, loadState });
    device.pendingState = Uint8Array.of(1, 2, 3);
    await expect(device.start()).rejects.toThrow(/not yet/);
    expect(asked().at(-1)).toBe('loadState 3 bytes');
    expect(device.state!.rings.map(({ base }) => base)).toEqual([0, 7]);
    refuses = false;
    await device.start();
    expect(asked()).toContain('loadState 3 bytes');
    expect(device.pendingState).toBeNull();
  });

  test('a ring outside of memory is an error of the guest', async () => {
    const { device } = await scriptedDevice('kernel', KERNEL, { regions: [] });
    await expect(device.start()).rejects.toThrow(DeviceError);
  });
});

test('what blocks a migration', async () => {
  const blocker = async (...of: Parameters<typeof scriptedDevice>) =>
    (await scriptedDevice(...of)).device.blocker;
  expect(await blocker('kernel', KERNEL)).toBeNull();
  expect(await blocker('user', USER)).toBeNull();
  expect(await blocker('kernel', { getFeatures: () => 0n })).toBe('vhost lacks VHOST_F_LOG_ALL');
  expect(await blocker('user', { ...USER, getProtocolFeatures: () => 0n })).toMatch(/LOG_SHMFD/);
  const { ACCESS_PLATFORM, RING_PACKED, IN_ORDER } = VIRTIO_FEATURES;
  const vdpa = (...bits: number[]) =>
    blocker('vdpa', { getFeatures: () => featureBits(...bits), getBackendFeatures: () => 0n });
  expect(await vdpa(ACCESS_PLATFORM)).toBeNull();
  expect(await vdpa(ACCESS_PLATFORM, RING_PACKED)).toBe('vdpa svq does not work with VIRTIO_F_RING_PACKED');
  expect(await vdpa(ACCESS_PLATFORM, IN_ORDER)).toBe('vdpa svq does not work with VIRTIO_F_IN_ORDER');
  expect(await vdpa()).toMatch(/ACCESS_PLATFORM/);
});
