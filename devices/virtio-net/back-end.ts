import {
  DeviceError,
  featureBits,
  hasFeature,
  type SharedMemory,
  VHOST_FEATURES,
  type VhostBackend,
  type VhostRegion,
  VIRTIO_FEATURES,
  VirtioNetConfig,
  type VringAddresses,
} from 'stopcopy/uapi';
import { type AddressSpace, MemoryTable } from './address-space.js';
import { CONDUCT, type Conduct } from './conduct.js';
import { FormlessBackEnd } from './formless.js';
import type { LogSetting, Observer } from './log.js';
import { NetDevice, type Pace, type PacketForm, type RingMode } from './net-device.js';
import { Ring } from './ring.js';
import { NetSettings } from './settings.js';
import { DeadPort, type Port } from './wire.js';

/** What every face of the device is made with. */
export interface NetBackEndOptions {
  /** As traces spell it. */
  readonly name?: string;
  /** Of what the device draws: how much it does in a turn. */
  readonly seed?: number;
  /** Pairs of receive and transmit queues; default 1. */
  readonly queuePairs?: number;
  /** Features that are offered, of those that the face can offer; the default is all of them. */
  readonly features?: bigint;
  /** Six bytes. */
  readonly mac?: Uint8Array;
  /** What it is plugged into; the default is nothing. */
  readonly port?: Port;
  readonly pace?: Partial<Pace>;
  /** Marks that each ring holds back at most, until its next stop; default 0. */
  readonly logCache?: number;
  readonly observe?: Observer;
  /** Kicks are only noted, and `run()` does the work. */
  readonly deferred?: boolean;
  /** How the device decides; the default is to decide right. */
  readonly conduct?: Conduct;
  /** Memory that others can map, for what the back end itself gives out; the default is memory of this process. */
  readonly allocate?: (bytes: number) => SharedMemory;
}

/** A virtio-net back end in this process. */
export interface VirtioNetBackEnd extends VhostBackend {
  readonly settings: NetSettings;
  readonly rings: readonly Ring[];
  /**
   * Does what there is to do, as far as the pace lets it: kicked queues, frames that wait. What is left is done by
   * the next call.
   * @returns whether anything was done
   */
  run(): boolean;
}

const { LOG_ALL } = VHOST_FEATURES;

/** Features of the device itself that all faces can offer. */
export const NET_FEATURES: bigint = featureBits(
  VIRTIO_FEATURES.NET_GUEST_TSO4,
  VIRTIO_FEATURES.NET_HOST_TSO4,
  VIRTIO_FEATURES.NET_GUEST_CSUM,
  VIRTIO_FEATURES.NET_CSUM,
  VIRTIO_FEATURES.NET_MAC,
  VIRTIO_FEATURES.NET_MRG_RXBUF,
  VIRTIO_FEATURES.NET_MQ,
  VIRTIO_FEATURES.INDIRECT_DESC,
  VIRTIO_FEATURES.EVENT_IDX,
  VIRTIO_FEATURES.VERSION_1,
  VIRTIO_FEATURES.ACCESS_PLATFORM,
);

/** What the three faces share: rings, memory, the device behind them. Requests are theirs. */
export abstract class NetBackEnd extends FormlessBackEnd implements VirtioNetBackEnd {
  readonly name: string;
  readonly queues: number;
  readonly queuePairs: number;
  readonly settings: NetSettings;
  readonly rings: readonly Ring[];
  protected readonly conduct: Conduct;
  protected readonly device: NetDevice;
  protected readonly offered: bigint;
  protected readonly options: NetBackEndOptions;
  protected readonly observer: Observer;
  protected table = new MemoryTable([]);
  /** What the driver and the VMM acknowledged. */
  protected acked = 0n;
  /** Of each running ring, whether LOG_ALL was on when it started. */
  readonly #logAllAtStart = new Map<number, boolean>();
  readonly #logAtStart = new Map<number, boolean>();
  #turn = 0;

  constructor(options: NetBackEndOptions, queues: number, offered: bigint) {
    const { queuePairs = 1, seed = 1, conduct = CONDUCT, observe = {}, logCache = 0 } = options;
    super();
    this.options = options;
    this.name = options.name ?? 'net0';
    this.queuePairs = queuePairs;
    this.queues = queues;
    this.conduct = conduct;
    this.observer = observe;
    this.offered = options.features === undefined ? offered : offered & options.features;
    this.settings = new NetSettings({ mac: options.mac ?? DEFAULT_MAC, queuePairs });
    const { burst = 64, inFlight = 0 } = options.pace ?? {};
    const port = options.port ?? new DeadPort();
    const { settings } = this;
    this.device = new NetDevice({ settings, port, conduct, pace: { burst, inFlight }, seed });
    this.rings = Array.from({ length: queues }, (_, index) => new Ring(index, conduct, observe, logCache));
  }

