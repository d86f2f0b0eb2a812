import {
  DeviceError,
  featureBits,
  hasFeature,
  type InflightRegion,
  type IotlbMessage,
  type SharedMemory,
  VHOST_FEATURES,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_FEATURES,
  type VhostUserProtocolFeature,
  VIRTIO_FEATURES,
  type VringAddresses,
} from 'stopcopy/uapi';
import { type AddressSpace, DirectSpace, Iotlb, IovaSpace, RING_SPACE } from './address-space.js';
import {
  checkOffered,
  checkSplitSize,
  NET_FEATURES,
  NetBackEnd,
  type NetBackEndOptions,
} from './back-end.js';
import { checkInflight, InflightLog } from './inflight.js';
import type { LogSetting } from './log.js';
import type { RingMode } from './net-device.js';
import type { Ring } from './ring.js';
import { loadSettings, saveSettings } from './state.js';
import { rarpAnnouncement } from './wire.js';

const { ACCESS_PLATFORM, RING_PACKED, NET_GUEST_ANNOUNCE } = VIRTIO_FEATURES;

/** Features that virtio-net offers over vhost-user. */
export const USER_FEATURES: bigint =
  NET_FEATURES |
  featureBits(RING_PACKED, NET_GUEST_ANNOUNCE, VHOST_FEATURES.LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES);

/** Protocol features of the device itself; what is about messages alone is for whoever serves it. */
export const USER_PROTOCOL_FEATURES: bigint = featureBits(
  VHOST_USER_PROTOCOL_FEATURES.MQ,
  VHOST_USER_PROTOCOL_FEATURES.LOG_SHMFD,
  VHOST_USER_PROTOCOL_FEATURES.RARP,
  VHOST_USER_PROTOCOL_FEATURES.REPLY_ACK,
  VHOST_USER_PROTOCOL_FEATURES.CONFIG,
  VHOST_USER_PROTOCOL_FEATURES.INFLIGHT_SHMFD,
  VHOST_USER_PROTOCOL_FEATURES.RESET_DEVICE,
  VHOST_USER_PROTOCOL_FEATURES.DEVICE_STATE,
  VHOST_USER_PROTOCOL_FEATURES.GET_VRING_BASE_INFLIGHT,
);

/**
 * The device behind vhost-user: a ring starts with its first kick, GET_VRING_BASE stops it, and whether it is
 * enabled says if it has effects. While all rings are stopped the device is silent.
 */
export class UserFace extends NetBackEnd {
  readonly interface = 'user';
  readonly #protocolOffered: bigint;
  #protocol = 0n;
  #iotlb = new Iotlb();
  #inflight: InflightRegion | null = null;
  /** Rings that were stopped, and go on. */
  readonly #undead = new Set<Ring>();

  /** @param protocolFeatures of those that the device has; the default is all of them */
  constructor(options: NetBackEndOptions & { readonly protocolFeatures?: bigint }) {
    const { queuePairs = 1, protocolFeatures = USER_PROTOCOL_FEATURES } = options;
    super(options, 2 * queuePairs, USER_FEATURES);
    this.#protocolOffered = USER_PROTOCOL_FEATURES & protocolFeatures;
  }

  protected modeOf(ring: Ring): RingMode {
    return ring.enabled ? 'on' : 'idle';
  }

