import { DeviceError, refusalOf } from '../uapi/device.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import type { SharedMemory, VhostBackend, VhostRegion } from '../uapi/vhost-backend.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../uapi/vhost-user.js';
import { featureBits, hasFeature, VIRTIO_FEATURES } from '../uapi/virtio.js';
import { ControlState } from './control-state.js';
import { DirtyLog, markPages, runsOf } from './dirty-log.js';
import { RegionMemory } from './region-memory.js';
import { VdpaSession } from './vdpa-session.js';
import { usedIndexOf, type VhostRing, type VirtioState } from './virtio-state.js';
import type { VmmEvent } from './vmm-event.js';

/** What a vhost device is made from. */
export interface VhostDeviceOptions {
  readonly backend: VhostBackend;
  /** Guest memory. */
  readonly regions: readonly VhostRegion[];
  /** Zeroed memory that the back end can be given, and the address that it has here. */
  allocate(bytes: number): SharedMemory & { readonly address: number };
  /** The guest is told of used buffers of a queue. */
  call(index: number): void;
  /** Has a back end of this process work; one that works by itself needs none. */
  settle?(): void | Promise<void>;
  /** Told before the VMM itself writes guest memory, in the place of a device. */
  beforeWrite?(address: number, length: number): void;
  /**
   * Guest or device have broken a ring that the VMM stands behind: it stands still until the next start. Absent: the
   * error goes on to who kicked or called.
   */
  broken?(index: number, error: Error): void;
  tell?(event: VmmEvent): void;
}

/** Protocol features that are made use of. */
const PROTOCOL_FEATURES = featureBits(
  VHOST_USER_PROTOCOL_FEATURES.MQ,
  VHOST_USER_PROTOCOL_FEATURES.LOG_SHMFD,
  VHOST_USER_PROTOCOL_FEATURES.RARP,
  VHOST_USER_PROTOCOL_FEATURES.REPLY_ACK,
  VHOST_USER_PROTOCOL_FEATURES.DEVICE_STATE,
);
/** Features that are between VMM and back end, not of the guest. */
const OWN_FEATURES = featureBits(
  VHOST_FEATURES.LOG_ALL,
  VHOST_FEATURES.NET_VIRTIO_NET_HDR,
  VHOST_USER_F_PROTOCOL_FEATURES,
);

/**
 * The VMM's half of a virtio device whose back end is behind vhost: starts and stops it with the VM, has its writes
 * logged, and has a vDPA device run on shadow virtqueues while its writes are to be known. Requests go out in the
 * order of QEMU's `hw/virtio/vhost.c`, but for two: a device that is started while its writes are logged gets the log
 * before its rings, and rings get their descriptors when all are set up and the state of the back end is loaded.
 */
export class VhostDevice {
  readonly backend: VhostBackend;
  /** What the guest has set by the control queue, where the VMM sees it. */
  readonly control = new ControlState();
  state: VirtioState | null = null;
  isStarted = false;
  /** The back end's own state that was loaded, for the next start. */
  pendingState: Uint8Array | null = null;
  /** Pages that were written and that nobody has asked for yet. */
  #dirty: Uint8Array;
  /** What was asked for last. */
  #read: Uint8Array;
  #regions: readonly VhostRegion[];
  readonly #guest: RegionMemory;
  readonly #options: VhostDeviceOptions;
  readonly #vdpa: VdpaSession | null;
  #log: DirtyLog | null = null;
  #logging = false;
  #offered = 0n;
  #protocol = 0n;