  /** How a ring is dealt with now. */
  protected abstract modeOf(ring: Ring): RingMode;
  /** Memory by the addresses of this ring's descriptors. */
  protected abstract spaceOf(ring: Ring): AddressSpace;
  /** User addresses of I/O addresses of this ring; null: descriptors carry guest physical addresses. */
  protected abstract translatorOf(ring: Ring): LogSetting['translate'];
  /** Queue pairs that may get frames. */
  protected abstract activePairs(): number;
  /** The device filters by what the control queue says. */
  protected readonly filters: boolean = false;
  protected abstract isControl(ring: Ring): boolean;

  protected has(bit: number): boolean {
    return hasFeature(this.acked, bit);
  }

  /** The ring with this number. @throws DeviceError ENOBUFS */
  protected ring(index: number): Ring {
    const ring = this.rings[index];
    if (ring === undefined)
      throw new DeviceError('ENOBUFS', `there is no ring ${index}; there are ${this.queues}`);
    return ring;
  }

  protected get packed(): boolean {
    return this.has(VIRTIO_FEATURES.RING_PACKED);
  }

  /** Rings are given by user address. */
  protected get userAddresses(): boolean {
    return !this.has(VIRTIO_FEATURES.ACCESS_PLATFORM);
  }

  /** @throws DeviceError what is missing */
  protected startRing(ring: Ring): void {
    ring.stop();
    const logAll = this.has(LOG_ALL);
    this.#logAllAtStart.set(ring.index, logAll);
    this.#logAtStart.set(ring.index, ring.addresses?.log === true);
    ring.start({
      space: this.spaceOf(ring),
      packed: this.packed,
      features: {
        eventIdx: this.has(VIRTIO_FEATURES.EVENT_IDX),
        indirect: this.has(VIRTIO_FEATURES.INDIRECT_DESC),
      },
      userAddresses: this.userAddresses,
      log: this.#logSetting(ring),
    });
  }

  /** The ring is stopped, and where it stood is told. Buffers in flight are finished first. */
  protected stopRing(ring: Ring): void {
    this.finishRing(ring);
    if (this.conduct.stops) ring.stop();
  }

