import type { AllocatedMemory, VhostTarget } from '../../target/vhost-target.js';
import type { TraceEvent } from '../../trace/event.js';
import { VHOST_ACCESS, VHOST_BACKEND_FEATURES, VHOST_FEATURES, VHOST_IOTLB } from '../../uapi/vhost.js';
import type { SharedMemory, VhostBackend } from '../../uapi/vhost-backend.js';
import { vhostLogBytes } from '../../uapi/vhost-log.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../../uapi/vhost-user.js';
import { featureBits, hasFeature, VIRTIO_FEATURES, VIRTIO_STATUS } from '../../uapi/virtio.js';
import { recordedBackend } from '../../vhost/index.js';
import { GuestMemory } from './guest-memory.js';
import { type PageRun, takeBits } from './page-runs.js';
import { TestQueue } from './test-queue.js';

/** The host and the device of the events of a run. */
export const RUN_HOST = 'test';

/** What a case found wrong that no rule of the trace says. */
export class CaseFailure extends Error {
  override readonly name = 'CaseFailure';
}

/** A case that this back end has nothing for. The message says what is missing. */
export class CaseSkipped extends Error {
  override readonly name = 'CaseSkipped';
}

/** Features of a driver that can be tried with any back end. */
const DRIVER_FEATURES = featureBits(
  VIRTIO_FEATURES.VERSION_1,
  VIRTIO_FEATURES.NET_MRG_RXBUF,
  VIRTIO_FEATURES.ACCESS_PLATFORM,
  VIRTIO_FEATURES.EVENT_IDX,
  VIRTIO_FEATURES.INDIRECT_DESC,
);

/** Protocol features of vhost-user that cases are made for. */
const PROTOCOL_FEATURES = featureBits(
  VHOST_USER_PROTOCOL_FEATURES.MQ,
  VHOST_USER_PROTOCOL_FEATURES.LOG_SHMFD,
  VHOST_USER_PROTOCOL_FEATURES.RARP,
  VHOST_USER_PROTOCOL_FEATURES.REPLY_ACK,
  VHOST_USER_PROTOCOL_FEATURES.DEVICE_STATE,
);

const BACKEND_FEATURES = featureBits(
  VHOST_BACKEND_FEATURES.IOTLB_MSG_V2,
  VHOST_BACKEND_FEATURES.SUSPEND,
  VHOST_BACKEND_FEATURES.RESUME,
);

/** How long a back end that works by itself may take for a few frames, in milliseconds. */
const PATIENCE = 3000;
/** How long it is watched for what it must not do. */
const WATCH = 50;

export interface RigOptions {
  readonly target: VhostTarget;
  emit(event: TraceEvent): void;
  /** Descriptors of each ring; default 16. */
  readonly ringSize?: number;
  /** Negotiate packed rings. */
  readonly packed?: boolean;
  /** Where the used parts of split rings begin in their page; default 0. */
  readonly usedAt?: number;
}

/** The switches of the log, and where used rings are logged: default all on, and where the rings are. */
export interface LogSwitches {
  /** VHOST_F_LOG_ALL. */
  readonly buffers?: boolean;
  /** VHOST_VRING_F_LOG of all rings. */
  readonly rings?: boolean;
  /** log_guest_addr of all rings. */
  readonly logGuestAddr?: number;
}
const OFF: LogSwitches = { buffers: false, rings: false };

/** One back end with guest memory, a receive and a transmit queue: what cases are made of. */
export class VhostRig {
  readonly target: VhostTarget;
  readonly backend: VhostBackend;
  readonly memory: GuestMemory;
  readonly queues: readonly TestQueue[];
  /** What was offered, and what was negotiated. */
  offered = 0n;
  features = 0n;
  protocolFeatures = 0n;
  backendFeatures = 0n;
  #log: AllocatedMemory | null = null;
  #switches = OFF;
  #isOpen = true;
  readonly #allocated: AllocatedMemory[];
  readonly #options: RigOptions;

