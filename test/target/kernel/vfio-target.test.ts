import { describe, expect, test } from 'vitest';
import { DmaLog, Uart } from '../../../devices/index.js';
import { TargetError, vfioTarget } from '../../../src/target/index.js';
import type { Files } from '../../../src/target/kernel/locate.js';
import { type Device, IOCTLS } from '../../../src/uapi/index.js';
import { FakeKernel, type Faults, fakeFiles } from './fake-kernel.js';

const BDF = '0000:3b:00.1';
const FOLDER = `/sys/bus/pci/devices/${BDF}`;
const LINKS = { [`${FOLDER}/driver`]: 'acme-vfio-pci', [`${FOLDER}/iommu_group`]: '12' };
const BY_GROUP = fakeFiles([FOLDER, `${FOLDER}/vfio-dev/vfio3`, '/dev/vfio/12', '/dev/vfio/vfio'], LINKS);
const BY_CDEV = fakeFiles(
  [FOLDER, `${FOLDER}/vfio-dev/vfio3`, '/dev/vfio/12', '/dev/vfio/devices/vfio3', '/dev/iommu'],
  { ...LINKS, '/sys/class/vfio-dev/vfio3/device': BDF },
);

interface Setup {
  uri?: string;
  files?: Files;
  faults?: Faults;
  model?: Device;
}

function setup({ uri = `vfio:${BDF}`, files = BY_GROUP, faults = {}, model = new Uart() }: Setup = {}) {
  const kernels: FakeKernel[] = [];
  const target = vfioTarget(uri, {
    files,
    start: async () => {
      const kernel = new FakeKernel(model, faults);
      kernels.push(kernel);
      return kernel;
    },
  });
  return { target, kernels };
}

async function refusal(options: Setup): Promise<string> {
  const { target, kernels } = setup(options);
  try {
    await target.open();
  } catch (error) {
    expect(error).toBeInstanceOf(TargetError);
    expect(kernels.every(({ rests }) => rests === 1)).toBe(true);
    const { message } = error as Error;
    expect(message.startsWith(`${target.uri}: `), message).toBe(true);
    expect(message).not.toContain('\n');
    return message.slice(target.uri.length + 2);
  }
  return 'it was opened';
}

describe('a device', () => {
  test('is opened by container and group', async () => {
    const { target, kernels } = setup();
    const device = await target.open();
    expect(device).toMatchObject({ name: BDF, flags: 7, offersReset: true, dmaLogging: null });
    expect([...target.lacks]).toEqual(['dma_logging']);
    expect(kernels[0]!.log.slice(0, 9)).toEqual([
      'open of /dev/vfio/vfio',
      'VFIO_GET_API_VERSION',
      'VFIO_CHECK_EXTENSION',
      'open of /dev/vfio/12',
      'VFIO_GROUP_GET_STATUS',
      'VFIO_GROUP_SET_CONTAINER',
      'VFIO_SET_IOMMU',
      'VFIO_GROUP_GET_DEVICE_FD',
      `${BDF}\0`,
    ]);
  });

  test.each([`vfio:${BDF}`, 'vfio:/dev/vfio/devices/vfio3'])(
    '%s is opened by its character device where iommufd is there',
    async (uri) => {
      const { target, kernels } = setup({ uri, files: BY_CDEV });
      expect((await target.open()).name).toBe(BDF);
      expect(kernels[0]!.log.slice(0, 7)).toEqual([
        'open of /dev/iommu',
        'open of /dev/vfio/devices/vfio3',
        'VFIO_DEVICE_BIND_IOMMUFD',
        'iommufd is /dev/iommu',
        'IOMMU_IOAS_ALLOC',
        'VFIO_DEVICE_ATTACH_IOMMUFD_PT',
        'attached to 7',
      ]);
    },
  );

  test('is used although it cannot be attached to an address space', async () => {
    const faults = { ioctl: { [IOCTLS.VFIO_DEVICE_ATTACH_IOMMUFD_PT]: 'EINVAL' } };
    expect((await setup({ files: BY_CDEV, faults }).target.open()).flags).toBe(7);
  });

  test('is closed and opened anew', async () => {
    const { target, kernels } = setup();
    await target.open();
    await target.open();
    await target.close();
    await target.close();
    expect(kernels.map(({ rests }) => rests)).toEqual([2]);
    expect(kernels[0]!.log.filter((what) => what === 'open of /dev/vfio/12')).toHaveLength(2);
  });

  test('that hides its reset is reset once, to find out', async () => {
    const model = new Uart();
    const { target, kernels } = setup({ faults: { hidesReset: true }, model });
    expect((await target.open()).offersReset).toBe(true);
    expect((await target.open()).offersReset).toBe(true);
    expect(kernels[0]!.log.filter((what) => what === 'VFIO_DEVICE_RESET')).toHaveLength(1);
    const ioctl = { [IOCTLS.VFIO_DEVICE_RESET]: 'ENOTTY' };
    const none = setup({ faults: { hidesReset: true, ioctl } });
    expect((await none.target.open()).offersReset).toBe(false);
  });
});

