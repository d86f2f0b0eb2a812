import { DeviceError, splitBytes, USED, type VringAddresses } from 'stopcopy/uapi';
import type { Chain, DeviceQueue, QueueFeatures, QueueMemory } from 'stopcopy/virtio';
import { type AddressSpace, RING_SPACE, readFrom, writeTo } from './address-space.js';
import type { Conduct } from './conduct.js';
import type { InflightLog } from './inflight.js';
import { type LogSetting, type Observer, RingLog } from './log.js';
import { openQueue } from './queues.js';

/** A buffer to transmit that was taken and not returned yet, and the frame in it. */
export interface InFlight {
  readonly chain: Chain;
  /** Null: it is none, or the ring was disabled when it was taken. */
  readonly frame: Uint8Array | null;
}

/** What a ring is started with. */
export interface RingStart {
  readonly space: AddressSpace;
  readonly packed: boolean;
  readonly features: QueueFeatures;
  /** Addresses of the ring are user addresses; else they are addresses of `space`. */
  readonly userAddresses: boolean;
  readonly log: LogSetting;
}

/** One virtqueue of the device, whoever set it up: what requests say of it, and the queue while it runs. */
export class Ring {
  readonly index: number;
  readonly log: RingLog;
  readonly #conduct: Conduct;
  readonly #observer: Observer;
  size = 0;
  /** Where it goes on when it starts; while it runs, its queue knows. */
  base = 0;
  addresses: VringAddresses | null = null;
  hasKick = false;
  call: (() => void) | null = null;
  enabled = false;
  /** Somebody kicked, and what was there has not been processed to its end. */
  pending = false;
  broken: DeviceError | null = null;
  queue: DeviceQueue | null = null;
  space: AddressSpace | null = null;
  readonly inFlight: InFlight[] = [];
  /** Where requests in flight are recorded, when somebody gave the memory for it. */
  inflightLog: InflightLog | null = null;
  /** Buffers in flight when the ring was last about to stop. */
  wereInFlight = 0;
  /** Buffers taken and returned since the ring was started; they stay when it stops. */
  counts: { readonly taken: number; readonly returned: number } = { taken: 0, returned: 0 };
  /** Of the buffers that were taken, those that an earlier start had taken already. */
  takenBefore = 0;
  #startedAt = 0;

  constructor(index: number, conduct: Conduct, observer: Observer, cache: number) {
    this.index = index;
    this.#conduct = conduct;
    this.#observer = observer;
    this.log = new RingLog(index, conduct, observer, cache);
  }

  get runs(): boolean {
    return this.queue !== null;
  }

  /** Next available index, or both indices of a packed ring, as GET_VRING_BASE tells it. */
  get position(): number {
    const base = this.queue?.base ?? this.base;
    return this.#conduct.baseOf(base, { inFlight: this.wereInFlight, wasBase: this.#startedAt });
  }

  /**
   * The queue is there from now on.
   * @throws DeviceError EINVAL when size or addresses are missing; EFAULT when they lead nowhere
   */
  start({ space, packed, features, userAddresses, log }: RingStart): void {
    const { addresses } = this;
    if (addresses === null) throw new DeviceError('EINVAL', `ring ${this.index} has no addresses`);
    if (this.size === 0) throw new DeviceError('EINVAL', `ring ${this.index} has no size`);
    const place = userAddresses ? RING_SPACE : 0;
    const parts = {
      desc: place + addresses.desc,
      avail: place + addresses.avail,
      used: place + addresses.used,
    };
    this.log.start(log, USED.ring + 8 * this.size);
    this.space = space;
    this.broken = null;
    this.counts = { taken: 0, returned: 0 };
    this.wereInFlight = 0;
    this.takenBefore = 0;
    this.#startedAt = this.base;
    this.queue = openQueue(packed, {
      memory: memoryOf(space),
      parts,
      size: this.size,
      features,
      base: this.base,
      wrote: (what, offset, length) => this.log.ring(what, offset, length),
    });
  }

  /** The queue is no more; where it stood stays. */
  stop(): void {
    if (this.queue === null) return;
    this.base = this.queue.base;
    this.queue = null;
    this.space = null;
    this.inFlight.length = 0;
    this.log.stop();
  }

  /** Tells how far the ring has come, when it has moved. */
  tell(): void {
    const { queue, counts } = this;
    if (queue === null) return;
    const { returned } = queue;
    const taken = queue.taken - this.takenBefore;
    if (taken === counts.taken && returned === counts.returned) return;
    this.counts = { taken, returned };
    this.#observer.progress?.(this.index, taken, returned);
  }

  /** The ring cannot go on until it is started again. */
  breakOff(error: DeviceError): void {
    this.broken = error;
    this.#observer.broken?.(this.index, error);
  }
}

const memoryOf = (space: AddressSpace): QueueMemory => ({
  read: (address, into) => readFrom(space, address, into),
  write: (address, bytes) => writeTo(space, address, bytes),
});

/** Bytes of the parts of a ring, by which it is checked that they are mapped. */
export function partsOf(
  { desc, avail, used }: VringAddresses,
  size: number,
  packed: boolean,
): { readonly address: number; readonly length: number; readonly writes: boolean }[] {
  if (packed) {
    return [
      { address: desc, length: splitBytes.desc(size), writes: true },
      { address: avail, length: 4, writes: false },
      { address: used, length: 4, writes: true },
    ];
  }
  return [
    { address: desc, length: splitBytes.desc(size), writes: false },
    { address: avail, length: splitBytes.avail(size), writes: false },
    { address: used, length: splitBytes.used(size), writes: true },
  ];
}
