import { constants } from 'node:fs';
import { errnoName } from '../../uapi/errno.js';
import { IOMMUFD_IOCTLS, IoasAlloc } from '../../uapi/iommufd.js';
import { GROUP_FLAGS, IOCTLS, VFIO_API_VERSION, VFIO_TYPE1V2_IOMMU } from '../../uapi/vfio.js';
import { DeviceAttachIommufdPt, DeviceBindIommufd, GroupStatus } from '../../uapi/vfio-structs.js';
import { TargetError } from '../target.js';
import { type Files, notVfio, type Place } from './locate.js';
import type { Answer, Syscalls } from './syscalls.js';

const IOMMUFD = '/dev/iommu';
const CONTAINER = '/dev/vfio/vfio';

/**
 * Opens a device: by its character device and iommufd where the kernel has both, else by container and group.
 * What is opened on the way stays open until the calls end.
 * @returns the device's descriptor
 * @throws TargetError when that is not possible
 */
export async function openDevice(uri: string, place: Place, calls: Syscalls, files: Files): Promise<number> {
  const { cdev, group } = place;
  const opening = new Opening(uri, place, calls);
  if (cdev !== null && (files.exists(IOMMUFD) || group === null)) return opening.byCdev(cdev);
  if (group !== null) return opening.byGroup(group);
  throw new TargetError(
    `${uri}: neither ${IOMMUFD} nor a file of its IOMMU group is there: modprobe iommufd, or vfio_iommu_type1`,
  );
}

class Opening {
  constructor(
    readonly uri: string,
    readonly place: Place,
    readonly calls: Syscalls,
  ) {}

  async byCdev(cdev: string): Promise<number> {
    const iommufd = await this.open(IOMMUFD);
    const device = await this.open(cdev);
    const bind = { argsz: DeviceBindIommufd.size, flags: 0, iommufd, out_devid: 0 };
    const bound = await this.ioctl(
      device,
      'VFIO_DEVICE_BIND_IOMMUFD',
      IOCTLS.VFIO_DEVICE_BIND_IOMMUFD,
      DeviceBindIommufd.encode(bind),
    );
    this.demand(bound, 'VFIO_DEVICE_BIND_IOMMUFD');
    await this.attach(iommufd, device);
    return device;
  }

  /** With an address space the device may do DMA. Migration needs none, so that a refusal is no obstacle. */
  async attach(iommufd: number, device: number): Promise<void> {
    const alloc = { size: IoasAlloc.size, flags: 0, out_ioas_id: 0 };
    const space = await this.ioctl(
      iommufd,
      'IOMMU_IOAS_ALLOC',
      IOMMUFD_IOCTLS.IOMMU_IOAS_ALLOC,
      IoasAlloc.encode(alloc),
    );
    if (space.errno !== 0) return;
    const attach = {
      argsz: DeviceAttachIommufdPt.size,
      flags: 0,
      pt_id: IoasAlloc.decode(space.bytes).out_ioas_id,
    };
    await this.ioctl(
      device,
      'VFIO_DEVICE_ATTACH_IOMMUFD_PT',
      IOCTLS.VFIO_DEVICE_ATTACH_IOMMUFD_PT,
      DeviceAttachIommufdPt.encode(attach),
    );
  }

  async byGroup(file: string): Promise<number> {
    const container = await this.container();
    const group = await this.open(file);
    await this.checkViable(group, file);
    const join = await this.ioctl(
      group,
      'VFIO_GROUP_SET_CONTAINER',
      IOCTLS.VFIO_GROUP_SET_CONTAINER,
      words(container),
    );
    this.demand(join, 'VFIO_GROUP_SET_CONTAINER');
    const model = await this.ioctl(container, 'VFIO_SET_IOMMU', IOCTLS.VFIO_SET_IOMMU, VFIO_TYPE1V2_IOMMU);
    this.demand(model, 'VFIO_SET_IOMMU');
    const name = new TextEncoder().encode(`${this.place.name}\0`);
    const device = await this.ioctl(group, 'VFIO_GROUP_GET_DEVICE_FD', IOCTLS.VFIO_GROUP_GET_DEVICE_FD, name);
    if (errnoName(device.errno) === 'ENODEV') throw notVfio(this.uri, this.place);
    this.demand(device, 'VFIO_GROUP_GET_DEVICE_FD');
    return device.value;
  }

  async container(): Promise<number> {
    const fd = await this.open(CONTAINER);
    const version = await this.ioctl(fd, 'VFIO_GET_API_VERSION', IOCTLS.VFIO_GET_API_VERSION, 0);
    this.demand(version, 'VFIO_GET_API_VERSION');
    if (version.value !== VFIO_API_VERSION) {
      throw this.error(
        `this kernel has version ${version.value} of the VFIO interface; known is ${VFIO_API_VERSION}`,
      );
    }
    const model = await this.ioctl(
      fd,
      'VFIO_CHECK_EXTENSION',
      IOCTLS.VFIO_CHECK_EXTENSION,
      VFIO_TYPE1V2_IOMMU,
    );
    if (model.value > 0) return fd;
    throw this.error('the kernel has no IOMMU model TYPE1v2 for it: modprobe vfio_iommu_type1');
  }

  async checkViable(group: number, file: string): Promise<void> {
    const ask = GroupStatus.encode({ argsz: GroupStatus.size, flags: 0 });
    const status = await this.ioctl(group, 'VFIO_GROUP_GET_STATUS', IOCTLS.VFIO_GROUP_GET_STATUS, ask);
    this.demand(status, 'VFIO_GROUP_GET_STATUS');
    const { flags } = GroupStatus.decode(status.bytes);
    if ((flags & GROUP_FLAGS.VIABLE) === 0) {
      throw this.error(
        `its IOMMU group (${file}) is not viable: every device of the group must have a driver of VFIO, or none`,
      );
    }
    if ((flags & GROUP_FLAGS.CONTAINER_SET) !== 0) throw this.error(inUse(file));
  }

  async open(path: string): Promise<number> {
    const { value, errno } = await this.calls.call(
      { call: 'open', path, flags: constants.O_RDWR },
      `open of ${path}`,
    );
    if (errno === 0) return value;
    throw this.error(whyNotOpen(path, errnoName(errno)));
  }

  ioctl(fd: number, name: string, request: number, arg: Uint8Array | number): Promise<Answer> {
    return this.calls.call({ call: 'ioctl', fd, request, arg }, name);
  }

  /** @throws TargetError when a call has failed whose failure has no better words */
  demand({ errno }: Answer, name: string): void {
    if (errno !== 0) throw this.error(`${name} fails with ${errnoName(errno)}`);
  }

  error(words: string): TargetError {
    return new TargetError(`${this.uri}: ${words}`);
  }
}

const inUse = (path: string): string =>
  `${path} is in use by another program, such as QEMU: end it, or give the device back`;

function whyNotOpen(path: string, code: string): string {
  if (code === 'EACCES' || code === 'EPERM') {
    return `no permission for ${path}: run as root, or give the file to your user (chown)`;
  }
  if (code === 'EBUSY') return inUse(path);
  if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'ENXIO') return `open of ${path} fails with ${code}`;
  if (path === IOMMUFD) {
    return `${path} is missing: modprobe iommufd (CONFIG_IOMMUFD), or name the device by its address for the way by container and group`;
  }
  if (path === CONTAINER) return `${path} is missing: modprobe vfio (and vfio_iommu_type1)`;
  return `there is no device behind ${path} (${code})`;
}

/** An int, as the argument of an ioctl points at it. */
function words(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}