describe('what is in the way is told in one line', () => {
  const missing = (what: string) => ({ open: { [what]: 'ENOENT' } });
  test.each<[string, Setup, string]>([
    ['no device', { files: fakeFiles([]) }, `there is no device ${BDF}; it would be ${FOLDER}`],
    [
      'no character device',
      { uri: 'vfio:/dev/vfio/devices/vfio9', files: BY_CDEV },
      'there is no such device; there are vfio3',
    ],
    [
      'another driver',
      { files: fakeFiles([FOLDER], { [`${FOLDER}/driver`]: 'ice' }) },
      'its driver is ice, which is not of VFIO; bind the variant driver',
    ],
    ['no driver', { files: fakeFiles([FOLDER]) }, 'no driver is bound to it; bind the variant driver'],
    [
      'no permission',
      { faults: { open: { '/dev/vfio/12': 'EACCES' } } },
      'no permission for /dev/vfio/12: run as root, or give the file to your user (chown)',
    ],
    [
      'in use',
      { faults: { open: { '/dev/vfio/12': 'EBUSY' } } },
      '/dev/vfio/12 is in use by another program',
    ],
    ['no VFIO', { faults: missing('/dev/vfio/vfio') }, '/dev/vfio/vfio is missing: modprobe vfio'],
    [
      'no IOMMU model',
      { faults: { value: { [IOCTLS.VFIO_CHECK_EXTENSION]: 0 } } },
      'the kernel has no IOMMU model TYPE1v2 for it: modprobe vfio_iommu_type1',
    ],
    [
      'another version',
      { faults: { value: { [IOCTLS.VFIO_GET_API_VERSION]: 4 } } },
      'this kernel has version 4 of the VFIO interface; known is 0',
    ],
    ['not viable', { faults: { groupFlags: 0 } }, 'its IOMMU group (/dev/vfio/12) is not viable'],
    ['a group in use', { faults: { groupFlags: 3 } }, '/dev/vfio/12 is in use by another program'],
    [
      'no VFIO driver, on an old kernel',
      { faults: { ioctl: { [IOCTLS.VFIO_GROUP_GET_DEVICE_FD]: 'ENODEV' } } },
      'its driver is acme-vfio-pci, which is not of VFIO',
    ],
    [
      'no migration',
      { faults: { ioctl: { [IOCTLS.VFIO_DEVICE_FEATURE]: 'ENOTTY' } } },
      `${BDF} has no migration support: its driver acme-vfio-pci offers none`,
    ],
    [
      'a driver that fails',
      { faults: { ioctl: { [IOCTLS.VFIO_DEVICE_FEATURE]: 'EIO' } } },
      'EIO: GET of MIGRATION fails',
    ],
    [
      'no iommufd',
      { uri: 'vfio:/dev/vfio/devices/vfio3', files: BY_CDEV, faults: missing('/dev/iommu') },
      '/dev/iommu is missing: modprobe iommufd (CONFIG_IOMMUFD), or name the device by its address',
    ],
    [
      'bound by another',
      { files: BY_CDEV, faults: { ioctl: { [IOCTLS.VFIO_DEVICE_BIND_IOMMUFD]: 'EINVAL' } } },
      'VFIO_DEVICE_BIND_IOMMUFD fails with EINVAL',
    ],
    [
      'neither group nor iommufd',
      { files: fakeFiles([FOLDER, `${FOLDER}/vfio-dev/vfio3`]) },
      'neither /dev/iommu nor a file of its IOMMU group is there',
    ],
  ])('%s', async (_what, options, words) => {
    expect(await refusal(options)).toContain(words);
  });

  test('an address that is none', async () => {
    expect(await refusal({ uri: 'vfio:../../etc' })).toContain('expected vfio:/dev/vfio/devices/vfioN');
    for (const uri of ['vfio:', 'vfio:x?timeout=0', 'vfio:x?timeout=soon', 'other:x']) {
      expect(() => vfioTarget(uri), uri).toThrow(`${uri}: expected vfio:ADDRESS`);
    }
  });

  test.each([
    ['vfio:3b:00.1', FOLDER],
    ['vfio:0000:3B:00.1', FOLDER],
    ['vfio:/sys/bus/pci/devices/0000:3b:00.1', FOLDER],
    [
      'vfio:83B8F4F2-509f-382f-3c1e-e6bfe0fa1001',
      '/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001',
    ],
  ])('%s stands for %s', async (uri, folder) => {
    expect(await refusal({ uri, files: fakeFiles([]) })).toContain(`it would be ${folder}`);
  });
});