  private constructor(options: RigOptions, backend: VhostBackend, memory: AllocatedMemory) {
    this.#options = options;
    this.target = options.target;
    this.backend = recordedBackend(backend, { host: RUN_HOST, emit: options.emit });
    this.memory = new GuestMemory(memory);
    this.#allocated = [memory];
    const size = options.ringSize ?? 16;
    const setup = { memory: this.memory, size, packed: options.packed === true, usedAt: options.usedAt };
    this.queues = [0, 1].map((index) => new TestQueue(index, setup));
  }

  /** Opens the target. @throws TargetError when it cannot be used */
  static async open(options: RigOptions): Promise<VhostRig> {
    const backend = await options.target.open();
    const via = options.target.interface;
    options.emit({ kind: 'vhost_open', host: RUN_HOST, device: backend.name, interface: via });
    return new VhostRig(options, backend, options.target.allocate(GuestMemory.bytes));
  }

  /** Ends this connection, and opens the target again, with memory and rings of its own. */
  async next(): Promise<VhostRig> {
    await this.close();
    return VhostRig.open(this.#options);
  }

  get receive(): TestQueue {
    return this.queues[0]!;
  }

  get transmit(): TestQueue {
    return this.queues[1]!;
  }

  /** Owner, features and memory table: all that comes before rings. @throws CaseSkipped when a feature is missing */
  async negotiate(): Promise<void> {
    const { backend } = this;
    await backend.setOwner();
    if (backend.interface === 'vdpa') {
      await backend.setStatus(0);
      await backend.setStatus(VIRTIO_STATUS.ACKNOWLEDGE | VIRTIO_STATUS.DRIVER);
    }
    this.offered = await backend.getFeatures();
    this.#need(VIRTIO_FEATURES.VERSION_1, 'VIRTIO_F_VERSION_1');
    if (this.#options.packed) this.#need(VIRTIO_FEATURES.RING_PACKED, 'VIRTIO_F_RING_PACKED');
    const packed = this.#options.packed ? featureBits(VIRTIO_FEATURES.RING_PACKED) : 0n;
    const platform = backend.interface === 'vdpa' ? 0n : featureBits(VIRTIO_FEATURES.ACCESS_PLATFORM);
    this.features = this.offered & ((DRIVER_FEATURES & ~platform) | packed);
    if (backend.interface === 'user') await this.#negotiateProtocol();
    await this.#setFeatures();
    await backend.setMemTable(this.memory.regions);
    if (backend.interface === 'vdpa') await this.#finishStatus();
    for (const queue of this.queues) queue.use(this.features);
  }

  async #negotiateProtocol(): Promise<void> {
    if (!hasFeature(this.offered, VHOST_USER_F_PROTOCOL_FEATURES)) return;
    this.features |= featureBits(VHOST_USER_F_PROTOCOL_FEATURES);
    this.protocolFeatures = (await this.backend.getProtocolFeatures()) & PROTOCOL_FEATURES;
    await this.backend.setProtocolFeatures(this.protocolFeatures);
  }

  async #finishStatus(): Promise<void> {
    const { backend } = this;
    this.backendFeatures = (await backend.getBackendFeatures()) & BACKEND_FEATURES;
    await backend.setBackendFeatures(this.backendFeatures);
    const { ACKNOWLEDGE, DRIVER, FEATURES_OK } = VIRTIO_STATUS;
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    for (const { gpa, size, uaddr } of this.memory.regions)
      await backend.iotlb({
        type: VHOST_IOTLB.UPDATE,
        asid: 0,
        iova: gpa,
        size,
        uaddr,
        perm: VHOST_ACCESS.RW,
      });
  }

