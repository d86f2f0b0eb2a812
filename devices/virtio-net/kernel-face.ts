import {
  DeviceError,
  featureBits,
  hasFeature,
  type IotlbMessage,
  type SharedMemory,
  VHOST_BACKEND_FEATURES,
  VHOST_FEATURES,
  VHOST_IOTLB,
  type VhostRegion,
  VIRTIO_FEATURES,
  type VringAddresses,
} from 'stopcopy/uapi';
import { type AddressSpace, DirectSpace, Iotlb, IovaSpace, MemoryTable } from './address-space.js';
import { checkOffered, checkSplitSize, NetBackEnd, type NetBackEndOptions } from './back-end.js';
import type { LogSetting } from './log.js';
import type { RingMode } from './net-device.js';
import type { Ring } from './ring.js';

const { ACCESS_PLATFORM, INDIRECT_DESC, EVENT_IDX, VERSION_1, NET_MRG_RXBUF } = VIRTIO_FEATURES;
const { LOG_ALL, NET_VIRTIO_NET_HDR } = VHOST_FEATURES;

/** What vhost-net offers. What is about packets alone is between guest and tap device. */
export const KERNEL_FEATURES: bigint = featureBits(
  INDIRECT_DESC,
  EVENT_IDX,
  VERSION_1,
  ACCESS_PLATFORM,
  NET_MRG_RXBUF,
  LOG_ALL,
  NET_VIRTIO_NET_HDR,
);
/** Regions of a memory table (`max_mem_regions` of the vhost module). */
const MOST_REGIONS = 64;
const BACKEND_FEATURES = featureBits(VHOST_BACKEND_FEATURES.IOTLB_MSG_V2);

/**
 * The device as `/dev/vhost-net` behaves: one pair of rings a file, started and stopped by
 * VHOST_NET_SET_BACKEND, with the errnos of `drivers/vhost` (Linux 7.2).
 */
export class KernelFace extends NetBackEnd {
  readonly interface = 'kernel';
  #hasOwner = false;
  #iotlb: Iotlb | null = null;
  readonly #attached = new Set<number>();

  /** @throws RangeError for more than one queue pair */
  constructor(options: NetBackEndOptions) {
    const { queuePairs = 1 } = options;
    if (queuePairs !== 1) throw new RangeError(`vhost-net has one queue pair a file, not ${queuePairs}`);
    super(options, 2, KERNEL_FEATURES);
  }

  protected modeOf(ring: Ring): RingMode {
    return this.#attached.has(ring.index) || !this.conduct.stops ? 'on' : 'off';
  }

  protected spaceOf(): AddressSpace {
    const table = () => this.table;
    return this.#iotlb === null ? new DirectSpace(table) : new IovaSpace(() => this.#iotlb ?? NOTHING, table);
  }

