import { describe, expect, test } from 'vitest';
import { DeviceError } from '../../src/uapi/device.js';
import { VHOST_BACKEND_FEATURES } from '../../src/uapi/vhost.js';
import { featureBits, USED as USED_RING, VIRTIO_FEATURES } from '../../src/uapi/virtio.js';
import { type Answers, PAGE, regionOf, scriptedDevice, USED } from './scripted-backend.js';

const { SUSPEND, IOTLB_ASID } = VHOST_BACKEND_FEATURES;
const VDPA: Answers = {
  getFeatures: () => featureBits(VIRTIO_FEATURES.ACCESS_PLATFORM),
  getBackendFeatures: () => featureBits(SUSPEND, IOTLB_ASID),
  getVringBase: (index) => 7 * index,
};
const words = (requests: readonly string[], count = 2) =>
  requests.map((each) => each.split(' ').slice(0, count).join(' '));

describe('the order of requests', () => {
  test('start, and stop by suspend', async () => {
    const { device, asked } = await scriptedDevice('vdpa', VDPA);
    await device.start();
    const requests = asked();
    expect(words(requests)).toEqual([
      'setStatus 0',
      'setStatus 3',
      'setFeatures 0x300000000',
      'setBackendFeatures 0x18',
      'setStatus 11',
      'setMemTable [{gpa',
      'iotlb {type',
      ...[0, 1].flatMap((n) =>
        ['setVringNum', 'setVringBase', 'setVringAddr', 'setVringKick', 'setVringCall'].map(
          (each) => `${each} ${n}`,
        ),
      ),
      'setStatus 15',
      'setVringEnable 0',
      'setVringEnable 1',
      'kick 0',
      'kick 1',
    ]);
    expect(requests).toContain('setVringBase 1 7');
    await device.stop();
    expect(asked()).toEqual(['suspend', 'getVringBase 0', 'getVringBase 1', 'setStatus 0']);
    expect(device.state!.rings.map(({ base }) => base)).toEqual([0, 7]);
  });

  test('the switch to shadow virtqueues and back', async () => {
    const { device, asked } = await scriptedDevice('vdpa', VDPA);
    await device.start();
    asked();
    await device.startLog();
    expect(asked()).toEqual([]);
    await device.setShadow(true);
    const on = asked();
    expect(words(on).slice(0, 5)).toEqual([
      'suspend',
      'getVringBase 0',
      'getVringBase 1',
      'setStatus 0',
      'setStatus 0',
    ]);
    // The device begins anew, on rings at addresses that are not the guest's.
    expect(on.filter((each) => each.startsWith('setVringBase'))).toEqual([
      'setVringBase 0 0',
      'setVringBase 1 0',
    ]);
    expect(on.filter((each) => each.startsWith('iotlb'))).toHaveLength(3);
    for (const each of on.filter((request) => request.startsWith('setVringAddr')))
      expect(Number(/desc (\d+)/.exec(each)![1])).toBeGreaterThanOrEqual(2 ** 40);
    await device.setShadow(true);
    expect(asked()).toEqual([]);
    await device.setShadow(false);
    const off = asked();
    // Where the guest's rings stand the VMM knows without asking: nothing was taken from them.
    expect(words(off).slice(0, 3)).toEqual(['suspend', 'setStatus 0', 'setStatus 0']);
    expect(off.filter((each) => each.startsWith('setVringBase'))).toEqual([
      'setVringBase 0 0',
      'setVringBase 1 7',
    ]);
  });

  test('memory of shadow rings is used again, zeroed, unless a device may still reach it', async () => {
    let refuses = false;
    const setStatus = (status: number) => {
      if (refuses && status === 0) throw new DeviceError('EIO', 'no reset');
    };
    const { device, allocated } = await scriptedDevice('vdpa', { ...VDPA, setStatus });
    await device.setShadow(true);
    await device.start();
    expect(allocated).toHaveLength(2);
    await device.stop();
    for (const { bytes } of allocated) bytes.fill(0xee);
    await device.start();
    expect(allocated).toHaveLength(2);
    for (const { bytes } of allocated) expect(bytes.includes(0xee)).toBe(false);
    refuses = true;
    await expect(device.stop()).rejects.toThrow(/no reset/);
    refuses = false;
    await device.start();
    expect(allocated).toHaveLength(4);
  });

  test('memory that changes: what goes is unmapped before the table, what comes is mapped behind it', async () => {
    const { device, asked } = await scriptedDevice('vdpa', VDPA);
    await device.start();
    asked();
    const more = { ...regionOf(4), gpa: 0x100_000, uaddr: 0x7f00_1000_0000 };
    await device.changeMemory([regionOf(16), more]);
    expect(words(asked(), 3)).toEqual(['setMemTable [{gpa 65536,', 'iotlb {type 2,']);
    await device.changeMemory([regionOf(16)]);
    const requests = asked();
    expect(words(requests, 3)).toEqual(['iotlb {type 3,', 'setMemTable [{gpa 65536,']);
    expect(requests[0]).toContain(`iova ${more.gpa}, size ${4 * PAGE}`);
    await device.setShadow(true);
    asked();
    await device.changeMemory([regionOf(16), more]);
    const [, shadowed] = asked();
    const iova = /iova (\d+)/.exec(shadowed!)![1]!;
    expect(Number(iova)).toBeGreaterThan(2 ** 40);
    await device.changeMemory([regionOf(16)]);
    expect(asked()[0]).toContain(`iova ${iova},`);
  });
});