  #need(bit: number, name: string): void {
    if (!hasFeature(this.offered, bit)) throw new CaseSkipped(`the back end does not offer ${name}`);
  }

  /** Skips the case unless the protocol feature was negotiated. */
  needProtocol(bit: number, name: string): void {
    if (!hasFeature(this.protocolFeatures, bit))
      throw new CaseSkipped(`the back end does not offer VHOST_USER_PROTOCOL_F_${name}`);
  }

  /** Skips the case unless the backend feature was negotiated. */
  needBackendFeature(bit: number, name: string): void {
    if (!hasFeature(this.backendFeatures, bit))
      throw new CaseSkipped(`the back end does not offer VHOST_BACKEND_F_${name}`);
  }

  /** Skips the case unless frames can stand in several buffers. */
  needMergeable(): void {
    this.#need(VIRTIO_FEATURES.NET_MRG_RXBUF, 'VIRTIO_NET_F_MRG_RXBUF');
  }

  /** Skips the case unless rings of vhost-user can be enabled one by one. */
  needProtocolFeatures(): void {
    this.#need(VHOST_USER_F_PROTOCOL_FEATURES, 'VHOST_USER_F_PROTOCOL_FEATURES');
  }

  #setFeatures(): Promise<void> | void {
    const { buffers = true } = this.#switches;
    const log = buffers ? featureBits(VHOST_FEATURES.LOG_ALL) : 0n;
    return this.backend.setFeatures(this.features | log);
  }

  /** Sets the rings up and starts them, each where it stands. */
  async start(): Promise<void> {
    for (const queue of this.queues) await this.attach(queue);
    await this.enable();
    for (const queue of this.queues) this.backend.kick(queue.index);
    await this.settle();
  }

  /** Size, base and addresses of a ring. */
  async setUp(queue: TestQueue): Promise<void> {
    await this.backend.setVringNum(queue.index, queue.size);
    await this.backend.setVringBase(queue.index, queue.base);
    await this.#setAddr(queue);
  }

  /** As `setUp`, and the descriptors of the ring. */
  async attach(queue: TestQueue): Promise<void> {
    await this.setUp(queue);
    await this.backend.setVringKick(queue.index, true);
    await this.backend.setVringCall(queue.index, () => {});
  }

  /** What lets rings run once they are set up. */
  async enable(): Promise<void> {
    const { backend } = this;
    if (backend.interface === 'kernel')
      for (const { index } of this.queues) await backend.setBackend(index, true);
    else if (backend.interface === 'vdpa' || hasFeature(this.features, VHOST_USER_F_PROTOCOL_FEATURES))
      for (const { index } of this.queues) await backend.setVringEnable(index, true);
    if (backend.interface !== 'vdpa') return;
    const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  }

  #setAddr(queue: TestQueue): Promise<void> | void {
    const { desc, avail, used } = queue.parts;
    const { rings = true, logGuestAddr = used } = this.#switches;
    // vhost-vdpa knows rings by IOVA, which is the guest physical address here.
    const at = (address: number) =>
      this.backend.interface === 'vdpa' ? address : this.memory.uaddr(address);
    return this.backend.setVringAddr(queue.index, {
      desc: at(desc),
      avail: at(avail),
      used: at(used),
      logGuestAddr,
      log: rings,
    });
  }

  /** Stops the rings and learns where they stand. */
  async stop(): Promise<void> {
    const { backend } = this;
    if (backend.interface === 'kernel')
      for (const { index } of this.queues) await backend.setBackend(index, false);
    if (backend.interface === 'vdpa' && hasFeature(this.backendFeatures, VHOST_BACKEND_FEATURES.SUSPEND))
      await backend.suspend();
    for (const queue of this.queues) queue.base = await backend.getVringBase(queue.index);
  }

  /** Whether dirty logging can be tried. @throws CaseSkipped when not */
  needLog(): void {
    if (this.backend.interface === 'vdpa') throw new CaseSkipped('vhost-vdpa has no dirty log');
    this.#need(VHOST_FEATURES.LOG_ALL, 'VHOST_F_LOG_ALL');
    if (this.backend.interface === 'user')
      this.needProtocol(VHOST_USER_PROTOCOL_FEATURES.LOG_SHMFD, 'LOG_SHMFD');
  }

  /** The order of a VMM: the log, then the features, then the rings. What changed before does not count. */
  async startLog(switches: LogSwitches = {}): Promise<void> {
    this.memory.changes();
    await this.#newLog();
    await this.#switch(switches);
  }

  stopLog(): Promise<void> {
    return this.#switch(OFF);
  }

  async #switch(switches: LogSwitches): Promise<void> {
    this.#switches = switches;
    await this.#setFeatures();
    for (const queue of this.queues) await this.#setAddr(queue);
  }

  /** A new log in place of the old one, which is read afterwards. */
  async swapLog(): Promise<void> {
    const old = this.#log!;
    await this.#newLog();
    await this.settle();
    this.#takeBits(old, false);
    this.#tellChanges();
  }

  async #newLog(): Promise<void> {
    const log = this.target.allocate(Math.ceil(vhostLogBytes(this.memory.end) / 4096) * 4096);
    this.#allocated.push(log);
    await this.backend.setLogBase(log);
    this.#log = log;
  }

  /**
   * Tells what the log has, and clears it; and what the back end has changed since the last time. While rings run the
   * log comes first: of what is changed between the two the next reading has to know. The final one comes last of all.
   */
  async readLog(final: boolean): Promise<void> {
    await this.settle();
    if (final) this.#tellChanges();
    this.#takeBits(this.#log!, final);
    if (!final) this.#tellChanges();
  }

  /** What the log has, whatever was changed; clears the log. */
  takeLog(final: boolean): PageRun[] {
    return this.#takeBits(this.#log!, final);
  }

  #tellChanges(): void {
    const pages = this.memory.changes();
    this.#options.emit({ kind: 'vhost_page_change', host: RUN_HOST, device: this.backend.name, pages });
  }

  #takeBits({ bytes }: SharedMemory, final: boolean): PageRun[] {
    const pages = takeBits(bytes);
    this.#options.emit({ kind: 'vhost_log_read', host: RUN_HOST, device: this.backend.name, pages, final });
    return pages;
  }

  /** Sends frames and waits until the back end has used their buffers. @returns how many it has */
  async send(frames: number): Promise<number> {
    let done = 0;
    for (let offered = 0; done < frames; ) {
      while (offered < frames && this.transmit.offerFrame(offered)) offered++;
      if (this.transmit.needsKick()) this.backend.kick(this.transmit.index);
      const used = await this.#some(() => this.transmit.collect().length);
      if (used === 0) break;
      done += used;
    }
    return done;
  }

  /** Makes frames available, and kicks: nobody waits for them. */
  offerFrames(count: number): void {
    for (let n = 0; n < count; n++) this.transmit.offerFrame(n);
    this.backend.kick(this.transmit.index);
  }

  /** Waits until buffers of frames were used. @returns how many were */
  async used(least: number): Promise<number> {
    let done = 0;
    for (let more = 1; done < least && more > 0; done += more)
      more = await this.#some(() => this.transmit.collect().length);
    return done;
  }

  /** Gives receive buffers of pieces of so many bytes, as many as find room. */
  offerBuffers(count: number, pieces: readonly number[] = [2048]): void {
    for (let n = 0; n < count; n++) if (!this.receive.offerBuffer(pieces)) break;
    this.kickReceive();
  }

  kickReceive(): void {
    if (this.receive.needsKick()) this.backend.kick(this.receive.index);
  }

  /** Waits for received frames. @returns their bytes, without the header */
  async received(least: number, patience = PATIENCE): Promise<Uint8Array[]> {
    const frames: Uint8Array[] = [];
    const deadline = this.#deadline(patience);
    do {
      await this.settle();
      frames.push(...this.receive.collectFrames());
    } while (frames.length < least && performance.now() < deadline);
    return frames;
  }

  async #some(count: () => number): Promise<number> {
    const deadline = this.#deadline(PATIENCE);
    for (;;) {
      await this.settle();
      const some = count();
      if (some > 0 || performance.now() >= deadline) return some;
    }
  }

  /** A back end of this process has done all that it will when it was settled. */
  #deadline(patience: number): number {
    return this.target.settle === undefined ? performance.now() + patience : 0;
  }

  /** Time for what must not happen. */
  async pause(): Promise<void> {
    if (this.target.settle === undefined) await new Promise((resolve) => setTimeout(resolve, WATCH));
    await this.settle();
  }

  /** Gives the back end time to work. */
  async settle(): Promise<void> {
    if (this.target.settle !== undefined) await this.target.settle();
    else await new Promise((resolve) => setTimeout(resolve, 2));
  }

  /** Ends the connection; memory goes with it. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      await this.backend.close();
    } finally {
      for (const memory of this.#allocated) memory.free();
    }
  }
}
