import { type Linux, loadLinux, type Mapping } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import { VhostMemory, VhostMemoryRegion, VringFile } from '../../uapi/vhost.js';
import type { SharedMemory, VhostBackend, VhostRegion, VringAddresses } from '../../uapi/vhost-backend.js';
import { splitBytes } from '../../uapi/virtio.js';
import { KernelVhost, type RingAddresses, word } from './kernel-vhost.js';
import { openFile } from './open.js';
import { Tap } from './tap.js';
import { mapShared } from './user-memory.js';

export interface VhostNetOptions {
  /** Name of the tap device that is made; the kernel puts a number in the place of `%d`. */
  readonly tap?: string;
  /** As errors begin, and traces spell it; the default is the path. */
  readonly uri?: string;
}

/** Receive and transmit: kernel vhost-net has one pair a file. */
const QUEUES = 2;

/**
 * Opens kernel vhost-net with a tap device of its own behind it.
 * @param path `/dev/vhost-net`
 * @throws TargetError when the file or a tap is not to be had here; LinuxError where there are no system calls
 */
export async function vhostNetBackend(path: string, options: VhostNetOptions = {}): Promise<VhostNetBackend> {
  const linux = await loadLinux();
  const uri = options.uri ?? path;
  const fd = openFile(linux, uri, path, {
    missing: 'modprobe vhost_net',
    denied: 'run as root, or join the group that owns the file (often kvm)',
  });
  try {
    return new VhostNetBackend(linux, fd, uri, Tap.open(linux, uri, options.tap));
  } catch (error) {
    linux.close(fd);
    throw error;
  }
}

/** `/dev/vhost-net`, whose rings, memory and log have to be shared memory with a descriptor. */
export class VhostNetBackend extends KernelVhost implements VhostBackend {
  readonly interface = 'kernel';
  readonly queues = QUEUES;
  /** What the queues send to and receive from. */
  readonly tap: Tap;
  #log: Mapping | null = null;
  readonly #sizes = new Map<number, number>();

  /** Owns descriptor and tap from now on. */
  constructor(linux: Linux, fd: number, name: string, tap: Tap) {
    super(linux, fd, name);
    this.tap = tap;
  }

  setMemTable(regions: readonly VhostRegion[]): void {
    this.memory.replace(regions, (placed) => {
      const table = new Uint8Array(VhostMemory.size + VhostMemoryRegion.size * placed.length);
      table.set(VhostMemory.encode({ nregions: placed.length, padding: 0 }));
      for (const [index, { gpa, size, address }] of placed.entries()) {
        const region = { guest_phys_addr: BigInt(gpa), memory_size: BigInt(size), userspace_addr: address };
        const at = VhostMemory.size + VhostMemoryRegion.size * index;
        table.set(VhostMemoryRegion.encode({ ...region, flags_padding: 0n }), at);
      }
      this.ioctl('VHOST_SET_MEM_TABLE', table);
    });
  }

  /** The kernel is told no length: whoever gives a log too short has it written beyond. */
  setLogBase(log: SharedMemory | null): void {
    const mapping = log === null ? null : mapShared(this.linux, log);
    try {
      this.ioctl('VHOST_SET_LOG_BASE', word(mapping?.address ?? 0n));
    } catch (error) {
      mapping?.unmap();
      throw error;
    }
    this.#log?.unmap();
    this.#log = mapping;
  }

  override setVringNum(index: number, num: number): void {
    super.setVringNum(index, num);
    this.#sizes.set(index, num);
  }

  protected ringAddresses(index: number, { desc, used, avail }: VringAddresses): RingAddresses {
    const size = this.#sizes.get(index);
    if (size === undefined) throw new DeviceError('EINVAL', `ring ${index} has no size yet`);
    return {
      desc: this.memory.translate(desc, splitBytes.desc(size), 'a descriptor table'),
      used: this.memory.translate(used, splitBytes.used(size), 'a used ring'),
      avail: this.memory.translate(avail, splitBytes.avail(size), 'an available ring'),
    };
  }

  setBackend(index: number, attached: boolean): void {
    this.ioctl('VHOST_NET_SET_BACKEND', VringFile.encode({ index, fd: attached ? this.tap.fd : -1 }));
  }

  override close(): void {
    super.close();
    this.#log?.unmap();
    this.#log = null;
    this.tap.close();
  }

  // What vhost-net has no ioctl for.

  setVringEnable(): void {
    this.without('SET_VRING_ENABLE: a ring is started by its backend');
  }

  getStatus(): number {
    return this.without('GET_STATUS');
  }

  setStatus(): void {
    this.without('SET_STATUS');
  }

  suspend(): void {
    this.without('SUSPEND');
  }

  resume(): void {
    this.without('RESUME');
  }

  getVringGroup(): number {
    return this.without('GET_VRING_GROUP');
  }

  setGroupAsid(): void {
    this.without('SET_GROUP_ASID');
  }

  iotlb(): void {
    this.without('IOTLB without ACCESS_PLATFORM');
  }

  getConfig(): Uint8Array {
    return this.without('GET_CONFIG');
  }

  setConfig(): void {
    this.without('SET_CONFIG');
  }

  resetDevice(): void {
    this.without('RESET_DEVICE');
  }
}