describe('an open device', () => {
  test('does what the model behind the ioctls does', async () => {
    const device = await setup({ faults: { most: 5 } }).target.open();
    await device.writeRegion(0, 7, Uint8Array.of(0x5a));
    const saving = (await device.setState('PRE_COPY'))!;
    expect(await saving.precopyInfo()).toEqual({ initial: 43n, dirty: 0n });
    await device.optInPrecopyInfoV2();
    expect(await saving.precopyInfo()).toEqual({ initial: 43n, dirty: 0n, reinit: false });
    expect(await device.dataSize()).toBe(43n);
    expect(await device.setState(3)).toBe(null);
    const image: number[] = [];
    const piece = new Uint8Array(64);
    for (let size = 1; size > 0; ) {
      size = await saving.read(piece);
      expect(size).toBeLessThanOrEqual(5);
      image.push(...piece.subarray(0, size));
    }
    await saving.close();
    await device.reset();
    expect(await device.readRegion(0, 7, 1)).toEqual(Uint8Array.of(0));
    const loading = (await device.setState('RESUMING'))!;
    for (let done = 0; done < image.length; ) done += await loading.write(Uint8Array.from(image.slice(done)));
    expect(await device.setState('RUNNING')).toBe(null);
    expect(await device.getState()).toBe('RUNNING');
    expect(await device.readRegion(0, 7, 1)).toEqual(Uint8Array.of(0x5a));
  });

  test('fails as the kernel does', async () => {
    const device = await setup().target.open();
    await expect(device.setState('ERROR')).rejects.toMatchObject({
      code: 'EINVAL',
      message: 'EINVAL: SET of MIG_DEVICE_STATE to ERROR fails',
    });
    await expect(device.setState(77)).rejects.toThrow('SET of MIG_DEVICE_STATE to 77 fails');
    const fd = (await device.setState('STOP_COPY'))!;
    await expect(fd.write(new Uint8Array(4))).rejects.toMatchObject({ code: 'EBADF' });
    await fd.close();
    for (const call of [() => fd.read(new Uint8Array(1)), () => fd.close(), () => fd.precopyInfo()])
      await expect(call()).rejects.toMatchObject({ code: 'EBADF' });
  });

  test('keeps the reads of a region inside it', async () => {
    const device = await setup().target.open();
    await expect(device.readRegion(0, 0xfff, 2)).rejects.toThrow(
      'EINVAL: read of 2 bytes at 0xfff of region 0',
    );
    await expect(device.readRegion(9, 0, 1)).rejects.toThrow('VFIO_DEVICE_GET_REGION_INFO of region 9 fails');
  });

  test('logs DMA', async () => {
    const log = new DmaLog();
    const model = Object.assign(new Uart(), { dmaLogging: log });
    const { dmaLogging } = await setup({ model }).target.open();
    const range = { iova: 0x1000n, length: 0x10_0000n };
    expect(await dmaLogging!.start({ pageSize: 4096n, ranges: [range] })).toBe(4096n);
    log.mark(0x3000n, 1n);
    expect([...(await dmaLogging!.report({ ...range, pageSize: 4096n }))]).toEqual([2]);
    await expect(dmaLogging!.report({ ...range, pageSize: 0n })).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(dmaLogging!.report({ ...range, length: 0n, pageSize: 4096n })).rejects.toThrow(RangeError);
    await dmaLogging!.stop();
  });
});