  protected translatorOf(): LogSetting['translate'] {
    if (this.#iotlb === null) return null;
    return (iova, length) => (this.#iotlb ?? NOTHING).translate(iova, length, 0);
  }

  protected activePairs(): number {
    return 1;
  }

  protected isControl(): boolean {
    return false;
  }

  override setOwner(): void {
    if (this.#hasOwner) throw new DeviceError('EBUSY', 'the device has an owner');
    this.#hasOwner = true;
  }

  override resetOwner(): void {
    this.#needOwner();
    for (const ring of this.rings) {
      this.#detach(ring);
      ring.stop();
      ring.addresses = null;
      ring.log.replace(null);
    }
    this.table = new MemoryTable([]);
    this.#iotlb = null;
    this.#hasOwner = false;
  }

  setFeatures(features: bigint): void {
    checkOffered(features, this.offered, this.conduct);
    const logs = hasFeature(features, LOG_ALL);
    if (logs && this.conduct.refusesMissingLog && this.#running().some(({ log }) => log.log === null))
      throw new DeviceError('EFAULT', 'a ring that runs has no log');
    for (const ring of this.rings) ring.log.settle();
    const before = this.acked;
    this.acked = features;
    const translates = hasFeature(features, ACCESS_PLATFORM);
    if (translates === (this.#iotlb !== null) && this.conduct.keepsRingsOnFeatures) return;
    if (translates !== (this.#iotlb !== null)) this.#iotlb = translates ? new Iotlb() : null;
    const isNew = (before ^ features) !== 0n;
    for (const ring of this.#running()) {
      const { position } = ring;
      ring.stop();
      ring.base = this.conduct.keepsRingsOnFeatures || !isNew ? position : 0;
      this.startRing(ring);
    }
  }

  override getBackendFeatures(): bigint {
    return BACKEND_FEATURES;
  }

  override setBackendFeatures(features: bigint): void {
    checkOffered(features, BACKEND_FEATURES, this.conduct);
  }

  override setMemTable(regions: readonly VhostRegion[]): void {
    this.#needOwner();
    if (regions.length > MOST_REGIONS)
      throw new DeviceError('E2BIG', `${regions.length} regions; at most ${MOST_REGIONS} are taken`);
    super.setMemTable(regions);
  }

  setLogBase(log: SharedMemory | null): void {
    this.#needOwner();
    let refused = 0;
    for (const ring of this.rings) {
      // Each ring has the base of its own, so the others keep the new one when this one does not take it.
      if (log === null && this.#attached.has(ring.index) && this.#logs(ring)) refused++;
      else ring.log.replace(log?.bytes ?? null);
    }
    if (refused > 0) throw new DeviceError('EFAULT', `${refused} rings that log would have no log`);
  }

  setVringNum(index: number, num: number): void {
    this.#needOwner();
    const ring = this.ring(index);
    this.#needDetached(ring);
    checkSplitSize(num);
    this.#change(ring, () => {
      ring.size = num;
    });
  }

  setVringBase(index: number, base: number): void {
    this.#needOwner();
    const ring = this.ring(index);
    this.#needDetached(ring);
    if (base > 0xffff) throw new DeviceError('EINVAL', `${base} is no index of a split ring`);
    this.#change(ring, () => {
      ring.base = base;
    });
  }

  override getVringBase(index: number): number {
    this.#needOwner();
    return super.getVringBase(index);
  }

  setVringAddr(index: number, addresses: VringAddresses): void {
    this.#needOwner();
    const ring = this.ring(index);
    const { used, avail, logGuestAddr } = addresses;
    if (used % 4 !== 0 || logGuestAddr % 4 !== 0 || avail % 2 !== 0)
      throw new DeviceError('EINVAL', `the addresses of ring ${index} are not aligned`);
    if (this.#attached.has(index) && addresses.log && this.conduct.refusesMissingLog && ring.log.log === null)
      throw new DeviceError('EINVAL', `ring ${index} runs and has no log`);
    ring.log.settle();
    this.moveRing(ring, addresses);
  }

  override setVringKick(index: number, attached: boolean): void {
    this.#needOwner();
    super.setVringKick(index, attached);
  }

  override setVringCall(index: number, call: (() => void) | null): void {
    this.#needOwner();
    super.setVringCall(index, call);
  }

  override setBackend(index: number, attached: boolean): void {
    this.#needOwner();
    const ring = this.ring(index);
    if (!attached) {
      this.#detach(ring);
      return;
    }
    if (this.#attached.has(index)) return;
    if (this.conduct.refusesMissingLog && this.#logs(ring) && ring.log.log === null)
      throw new DeviceError('EFAULT', `ring ${index} logs and has no log`);
    this.startRing(ring);
    this.#attached.add(index);
    // The driver hears that it is to kick; buffers that are there already are seen.
    ring.queue!.setNotification(true);
    ring.pending = true;
  }

  override iotlb(message: IotlbMessage): void {
    this.#needOwner();
    if (message.asid !== 0) throw new DeviceError('EINVAL', 'vhost-net has one address space');
    if (this.#iotlb === null)
      throw new DeviceError('EFAULT', 'VIRTIO_F_ACCESS_PLATFORM was not acknowledged');
    if (message.type === VHOST_IOTLB.BATCH_BEGIN || message.type === VHOST_IOTLB.BATCH_END)
      throw new DeviceError('EINVAL', 'vhost-net takes no batches');
    this.#iotlb.take(message, false);
  }

  override close(): void {
    for (const ring of this.rings) this.#detach(ring);
    super.close();
  }

  #running(): Ring[] {
    return this.rings.filter(({ index }) => this.#attached.has(index));
  }

  #logs(ring: Ring): boolean {
    return this.has(LOG_ALL) || ring.addresses?.log === true;
  }

  #detach(ring: Ring): void {
    if (!this.#attached.has(ring.index)) return;
    this.stopRing(ring);
    this.#attached.delete(ring.index);
  }

  #needOwner(): void {
    if (!this.#hasOwner) throw new DeviceError('EPERM', 'SET_OWNER comes first');
  }

  #needDetached(ring: Ring): void {
    if (this.#attached.has(ring.index) && this.conduct.refusesRingChange)
      throw new DeviceError('EBUSY', `ring ${ring.index} is attached`);
  }

  /** A ring that runs although it should not goes on with what it was told. */
  #change(ring: Ring, change: () => void): void {
    const runs = this.#attached.has(ring.index) && ring.runs;
    if (ring.runs) ring.stop();
    change();
    if (runs) this.startRing(ring);
  }
}

const NOTHING = new Iotlb();