  protected spaceOf(): AddressSpace {
    const table = () => this.table;
    return this.userAddresses ? new DirectSpace(table) : new IovaSpace(() => this.#iotlb, table);
  }

  protected translatorOf(): LogSetting['translate'] {
    return this.userAddresses ? null : (iova, length) => this.#iotlb.translate(iova, length, 0);
  }

  protected activePairs(): number {
    return this.queuePairs;
  }

  protected isControl(): boolean {
    return false;
  }

  /** Deprecated: all rings are disabled, nothing else is forgotten. */
  override resetOwner(): void {
    for (const ring of this.rings) ring.enabled = false;
  }

  setFeatures(features: bigint): void {
    checkOffered(features, this.offered, this.conduct);
    for (const ring of this.rings) ring.log.settle();
    const turned = (this.acked ^ features) & featureBits(ACCESS_PLATFORM, RING_PACKED);
    this.acked = features;
    if (!hasFeature(features, VHOST_USER_F_PROTOCOL_FEATURES))
      for (const ring of this.rings) ring.enabled = true;
    if (turned === 0n && this.conduct.keepsRingsOnFeatures) return;
    for (const ring of this.rings) {
      if (!ring.runs) continue;
      ring.stop();
      if (!this.conduct.keepsRingsOnFeatures) ring.base = 0;
      this.startRing(ring);
    }
  }

  override getProtocolFeatures(): bigint {
    this.#needBit30();
    return this.#protocolOffered;
  }

  override setProtocolFeatures(features: bigint): void {
    this.#needBit30();
    checkOffered(features, this.#protocolOffered, this.conduct);
    this.#protocol = features;
  }

  setLogBase(log: SharedMemory | null): void {
    if (log === null) throw new DeviceError('ENOTTY', 'vhost-user cannot take a log away');
    for (const ring of this.rings) ring.log.replace(log.bytes);
  }

  setVringNum(index: number, num: number): void {
    const ring = this.ring(index);
    this.#needStopped(ring);
    if (!this.packed) checkSplitSize(num);
    else if (num <= 0 || num > 0x8000) throw new DeviceError('EINVAL', `${num} is no size of a ring`);
    this.#change(ring, () => {
      ring.size = num;
    });
  }

