import {
  DeviceError,
  featureBits,
  hasFeature,
  type IotlbMessage,
  VHOST_BACKEND_FEATURES,
  VHOST_IOTLB,
  VIRTIO_FEATURES,
  VIRTIO_STATUS,
  type VringAddresses,
} from 'stopcopy/uapi';
import { type AddressSpace, Iotlb, IovaSpace } from './address-space.js';
import {
  checkOffered,
  checkSplitSize,
  NET_FEATURES,
  NetBackEnd,
  type NetBackEndOptions,
} from './back-end.js';
import type { LogSetting } from './log.js';
import type { RingMode } from './net-device.js';
import type { Ring } from './ring.js';

const { ACCESS_PLATFORM, NET_CTRL_VQ } = VIRTIO_FEATURES;
const { DRIVER_OK, FEATURES_OK } = VIRTIO_STATUS;

/** Features that virtio-net offers as a vDPA device. */
export const VDPA_FEATURES: bigint =
  NET_FEATURES |
  featureBits(
    NET_CTRL_VQ,
    VIRTIO_FEATURES.NET_CTRL_RX,
    VIRTIO_FEATURES.NET_CTRL_VLAN,
    VIRTIO_FEATURES.NET_CTRL_MAC_ADDR,
    VIRTIO_FEATURES.NET_CTRL_GUEST_OFFLOADS,
    VIRTIO_FEATURES.NET_GUEST_ANNOUNCE,
    VIRTIO_FEATURES.NET_STATUS,
  );

/** Back-end features that virtio-net offers as a vDPA device. */
export const VDPA_BACKEND_FEATURES: bigint = featureBits(
  VHOST_BACKEND_FEATURES.IOTLB_MSG_V2,
  VHOST_BACKEND_FEATURES.IOTLB_BATCH,
  VHOST_BACKEND_FEATURES.IOTLB_ASID,
  VHOST_BACKEND_FEATURES.SUSPEND,
  VHOST_BACKEND_FEATURES.RESUME,
  VHOST_BACKEND_FEATURES.ENABLE_AFTER_DRIVER_OK,
);

/** Groups of rings: data, and the control queue. */
export const VDPA_GROUPS = { data: 0, control: 1 } as const;
/** Address spaces. */
const ASIDS = 2;
/** Largest ring, as the device says. */
const LARGEST_RING = 0x8000;

/**
 * The device behind vhost-vdpa: a status register, a control queue, address spaces by group, suspend and resume;
 * no dirty log. `setMemTable` says where the memory of user addresses is.
 */
export class VdpaFace extends NetBackEnd {
  readonly interface = 'vdpa';
  protected override readonly filters = true;
  #status = 0;
  #isSuspended = false;
  #spaces = Array.from({ length: ASIDS }, () => new Iotlb());
  readonly #asids: number[] = [0, 0];

  constructor(options: NetBackEndOptions) {
    const { queuePairs = 1, features = VDPA_FEATURES } = options;
    const control = hasFeature(features & VDPA_FEATURES, NET_CTRL_VQ) ? 1 : 0;
    super(options, 2 * queuePairs + control, VDPA_FEATURES);
  }