  /** Sends what is in flight; a ring that fails at it is broken. */
  protected finishRing(ring: Ring): void {
    ring.wereInFlight = ring.inFlight.length;
    if (!ring.runs || !this.conduct.finishesInFlight) return;
    this.#guarded(ring, () => {
      this.device.finishAll(ring);
      return true;
    });
  }

  /** A ring that runs is where the addresses say from now on. */
  protected moveRing(ring: Ring, addresses: VringAddresses): void {
    const before = ring.addresses;
    ring.addresses = addresses;
    if (!ring.runs || before === null || sameParts(before, addresses)) return;
    ring.addresses = before;
    this.finishRing(ring);
    ring.stop();
    ring.addresses = addresses;
    this.startRing(ring);
  }

  #logSetting(ring: Ring): LogSetting {
    return {
      gates: () => ({
        logAll: this.has(LOG_ALL),
        ring: ring.addresses?.log === true,
        logAllAtStart: this.#logAllAtStart.get(ring.index) === true,
        ringAtStart: this.#logAtStart.get(ring.index) === true,
      }),
      translate: this.translatorOf(ring),
      table: () => this.table,
      parts: () => ring.addresses!,
    };
  }

  run(): boolean {
    let done = false;
    // No queue comes before the others for ever.
    const first = this.#turn++ % this.rings.length;
    for (let n = 0; n < this.rings.length; n++) {
      const ring = this.rings[(first + n) % this.rings.length]!;
      if (this.#serve(ring)) done = true;
    }
    if (this.#receive()) done = true;
    return done;
  }

  /** What a kick asks for. @throws DeviceError the ring cannot go on */
  protected kicked(ring: Ring): void {
    ring.pending = true;
    if (this.options.deferred === true) return;
    const isReceive = ring.index % 2 === 0 && !this.isControl(ring);
    // A driver that adds as fast as it is served does not hold the process for ever.
    for (let turn = 0; turn < MOST_TURNS; turn++)
      if (!(isReceive ? this.#receive() : this.#serve(ring))) break;
    if (ring.broken !== null) throw ring.broken;
  }

  protected packetForm(): PacketForm {
    const mergeable = this.has(VIRTIO_FEATURES.NET_MRG_RXBUF);
    const header = mergeable || this.has(VIRTIO_FEATURES.VERSION_1) ? 12 : 10;
    return { header, mergeable, filters: this.filters };
  }

  #serve(ring: Ring): boolean {
    const mode = this.#usable(ring);
    if (mode === 'off') return false;
    if (this.isControl(ring)) return ring.pending && this.#guarded(ring, () => this.device.control(ring));
    if (ring.index % 2 === 0) return false;
    return this.#guarded(ring, () => this.device.transmit(ring, mode, this.packetForm()));
  }

  #receive(): boolean {
    let current: Ring | null = null;
    const ringFor = (frame: Uint8Array): Ring | null => {
      current = this.#ringFor(frame);
      return current;
    };
    const work = () => this.device.receive(ringFor, this.packetForm());
    try {
      return work();
    } catch (error) {
      this.#failed(current!, error);
      return false;
    } finally {
      for (const ring of this.rings) ring.tell();
    }
  }

  /** The receive ring for a frame: of the pair that its receiver was seen on, else of any that is used. */
  #ringFor(frame: Uint8Array): Ring | null {
    const pairs = Math.min(this.activePairs(), this.queuePairs);
    const learned = this.settings.pairOf(frame);
    const wanted = learned !== undefined && learned < pairs ? learned : flowOf(frame) % pairs;
    for (let n = 0; n < pairs; n++) {
      const ring = this.rings[2 * ((wanted + n) % pairs)]!;
      const mode = this.#usable(ring);
      if (mode === 'on' || (mode === 'idle' && !this.conduct.heedsEnable)) return ring;
    }
    return null;
  }

  #usable(ring: Ring): RingMode {
    return ring.runs && ring.broken === null ? this.modeOf(ring) : 'off';
  }

  #guarded(ring: Ring, work: () => boolean): boolean {
    try {
      return work();
    } catch (error) {
      this.#failed(ring, error);
      return false;
    } finally {
      ring.tell();
    }
  }

  /** With an IOTLB an address that is not mapped may be mapped later. */
  #failed(ring: Ring, error: unknown): void {
    if (!(error instanceof DeviceError)) throw error;
    if (error.code === 'EFAULT' && this.translatorOf(ring) !== null) return;
    ring.breakOff(error);
  }

  setOwner(): void {}
  getFeatures(): bigint {
    return this.offered;
  }
  setMemTable(regions: readonly VhostRegion[]): void {
    this.table = new MemoryTable(regions);
  }
  getVringBase(index: number): number {
    return this.ring(index).position;
  }
  setVringKick(index: number, attached: boolean): void {
    this.ring(index).hasKick = attached;
  }
  setVringCall(index: number, call: (() => void) | null): void {
    this.ring(index).call = call;
  }
  kick(index: number): void {
    this.kicked(this.ring(index));
  }
  close(): void {
    for (const ring of this.rings) ring.stop();
    this.table = new MemoryTable([]);
  }

  /** Part of the configuration space. @throws DeviceError EINVAL */
  protected readConfig(offset: number, size: number): Uint8Array {
    this.#checkConfig(offset, size);
    return this.settings.config().slice(offset, offset + size);
  }

  /** Only the MAC can be written. @throws DeviceError EINVAL, EACCES */
  protected writeConfig(offset: number, bytes: Uint8Array): void {
    this.#checkConfig(offset, bytes.length);
    const { mac } = VirtioNetConfig.offsets;
    if (offset !== mac || bytes.length > 6)
      throw new DeviceError('EACCES', 'only the MAC of the configuration space can be written');
    this.settings.mac.set(bytes);
  }

  #checkConfig(offset: number, size: number): void {
    if (offset < 0 || size < 0 || offset + size > VirtioNetConfig.size)
      throw new DeviceError('EINVAL', `${size} bytes at ${offset} are not in the configuration space`);
  }
}

/** Turns that one kick gets. */
const MOST_TURNS = 1024;
const DEFAULT_MAC = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);

/** Frames of one flow stay in order on one queue: a number from their addresses and what follows them. */
function flowOf(frame: Uint8Array): number {
  let hash = 0;
  for (let at = 0; at < 18 && at < frame.length; at++) hash = (Math.imul(hash, 31) + frame[at]!) >>> 0;
  return hash;
}

const sameParts = (a: VringAddresses, b: VringAddresses): boolean =>
  a.desc === b.desc && a.avail === b.avail && a.used === b.used;

/** @throws DeviceError EINVAL when it is no size of a split ring */
export function checkSplitSize(num: number): void {
  if (num <= 0 || num > 0x8000 || (num & (num - 1)) !== 0)
    throw new DeviceError('EINVAL', `${num} is no size of a ring`);
}

/** @throws DeviceError EOPNOTSUPP when there are features that are not offered */
export function checkOffered(features: bigint, offered: bigint, conduct: Conduct): void {
  const other = features & ~offered;
  if (other !== 0n && conduct.refusesUnoffered)
    throw new DeviceError('EOPNOTSUPP', `features 0x${other.toString(16)} are not offered`);
}