  setVringBase(index: number, base: number): void {
    const ring = this.ring(index);
    this.#needStopped(ring);
    if (!this.packed && base > 0xffff) throw new DeviceError('EINVAL', `${base} is no index of a split ring`);
    this.#change(ring, () => {
      ring.base = base;
    });
  }

  /** Stops the ring. What is in flight is finished, or recorded where that was agreed on. */
  override getVringBase(index: number): number {
    const ring = this.ring(index);
    if (!ring.runs) return ring.position;
    const leaves = this.#hasProtocol('GET_VRING_BASE_INFLIGHT') && ring.inflightLog !== null;
    if (!leaves) this.finishRing(ring);
    const { position } = ring;
    if (this.conduct.stops) {
      ring.stop();
      ring.pending = false;
    } else this.#undead.add(ring);
    return position;
  }

  setVringAddr(index: number, addresses: VringAddresses): void {
    const ring = this.ring(index);
    ring.log.settle();
    this.moveRing(ring, addresses);
    if (!this.conduct.waitsForKick && !ring.runs && ring.size > 0) this.#start(ring);
  }

  override setVringKick(index: number, attached: boolean): void {
    super.setVringKick(index, attached);
    // Nothing can be waited for: the ring is polled from now on.
    if (!attached) this.#start(this.ring(index));
  }

  override setVringEnable(index: number, enabled: boolean): void {
    // QEMU enables its rings behind SET_PROTOCOL_FEATURES, and acknowledges bit 30 when the driver is there.
    if (!this.has(VHOST_USER_F_PROTOCOL_FEATURES) && this.#protocol === 0n)
      throw new DeviceError('EOPNOTSUPP', 'protocol features were not acknowledged');
    const ring = this.ring(index);
    if (enabled && !ring.runs && !this.conduct.remembersEnable) return;
    ring.enabled = enabled;
  }

  override kick(index: number): void {
    const ring = this.ring(index);
    if (!ring.runs) this.#start(ring);
    if (ring.runs) this.kicked(ring);
  }

  override iotlb(message: IotlbMessage): void {
    if (this.userAddresses)
      throw new DeviceError('EOPNOTSUPP', 'VIRTIO_F_ACCESS_PLATFORM was not acknowledged');
    this.#iotlb.take(message, false);
  }

  override getConfig(offset: number, size: number): Uint8Array {
    this.#needProtocol('CONFIG');
    return this.readConfig(offset, size);
  }

  override setConfig(offset: number, bytes: Uint8Array): void {
    this.#needProtocol('CONFIG');
    this.writeConfig(offset, bytes);
  }

  override resetDevice(): void {
    this.#needProtocol('RESET_DEVICE');
    for (const ring of this.rings) ring.enabled = false;
    this.settings.reset();
  }

  override getInflight(queues: number, queueSize: number): InflightRegion {
    this.#needProtocol('INFLIGHT_SHMFD');
    const bytes = checkInflight(queues, queueSize);
    const memory = this.options.allocate?.(bytes) ?? { bytes: new Uint8Array(bytes) };
    return { memory, queues, queueSize };
  }

  override setInflight(region: InflightRegion): void {
    this.#needProtocol('INFLIGHT_SHMFD');
    checkInflight(region.queues, region.queueSize);
    if (this.rings.some(({ runs }) => runs)) throw new DeviceError('EBUSY', 'a ring runs');
    this.#inflight = region;
  }

  override saveState(): Uint8Array {
    this.#needStateTransfer();
    return saveSettings(this.settings);
  }

  override loadState(state: Uint8Array): void {
    this.#needStateTransfer();
    const { load } = this.conduct;
    if (load === 'ignored') return;
    try {
      loadSettings(this.settings, state);
    } catch (error) {
      if (load === 'checked' || !(error instanceof DeviceError)) throw error;
    }
  }

  override sendRarp(mac: Uint8Array): void {
    this.#needProtocol('RARP');
    this.device.port.transmit(rarpAnnouncement(mac), 0);
  }

  /** A ring starts when it has what it needs; else it stays as it is. */
  #start(ring: Ring): void {
    if (ring.runs || ring.addresses === null || ring.size === 0) return;
    this.startRing(ring);
    ring.pending = true;
    ring.inflightLog = null;
    if (this.#inflight === null || this.packed) return;
    ring.inflightLog = new InflightLog(this.#inflight, ring.index);
    this.#takeAgain(ring);
  }

  /**
   * What was in flight is worked on again. This device returns buffers in the order in which it takes them, so what
   * is in flight are the last ones that were taken.
   * @throws DeviceError EINVAL when the record is of a device that does not
   */
  #takeAgain(ring: Ring): void {
    const used = this.userAddresses ? RING_SPACE + ring.addresses!.used : ring.addresses!.used;
    const heads = ring.inflightLog!.recover(ring.space!, used);
    if (heads.length === 0) return;
    ring.stop();
    ring.base = (ring.base - heads.length) & 0xffff;
    this.startRing(ring);
    this.device.takeAgain(ring, heads, this.packetForm());
  }

  #change(ring: Ring, change: () => void): void {
    const goesOn = ring.runs && !this.#undead.delete(ring);
    ring.stop();
    change();
    if (goesOn) this.startRing(ring);
  }

  #hasProtocol(name: VhostUserProtocolFeature): boolean {
    return hasFeature(this.#protocol, VHOST_USER_PROTOCOL_FEATURES[name]);
  }

  #needProtocol(name: VhostUserProtocolFeature): void {
    if (!this.#hasProtocol(name)) throw new DeviceError('EOPNOTSUPP', `${name} was not acknowledged`);
  }

  #needBit30(): void {
    if (!hasFeature(this.offered, VHOST_USER_F_PROTOCOL_FEATURES))
      throw new DeviceError('EOPNOTSUPP', 'there are no protocol features');
  }

  #needStopped(ring: Ring): void {
    if (ring.runs && this.conduct.refusesRingChange && !this.#undead.has(ring))
      throw new DeviceError('EBUSY', `ring ${ring.index} is started`);
  }

  #needStateTransfer(): void {
    this.#needProtocol('DEVICE_STATE');
    if (this.rings.some(({ runs }) => runs))
      throw new DeviceError('EBUSY', 'state is transferred while all rings are stopped');
  }
}
