import { DeviceError } from '../../src/uapi/device.js';
import { VHOST_BACKEND_FEATURES, VHOST_IOTLB } from '../../src/uapi/vhost.js';
import type {
  IotlbMessage,
  VhostBackend,
  VhostRegion,
  VringAddresses,
} from '../../src/uapi/vhost-backend.js';
import { featureBits, hasFeature, VIRTIO_FEATURES } from '../../src/uapi/virtio.js';
import { type Chain, type DeviceQueue, deviceQueue, type QueueMemory } from '../../src/virtio/index.js';
import { scriptedBackend } from './scripted-backend.js';

interface ToyRing {
  size: number;
  base: number;
  addresses: VringAddresses | null;
  enabled: boolean;
  call: (() => void) | null;
  queue: DeviceQueue | null;
  /** Taken, and not returned yet. */
  held: Chain[];
}

/**
 * A vDPA device of the smallest kind: it works when it is told to, on what is mapped for it and nothing else. What it
 * has taken and not returned when it is suspended it gives back.
 */
export class ToyVdpa {
  readonly backend: VhostBackend;
  readonly rings: ToyRing[];
  /** A device with SUSPEND; else it can only be reset. */
  readonly #suspends: boolean;
  #features = 0n;
  #isRunning = false;
  #regions: readonly VhostRegion[] = [];
  readonly #maps: { asid: number; iova: number; size: number; uaddr: number }[] = [];
  readonly #asids = [0, 0];

  constructor(queues: number, suspends: boolean) {
    this.#suspends = suspends;
    this.rings = Array.from({ length: queues }, () => newRing());
    const { IOTLB_ASID, SUSPEND } = VHOST_BACKEND_FEATURES;
    this.backend = scriptedBackend('vdpa', {
      getFeatures: () => featureBits(VIRTIO_FEATURES.ACCESS_PLATFORM, VIRTIO_FEATURES.EVENT_IDX),
      getBackendFeatures: () => featureBits(IOTLB_ASID, ...(suspends ? [SUSPEND] : [])),
      setFeatures: (features) => {
        this.#features = features;
      },
      setStatus: (status) => {
        if (status === 0) this.#reset();
        this.#isRunning = (status & 4) !== 0;
      },
      suspend: () => this.#halt(),
      setMemTable: (regions) => {
        this.#regions = regions;
      },
      iotlb: (message) => this.#map(message),
      getVringGroup: (index) => (index === queues - 1 ? 1 : 0),
      setGroupAsid: (group, asid) => {
        this.#asids[group] = asid;
      },
      setVringNum: (index, num) => {
        this.rings[index]!.size = num;
      },
      setVringBase: (index, base) => {
        this.rings[index]!.base = base;
      },
      getVringBase: (index) => this.rings[index]!.base,
      setVringAddr: (index, addresses) => {
        this.rings[index]!.addresses = addresses;
      },
      setVringCall: (index, call) => {
        this.rings[index]!.call = call;
      },
      setVringEnable: (index, enabled) => {
        this.rings[index]!.enabled = enabled;
      },
    }).backend;
  }

  /** Takes the next buffer of a ring. */
  take(index: number): Chain | null {
    const ring = this.rings[index]!;
    if (!this.#isRunning || !ring.enabled) return null;
    ring.queue ??= this.#open(index, ring);
    const chain = ring.queue.pop();
    if (chain === null) ring.queue.setNotification(true);
    else ring.held.push(chain);
    return chain;
  }

  /** Returns the oldest buffer that it holds. */
  giveBack(index: number, written: number): void {
    const ring = this.rings[index]!;
    ring.queue!.push([{ chain: ring.held.shift()!, written }]);
    if (ring.queue!.needsCall()) ring.call?.();
  }

  /** Memory by the addresses of a ring's descriptors. */
  memoryOf(index: number): QueueMemory {
    const asid = () => this.#asids[index === this.rings.length - 1 ? 1 : 0]!;
    const each = (address: number, length: number, use: (bytes: Uint8Array, at: number) => void) => {
      for (let n = 0; n < length; n++) use(this.#byte(address + n, asid()), n);
    };
    return {
      read: (address, into) =>
        each(address, into.length, (byte, n) => {
          into[n] = byte[0]!;
        }),
      write: (address, bytes) =>
        each(address, bytes.length, (byte, n) => {
          byte[0] = bytes[n]!;
        }),
    };
  }

  #byte(iova: number, asid: number): Uint8Array {
    const map = this.#maps.find((m) => m.asid === asid && iova >= m.iova && iova < m.iova + m.size);
    const uaddr = map === undefined ? -1 : map.uaddr + iova - map.iova;
    const region = this.#regions.find((r) => uaddr >= r.uaddr && uaddr < r.uaddr + r.size);
    if (region === undefined) throw new DeviceError('EFAULT', `nothing is mapped at 0x${iova.toString(16)}`);
    const at = region.offset + uaddr - region.uaddr;
    return region.memory.bytes.subarray(at, at + 1);
  }

  #open(index: number, { size, base, addresses }: ToyRing): DeviceQueue {
    const eventIdx = hasFeature(this.#features, VIRTIO_FEATURES.EVENT_IDX);
    const features = { eventIdx, indirect: false };
    return deviceQueue(false, { memory: this.memoryOf(index), parts: addresses!, size, base, features });
  }

  #map({ type, asid, iova, size, uaddr }: IotlbMessage): void {
    if (type === VHOST_IOTLB.UPDATE) this.#maps.push({ asid, iova, size, uaddr });
  }

  #halt(): void {
    this.#isRunning = false;
    for (const ring of this.rings) {
      if (ring.queue === null) continue;
      ring.queue.unpop(ring.held.length);
      ring.held = [];
      ring.base = ring.queue.base;
    }
  }

  #reset(): void {
    if (!this.#suspends) this.#halt();
    for (const [index] of this.rings.entries()) this.rings[index] = newRing();
    this.#maps.length = 0;
    this.#asids.fill(0);
  }
}

const newRing = (): ToyRing => ({
  size: 0,
  base: 0,
  addresses: null,
  enabled: false,
  call: null,
  queue: null,
  held: [],
});