  constructor(options: VhostDeviceOptions) {
    const { backend, regions } = options;
    this.backend = backend;
    this.#options = options;
    this.#regions = regions;
    this.#dirty = new Uint8Array(logBytesOf(regions));
    this.#read = new Uint8Array(this.#dirty.length);
    const mark = (address: number, length: number) => {
      if (this.#logging) markPages(this.#dirty, address, length);
    };
    const guest = new RegionMemory(() => this.#regions, mark, options.beforeWrite);
    this.#guest = guest;
    this.#vdpa =
      backend.interface === 'vdpa'
        ? new VdpaSession({ ...options, regions: () => this.#regions, guest, mark, control: this.control })
        : null;
  }

  /** Owner and features: what is done once. @returns what the guest's driver can be offered */
  async open(): Promise<bigint> {
    const { backend } = this;
    await backend.setOwner();
    this.#offered = await backend.getFeatures();
    if (backend.interface === 'user' && hasFeature(this.#offered, VHOST_USER_F_PROTOCOL_FEATURES)) {
      this.#protocol = (await backend.getProtocolFeatures()) & PROTOCOL_FEATURES;
      await backend.setProtocolFeatures(this.#protocol);
    }
    await this.#vdpa?.open();
    return this.#offered & ~OWN_FEATURES;
  }

  /** Whether the device migrates; else why not, as a migration blocker. */
  get blocker(): string | null {
    if (this.#vdpa !== null) return this.#vdpa.blockerOf(this.#offered);
    if (!hasFeature(this.#offered, VHOST_FEATURES.LOG_ALL)) return 'vhost lacks VHOST_F_LOG_ALL';
    const { LOG_SHMFD } = VHOST_USER_PROTOCOL_FEATURES;
    if (this.backend.interface === 'user' && !hasFeature(this.#protocol, LOG_SHMFD))
      return 'the vhost-user back end lacks LOG_SHMFD, by which the log is shared';
    return null;
  }

  /** Whether the back end has a state of its own that crosses. */
  get hasBackendState(): boolean {
    return hasFeature(this.#protocol, VHOST_USER_PROTOCOL_FEATURES.DEVICE_STATE);
  }

  /**
   * Starts the device, when a driver has set it up. When that fails no ring runs.
   * @throws DeviceError of the back end, the first one
   */
  async start(): Promise<void> {
    const { state } = this;
    if (state === null || this.isStarted) return;
    this.#tell({ kind: 'vhost_dev_start', begin: true });
    if (this.#vdpa !== null) await this.#vdpa.start(state);
    else await this.#start(state);
    this.isStarted = true;
    this.#tell({ kind: 'vhost_dev_start', begin: false });
    // What the guest has made available while nobody looked.
    for (const { index } of state.rings) this.kick(index);
  }

  async #start(state: VirtioState): Promise<void> {
    const { backend } = this;
    if (this.#log !== null) await backend.setLogBase(this.#log.memory);
    await this.#setFeatures(state);
    await backend.setMemTable(this.#regions);
    for (const ring of state.rings) {
      this.#tell({ kind: 'vring_start', index: ring.index, begin: true });
      await backend.setVringNum(ring.index, ring.size);
      await backend.setVringBase(ring.index, ring.base);
      await this.#setAddr(ring);
    }
    if (this.pendingState !== null) await backend.loadState(this.pendingState);
    this.pendingState = null;
    const begun: VhostRing[] = [];
    try {
      for (const ring of state.rings) {
        begun.push(ring);
        await this.#run(ring);
      }
      for (const { index } of state.rings) await this.#enable(index, true);
    } catch (error) {
      await refusalOf(() => this.#stop({ ...state, rings: begun }));
      throw error;
    }
  }

  /** Gives a ring its descriptors. */
  async #run({ index }: VhostRing): Promise<void> {
    await this.backend.setVringKick(index, true);
    await this.backend.setVringCall(index, () => this.#options.call(index));
    this.#tell({ kind: 'vring_start', index, begin: false });
  }

  #setFeatures({ features }: VirtioState): void | Promise<void> {
    const log = this.#logging ? featureBits(VHOST_FEATURES.LOG_ALL) : 0n;
    const protocol = this.#offered & featureBits(VHOST_USER_F_PROTOCOL_FEATURES);
    // ACCESS_PLATFORM is between guest and VMM where there is no IOMMU: the back end's addresses are the guest's.
    const platform = featureBits(VIRTIO_FEATURES.ACCESS_PLATFORM);
    return this.backend.setFeatures((features & ~platform) | log | protocol);
  }

  #setAddr({ index, parts }: VhostRing): void | Promise<void> {
    const at = (gpa: number) => this.#uaddrOf(gpa);
    return this.backend.setVringAddr(index, {
      desc: at(parts.desc),
      avail: at(parts.avail),
      used: at(parts.used),
      logGuestAddr: parts.used,
      log: this.#logging,
    });
  }

  #uaddrOf(address: number): number {
    const region = this.#regions.find(({ gpa, size }) => address >= gpa && address < gpa + size);
    if (region === undefined)
      throw new DeviceError('EFAULT', `no guest memory is at 0x${address.toString(16)}`);
    return region.uaddr + address - region.gpa;
  }

  #enable(index: number, on: boolean): void | Promise<void> {
    const { backend } = this;
    if (backend.interface === 'kernel') return backend.setBackend(index, on);
    if (hasFeature(this.#offered, VHOST_USER_F_PROTOCOL_FEATURES)) return backend.setVringEnable(index, on);
  }

  /**
   * Stops the device; the rings of `state` know where they stand then. A ring that cannot be asked stands where its
   * used index is.
   * @throws DeviceError of the back end, the first one: the device counts as stopped all the same
   */
  async stop(): Promise<void> {
    const { state } = this;
    if (state === null || !this.isStarted) return;
    this.#tell({ kind: 'vhost_dev_stop', begin: true });
    this.isStarted = false;
    if (this.#vdpa !== null) await this.#vdpa.stop(state);
    else await this.#stop(state);
    this.#tell({ kind: 'vhost_dev_stop', begin: false });
  }

  async #stop(state: VirtioState): Promise<void> {
    const { backend } = this;
    const errors: (DeviceError | null)[] = [];
    for (const { index } of state.rings) errors.push(await refusalOf(() => this.#enable(index, false)));
    for (const ring of state.rings) {
      this.#tell({ kind: 'vring_stop', index: ring.index, begin: true });
      const error = await refusalOf(async () => {
        ring.base = await backend.getVringBase(ring.index);
      });
      // A packed ring has no used index.
      if (error !== null && !hasFeature(state.features, VIRTIO_FEATURES.RING_PACKED))
        ring.base = usedIndexOf(ring, this.#guest);
      errors.push(error);
      this.#tell({ kind: 'vring_stop', index: ring.index, begin: false });
    }
    const first = errors.find((error) => error !== null);
    if (first) throw first;
  }

  /** The guest's driver notifies a queue. */
  kick(index: number): void {
    if (!this.isStarted) return;
    if (this.#vdpa !== null) this.#vdpa.kick(index);
    else this.backend.kick(index);
  }

  /**
   * Has writes logged from now on: first the log, then the gate of buffers, then those of the rings.
   * @throws DeviceError of the back end
   */
  async startLog(): Promise<void> {
    this.#dirty.fill(0);
    this.#logging = true;
    this.#tell({ kind: 'vhost_logging', on: true });
    if (this.#vdpa !== null) return;
    this.#log = new DirtyLog(this.#options.allocate(this.#dirty.length));
    if (!this.isStarted) return;
    try {
      await this.backend.setLogBase(this.#log.memory);
      await this.#openGates();
    } catch (error) {
      await refusalOf(() => this.stopLog());
      throw error;
    }
  }

  /**
   * Closes the gates, each whether or not another one was refused; what is in the log is dropped.
   * @throws DeviceError of the back end, the first one
   */
  async stopLog(): Promise<void> {
    if (!this.#logging) return;
    this.#logging = false;
    this.#tell({ kind: 'vhost_logging', on: false });
    this.#log = null;
    const { state } = this;
    if (this.#vdpa !== null || !this.isStarted || state === null) return;
    const errors = [await refusalOf(() => this.#setFeatures(state))];
    for (const ring of state.rings) errors.push(await refusalOf(() => this.#setAddr(ring)));
    const first = errors.find((error) => error !== null);
    if (first) throw first;
  }

  async #openGates(): Promise<void> {
    const { state } = this;
    if (state === null) return;
    await this.#setFeatures(state);
    for (const ring of state.rings) await this.#setAddr(ring);
  }

  /**
   * The pages that were written since the last call, which are forgotten by it: a bit for each, from guest physical
   * address 0. The bytes are valid until the next call.
   * @param final the device has stopped: nothing comes after it
   */
  readLog(final: boolean): Uint8Array {
    const pages = this.#read;
    pages.set(this.#dirty);
    this.#dirty.fill(0);
    this.#log?.moveTo(pages);
    this.#tell({ kind: 'vhost_log_read', pages: runsOf(pages), final });
    return pages;
  }

  /**
   * Guest memory is other than it was. Where it becomes larger the log does so before it, where it becomes smaller
   * behind it; what an old log has collected is kept.
   */
  async changeMemory(regions: readonly VhostRegion[]): Promise<void> {
    const before = this.#regions;
    const bytes = logBytesOf(regions);
    if (bytes > this.#dirty.length) await this.#resizeLog(bytes);
    this.#regions = regions;
    if (this.isStarted && this.#vdpa !== null) await this.#vdpa.changeMemory(before);
    else if (this.isStarted) await this.backend.setMemTable(regions);
    if (bytes < this.#dirty.length) await this.#resizeLog(bytes);
  }

  /** The back end gets the new log first, then what the old one has is taken over. */
  async #resizeLog(bytes: number): Promise<void> {
    const old = this.#log;
    if (old !== null) {
      this.#log = new DirtyLog(this.#options.allocate(bytes));
      if (this.isStarted) await this.backend.setLogBase(this.#log.memory);
    }
    old?.moveTo(this.#dirty);
    const dirty = new Uint8Array(bytes);
    dirty.set(this.#dirty.subarray(0, bytes));
    this.#dirty = dirty;
    this.#read = new Uint8Array(bytes);
  }

  /**
   * Puts shadow virtqueues in, or takes them away: the device is stopped and started for it. Nothing for interfaces
   * that have a log. When the device does not start on shadow virtqueues it goes on with the rings of the guest.
   * @throws DeviceError of the back end; EOPNOTSUPP when shadow virtqueues cannot carry what the device offers
   */
  async setShadow(on: boolean): Promise<void> {
    if (this.#vdpa === null || this.#vdpa.isShadowed === on) return;
    const { blocker } = this;
    if (on && blocker !== null) throw new DeviceError('EOPNOTSUPP', blocker);
    const runs = this.isStarted;
    await this.stop();
    this.#switchShadow(this.#vdpa, on);
    if (!runs) return;
    try {
      await this.start();
    } catch (error) {
      if (!on) throw error;
      // It may have started, and then have found that the guest has broken a ring.
      await refusalOf(() => this.stop());
      this.#switchShadow(this.#vdpa, false);
      await this.start();
      throw error;
    }
  }

  #switchShadow(vdpa: VdpaSession, on: boolean): void {
    vdpa.isShadowed = on;
    this.#tell({ kind: 'shadow_virtqueues', on });
  }

  /** Whether writes are logged. */
  get isLogging(): boolean {
    return this.#logging;
  }

  /** Whether the VMM stands between guest and device on a queue. */
  isShadowed(index: number): boolean {
    return this.#vdpa?.shadows(index) ?? false;
  }

  /** The back end's own state, of a device that is stopped; null: it has none. */
  async saveState(): Promise<Uint8Array | null> {
    return this.hasBackendState ? await this.backend.saveState() : null;
  }

  /** Announces a MAC to the network in the place of a guest that cannot. */
  async announce(mac: Uint8Array): Promise<void> {
    if (hasFeature(this.#protocol, VHOST_USER_PROTOCOL_FEATURES.RARP)) await this.backend.sendRarp(mac);
  }

  #tell(event: VmmEvent): void {
    this.#options.tell?.(event);
  }
}

/** Bytes of a log of this memory. */
function logBytesOf(regions: readonly VhostRegion[]): number {
  return DirtyLog.bytesFor(Math.max(0, ...regions.map(({ gpa, size }) => gpa + size)));
}