describe('the control queue', () => {
  /** A device whose rings are all in the groups that are given. */
  const start = async (groups: readonly number[], features = VDPA.getBackendFeatures!) => {
    const setup = await scriptedDevice('vdpa', {
      ...VDPA,
      getBackendFeatures: features,
      getVringGroup: (index) => groups[index]!,
    });
    setup.device.state = { ...setup.device.state!, controlQueue: 1 };
    await setup.device.start();
    return setup.asked();
  };
  const asidOf = (requests: readonly string[]) =>
    requests.filter((each) => each.startsWith('iotlb')).map((each) => Number(/asid (\d)/.exec(each)![1]));

  test('has an address space of its own where it is a group of its own', async () => {
    const requests = await start([0, 1]);
    expect(requests).toContain('setGroupAsid 1 1');
    expect(asidOf(requests)).toEqual([0, 1]);
    // It is enabled when the device works, and the data queues behind it.
    expect(words(requests).slice(-4)).toEqual([
      'setStatus 15',
      'setVringEnable 1',
      'setVringEnable 0',
      'kick 0',
    ]);
  });

  test('shares that of the data queues where it is of their group, or there is one only', async () => {
    for (const requests of [await start([0, 0]), await start([0, 1], () => featureBits(SUSPEND))]) {
      expect(words(requests, 1)).not.toContain('setGroupAsid');
      expect(asidOf(requests)).toEqual([0, 0]);
    }
  });
});

describe('a device that fails', () => {
  test('without suspend it is reset before it is read how far it came', async () => {
    const memory = { bytes: new Uint8Array(16 * PAGE) };
    const setStatus = (status: number) => {
      // A device that is not reset goes on with its work.
      if (status === 0) memory.bytes.set([9, 0], USED - 0x10_000 + USED_RING.idx);
    };
    const answers = { ...VDPA, getBackendFeatures: () => 0n, setStatus };
    const { device, asked } = await scriptedDevice('vdpa', answers, { regions: [regionOf(16, memory)] });
    await device.start();
    asked();
    await device.stop();
    expect(asked()).toEqual(['setStatus 0']);
    expect(device.state!.rings[0]!.base).toBe(9);
  });

  test('a suspend that is refused is a reset', async () => {
    const suspend = () => {
      throw new DeviceError('EIO', 'cannot');
    };
    const { device, asked } = await scriptedDevice('vdpa', { ...VDPA, suspend });
    await device.start();
    asked();
    await expect(device.stop()).rejects.toThrow(/cannot/);
    expect(asked()).toEqual(['suspend', 'setStatus 0']);
    expect(device.isStarted).toBe(false);
  });

  test('one that does not start on shadow virtqueues goes on with the rings of the guest', async () => {
    const told: string[] = [];
    const setVringAddr: Answers['setVringAddr'] = (_, { desc }) => {
      if (desc >= 2 ** 40) throw new DeviceError('EFAULT', 'not mapped');
    };
    const tell = (event: { kind: string; on?: boolean }) => {
      if (event.kind === 'shadow_virtqueues') told.push(`${event.on}`);
    };
    const { device, asked } = await scriptedDevice('vdpa', { ...VDPA, setVringAddr }, { tell });
    await device.start();
    asked();
    await expect(device.setShadow(true)).rejects.toThrow(/EFAULT/);
    expect(device.isStarted).toBe(true);
    expect(told).toEqual(['true', 'false']);
    expect(device.isShadowed(0)).toBe(false);
    const requests = asked();
    expect(words(requests).slice(-2)).toEqual(['kick 0', 'kick 1']);
    expect(requests.filter((each) => each.startsWith('setVringBase')).slice(-2)).toEqual([
      'setVringBase 0 0',
      'setVringBase 1 7',
    ]);
  });

  test('one that shadow virtqueues cannot carry is not stopped for them', async () => {
    const { ACCESS_PLATFORM, RING_PACKED } = VIRTIO_FEATURES;
    const getFeatures = () => featureBits(ACCESS_PLATFORM, RING_PACKED);
    const { device, asked } = await scriptedDevice('vdpa', { ...VDPA, getFeatures });
    await device.start();
    asked();
    await expect(device.setShadow(true)).rejects.toThrow(
      /EOPNOTSUPP: vdpa svq does not work with VIRTIO_F_RING_PACKED/,
    );
    expect(asked()).toEqual([]);
    expect(device.isStarted).toBe(true);
  });
});