  protected modeOf(ring: Ring): RingMode {
    if (this.#isSuspended && this.conduct.stops) return 'off';
    const isOn = ring.enabled || !this.conduct.heedsEnable;
    return isOn && this.#mayWork() ? 'on' : 'off';
  }

  protected spaceOf(ring: Ring): AddressSpace {
    const space = this.#spaceOf(ring);
    return new IovaSpace(
      () => space,
      () => this.table,
    );
  }

  protected translatorOf(ring: Ring): LogSetting['translate'] {
    const space = this.#spaceOf(ring);
    return (iova, length) => space.translate(iova, length, 0);
  }

  protected activePairs(): number {
    return this.has(VIRTIO_FEATURES.NET_MQ) ? this.settings.pairs : 1;
  }

  protected isControl(ring: Ring): boolean {
    return ring.index === 2 * this.queuePairs;
  }

  /** Addresses of rings are I/O addresses, whatever was acknowledged. */
  protected override get userAddresses(): boolean {
    return false;
  }

  setFeatures(features: bigint): void {
    if ((this.#status & FEATURES_OK) !== 0 && this.conduct.refusesLateFeatures)
      throw new DeviceError('EBUSY', 'FEATURES_OK is set');
    checkOffered(features, this.offered, this.conduct);
    if (!hasFeature(features, ACCESS_PLATFORM))
      throw new DeviceError('EINVAL', 'the device needs VIRTIO_F_ACCESS_PLATFORM');
    this.acked = features;
  }

  override getBackendFeatures(): bigint {
    return VDPA_BACKEND_FEATURES;
  }

  override setBackendFeatures(features: bigint): void {
    checkOffered(features, VDPA_BACKEND_FEATURES, this.conduct);
  }

  setLogBase(): void {
    throw new DeviceError('ENOTTY', 'vhost-vdpa has no dirty log');
  }

  setVringNum(index: number, num: number): void {
    checkSplitSize(num);
    if (num > LARGEST_RING) throw new DeviceError('EINVAL', `rings have at most ${LARGEST_RING} descriptors`);
    this.ring(index).size = num;
  }

  setVringBase(index: number, base: number): void {
    const ring = this.ring(index);
    this.#needStill('SET_VRING_BASE');
    if (base > 0xffff) throw new DeviceError('EINVAL', `${base} is no index of a split ring`);
    const { runs } = ring;
    ring.stop();
    ring.base = base;
    if (runs) this.startRing(ring);
  }

  setVringAddr(index: number, addresses: VringAddresses): void {
    const ring = this.ring(index);
    this.#needStill('SET_VRING_ADDR');
    this.moveRing(ring, addresses);
  }

  override setVringEnable(index: number, enabled: boolean): void {
    const ring = this.ring(index);
    ring.enabled = enabled;
    this.#startReady();
  }

  override kick(index: number): void {
    const ring = this.ring(index);
    if (this.#isSuspended && this.conduct.stops) {
      // The doorbell is remembered, the queue is not looked at.
      ring.pending = true;
      return;
    }
    this.kicked(ring);
  }

  override getStatus(): number {
    return this.conduct.statusOf(this.#status);
  }

  override setStatus(status: number): void {
    if (status === 0) {
      this.#reset();
      return;
    }
    if ((this.#status & ~status) !== 0 && this.conduct.refusesLostStatus)
      throw new DeviceError('EINVAL', 'only a reset takes bits of the status away');
    this.#status = status;
    this.#startReady();
  }

  override suspend(): void {
    if ((this.#status & DRIVER_OK) === 0) return;
    for (const ring of this.rings) this.finishRing(ring);
    this.#isSuspended = true;
  }

  override resume(): void {
    if ((this.#status & DRIVER_OK) === 0) return;
    if (!this.#isSuspended) return;
    this.#isSuspended = false;
    if (!this.conduct.replaysKicks) for (const ring of this.rings) ring.pending = false;
    this.#startReady();
  }

  override getVringGroup(index: number): number {
    return this.isControl(this.ring(index)) ? VDPA_GROUPS.control : VDPA_GROUPS.data;
  }

  override setGroupAsid(group: number, asid: number): void {
    if (group < 0 || group >= this.#asids.length || asid < 0 || asid >= ASIDS)
      throw new DeviceError('EINVAL', `there is no group ${group} or no address space ${asid}`);
    if ((this.#status & DRIVER_OK) !== 0) throw new DeviceError('EBUSY', 'DRIVER_OK is set');
    this.#asids[group] = asid;
  }

  override iotlb(message: IotlbMessage): void {
    const space = this.#spaces[message.asid];
    if (space === undefined) throw new DeviceError('EINVAL', `there is no address space ${message.asid}`);
    if (message.type === VHOST_IOTLB.BATCH_BEGIN || message.type === VHOST_IOTLB.BATCH_END) return;
    space.take(message, true);
  }

  override getConfig(offset: number, size: number): Uint8Array {
    return this.readConfig(offset, size);
  }

  override setConfig(offset: number, bytes: Uint8Array): void {
    this.writeConfig(offset, bytes);
  }

  #mayWork(): boolean {
    return (this.#status & DRIVER_OK) !== 0 || !this.conduct.waitsForDriverOk || !this.conduct.resets;
  }

  /** Rings that have all that they need begin. */
  #startReady(): void {
    if (!this.#mayWork() || this.#isSuspended) return;
    for (const ring of this.rings) {
      const isReady = ring.enabled || !this.conduct.heedsEnable;
      if (ring.runs || !isReady || ring.addresses === null || ring.size === 0) continue;
      this.startRing(ring);
      ring.pending = true;
    }
  }

  #reset(): void {
    this.#status = 0;
    this.#isSuspended = false;
    for (const ring of this.rings) {
      if (!this.conduct.resets && ring.runs) continue;
      ring.stop();
      ring.addresses = null;
      ring.size = 0;
      ring.base = 0;
      ring.enabled = false;
      ring.pending = false;
    }
    this.acked = 0n;
    this.#asids.fill(0);
    this.settings.reset();
    // IOTLB_PERSIST is not offered: mappings go with the device's state.
    this.#spaces = Array.from({ length: ASIDS }, () => new Iotlb());
  }

  #needStill(request: string): void {
    if ((this.#status & DRIVER_OK) !== 0 && !this.#isSuspended && this.conduct.refusesRingChange)
      throw new DeviceError('EINVAL', `${request} after DRIVER_OK needs a device that is suspended`);
  }

  #spaceOf(ring: Ring): Iotlb {
    return this.#spaces[this.#asids[this.getVringGroup(ring.index)]!]!;
  }
}
