import { type Linux, loadLinux } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import {
  VHOST_IOTLB,
  VHOST_IOTLB_MSG_V2,
  VHOST_VDPA_IOCTLS,
  VhostMsgV2,
  VhostVdpaConfig,
  VringState,
} from '../../uapi/vhost.js';
import type {
  IotlbMessage,
  SharedMemory,
  VhostBackend,
  VhostRegion,
  VringAddresses,
} from '../../uapi/vhost-backend.js';
import { KernelVhost, type RingAddresses, word } from './kernel-vhost.js';
import { openFile, settingUp } from './open.js';
import type { OwnMemory } from './user-memory.js';

export interface VhostVdpaOptions {
  /** As errors begin, and traces spell it; the default is the path. */
  readonly uri?: string;
  /** Memory of this process that IOTLB messages may name without a memory table. */
  memory?(): Iterable<OwnMemory>;
}

/**
 * Opens a device of the kernel's vDPA bus.
 * @param path such as `/dev/vhost-vdpa-0`
 * @throws TargetError when it is not there or in use; LinuxError where there are no system calls
 */
export async function vhostVdpaBackend(
  path: string,
  options: VhostVdpaOptions = {},
): Promise<VhostVdpaBackend> {
  const linux = await loadLinux();
  const uri = options.uri ?? path;
  const fd = openFile(linux, uri, path, {
    missing:
      'modprobe vhost_vdpa, and make a device: vdpa dev add name vdpa0 mgmtdev DEVICE (vdpasim_net for the simulator)',
    denied: 'run as root, or give the file to your user (chown)',
  });
  try {
    const queues = settingUp(uri, 'VHOST_VDPA_GET_VQS_COUNT', () => {
      const count = new Uint32Array(1);
      linux.ioctl(
        fd,
        VHOST_VDPA_IOCTLS.VHOST_VDPA_GET_VQS_COUNT,
        new Uint8Array(count.buffer),
        'VHOST_VDPA_GET_VQS_COUNT',
      );
      return count[0]!;
    });
    const { memory } = options;
    return new VhostVdpaBackend(linux, fd, { name: uri, queues, ...(memory && { memory }) });
  } catch (error) {
    linux.close(fd);
    throw error;
  }
}

/** `/dev/vhost-vdpa-N`. Rings are given by the addresses of their descriptors' own kind, IOVAs. */
export class VhostVdpaBackend extends KernelVhost implements VhostBackend {
  readonly interface = 'vdpa';
  readonly queues: number;

  /** Owns the descriptor from now on. */
  constructor(
    linux: Linux,
    fd: number,
    { name, queues, memory }: { name: string; queues: number; memory?: () => Iterable<OwnMemory> },
  ) {
    super(linux, fd, name, memory);
    this.queues = queues;
  }

  /** The device learns of memory by IOTLB messages; the table says where their user addresses are. */
  setMemTable(regions: readonly VhostRegion[]): void {
    this.memory.replace(regions, () => {});
  }

  /** The kernel refuses it: vDPA has no dirty log. */
  setLogBase(_log: SharedMemory | null): void {
    this.ioctl('VHOST_SET_LOG_BASE', word(0n));
  }

  protected ringAddresses(_index: number, { desc, used, avail }: VringAddresses): RingAddresses {
    return { desc: BigInt(desc), used: BigInt(used), avail: BigInt(avail) };
  }

  setVringEnable(index: number, enabled: boolean): void {
    this.ioctl('VHOST_VDPA_SET_VRING_ENABLE', VringState.encode({ index, num: enabled ? 1 : 0 }));
  }

  getStatus(): number {
    const status = new Uint8Array(1);
    this.ioctl('VHOST_VDPA_GET_STATUS', status);
    return status[0]!;
  }

  setStatus(status: number): void {
    this.ioctl('VHOST_VDPA_SET_STATUS', Uint8Array.of(status));
  }

  suspend(): void {
    this.ioctl('VHOST_VDPA_SUSPEND');
  }

  resume(): void {
    this.ioctl('VHOST_VDPA_RESUME');
  }

  getVringGroup(index: number): number {
    return this.ring('VHOST_VDPA_GET_VRING_GROUP', index);
  }

  setGroupAsid(group: number, asid: number): void {
    this.ioctl('VHOST_VDPA_SET_GROUP_ASID', VringState.encode({ index: group, num: asid }));
  }

  iotlb({ type, asid, iova, size, uaddr, perm }: IotlbMessage): void {
    const address = type === VHOST_IOTLB.UPDATE ? this.memory.translate(uaddr, size, 'IOTLB memory') : 0n;
    const message = VhostMsgV2.encode({
      type: VHOST_IOTLB_MSG_V2,
      asid,
      iova: BigInt(iova),
      size: BigInt(size),
      uaddr: address,
      perm,
      iotlb_type: type,
      padding: new Uint8Array(38),
    });
    const taken = this.linux.write(this.fd, message);
    if (taken !== message.length)
      throw new DeviceError('EIO', `${this.name} took ${taken ?? 0} bytes of an IOTLB message`);
  }

  getConfig(offset: number, size: number): Uint8Array {
    const bytes = new Uint8Array(VhostVdpaConfig.size + size);
    bytes.set(VhostVdpaConfig.encode({ off: offset, len: size }));
    this.ioctl('VHOST_VDPA_GET_CONFIG', bytes);
    return bytes.subarray(VhostVdpaConfig.size);
  }

  setConfig(offset: number, bytes: Uint8Array): void {
    const config = new Uint8Array(VhostVdpaConfig.size + bytes.length);
    config.set(VhostVdpaConfig.encode({ off: offset, len: bytes.length }));
    config.set(bytes, VhostVdpaConfig.size);
    this.ioctl('VHOST_VDPA_SET_CONFIG', config);
  }

  resetDevice(): void {
    this.setStatus(0);
  }

  setBackend(): void {
    this.without('VHOST_NET_SET_BACKEND');
  }
}
