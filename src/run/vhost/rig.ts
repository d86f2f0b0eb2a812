import type { AllocatedMemory, VhostTarget } from '../../target/vhost-target.js';
import type { TraceEvent } from '../../trace/event.js';
import { VHOST_ACCESS, VHOST_BACKEND_FEATURES, VHOST_FEATURES, VHOST_IOTLB } from '../../uapi/vhost.js';
import type { SharedMemory, VhostBackend } from '../../uapi/vhost-backend.js';
import { vhostLogBytes } from '../../uapi/vhost-log.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../../uapi/vhost-user.js';
import { featureBits, hasFeature, VIRTIO_FEATURES, VIRTIO_STATUS } from '../../uapi/virtio.js';
import { recordedBackend } from '../../vhost/index.js';
import { addPage, GuestMemory, type PageRun } from './guest-memory.js';
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

/** How long a back end may take for a few frames, in milliseconds. */
const PATIENCE = 3000;

export interface RigOptions {
  readonly target: VhostTarget;
  emit(event: TraceEvent): void;
  /** Descriptors of each ring; default 16. */
  readonly ringSize?: number;
  /** Negotiate packed rings. */
  readonly packed?: boolean;
}

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
  running = false;
  #log: AllocatedMemory | null = null;
  #logging = false;
  readonly #allocated: AllocatedMemory[];
  readonly #options: RigOptions;

  private constructor(options: RigOptions, backend: VhostBackend, memory: AllocatedMemory) {
    this.#options = options;
    this.target = options.target;
    this.backend = recordedBackend(backend, { host: RUN_HOST, emit: options.emit });
    this.memory = new GuestMemory(memory);
    this.#allocated = [memory];
    const size = options.ringSize ?? 16;
    const packed = options.packed === true;
    this.queues = [0, 1].map((index) => new TestQueue(index, { memory: this.memory, size, packed }));
  }

  /** Opens the target. @throws TargetError when it cannot be used */
  static async open(options: RigOptions): Promise<VhostRig> {
    const backend = await options.target.open();
    const via = options.target.interface;
    options.emit({ kind: 'vhost_open', host: RUN_HOST, device: backend.name, interface: via });
    return new VhostRig(options, backend, options.target.allocate(GuestMemory.bytes));
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

  #setFeatures(): Promise<void> | void {
    const log = this.#logging ? featureBits(VHOST_FEATURES.LOG_ALL) : 0n;
    return this.backend.setFeatures(this.features | log);
  }

  /** Sets the rings up and starts them, each where it stands. */
  async start(): Promise<void> {
    const { backend } = this;
    for (const queue of this.queues) {
      await backend.setVringNum(queue.index, queue.size);
      await backend.setVringBase(queue.index, queue.base);
      await this.#setAddr(queue);
      await backend.setVringKick(queue.index, true);
      await backend.setVringCall(queue.index, () => {});
    }
    await this.enable();
    this.running = true;
    for (const queue of this.queues) backend.kick(queue.index);
    await this.settle();
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
    // vhost-vdpa knows rings by IOVA, which is the guest physical address here.
    const at = (address: number) =>
      this.backend.interface === 'vdpa' ? address : this.memory.uaddr(address);
    return this.backend.setVringAddr(queue.index, {
      desc: at(desc),
      avail: at(avail),
      used: at(used),
      logGuestAddr: used,
      log: this.#logging && this.backend.interface !== 'vdpa',
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
    this.running = false;
  }

  /** Whether dirty logging can be tried. @throws CaseSkipped when not */
  needLog(): void {
    if (this.backend.interface === 'vdpa') throw new CaseSkipped('vhost-vdpa has no dirty log');
    this.#need(VHOST_FEATURES.LOG_ALL, 'VHOST_F_LOG_ALL');
    if (this.backend.interface === 'user')
      this.needProtocol(VHOST_USER_PROTOCOL_FEATURES.LOG_SHMFD, 'LOG_SHMFD');
  }

  /** The order of a VMM: the log, then the features, then the rings. What changed before does not count. */
  async startLog(): Promise<void> {
    this.memory.changes();
    await this.#newLog();
    this.#logging = true;
    await this.#setFeatures();
    for (const queue of this.queues) await this.#setAddr(queue);
  }

  async stopLog(): Promise<void> {
    this.#logging = false;
    await this.#setFeatures();
    for (const queue of this.queues) await this.#setAddr(queue);
  }

  /** A new log in place of the old one, which is read afterwards. */
  async swapLog(): Promise<void> {
    const old = this.#log!;
    await this.#newLog();
    await this.settle();
    this.#tellLog(old, false);
  }

  async #newLog(): Promise<void> {
    const log = this.target.allocate(Math.ceil(vhostLogBytes(this.memory.end) / 4096) * 4096);
    this.#allocated.push(log);
    await this.backend.setLogBase(log);
    this.#log = log;
  }

  /** Tells what the back end changed, and what the log has of it; clears the log. */
  async readLog(final: boolean): Promise<void> {
    await this.settle();
    const pages = this.memory.changes();
    const { name } = this.backend;
    this.#options.emit({ kind: 'vhost_page_change', host: RUN_HOST, device: name, pages });
    this.#tellLog(this.#log!, final);
  }

  #tellLog(log: SharedMemory, final: boolean): void {
    const { name } = this.backend;
    const pages = takeBits(log.bytes);
    this.#options.emit({ kind: 'vhost_log_read', host: RUN_HOST, device: name, pages, final });
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

  /** Gives receive buffers of this many bytes. */
  offerBuffers(count: number, bytes = 2048): void {
    for (let n = 0; n < count; n++) if (!this.receive.offerBuffer(bytes)) break;
    if (this.receive.needsKick()) this.backend.kick(this.receive.index);
  }

  /** Waits for received frames. @returns their bytes, without the header */
  async received(least: number, patience = PATIENCE): Promise<Uint8Array[]> {
    const frames: Uint8Array[] = [];
    const deadline = performance.now() + patience;
    do {
      await this.settle();
      frames.push(...this.receive.collectFrames());
    } while (frames.length < least && performance.now() < deadline);
    return frames;
  }

  async #some(count: () => number): Promise<number> {
    const deadline = performance.now() + PATIENCE;
    for (;;) {
      await this.settle();
      const some = count();
      if (some > 0 || performance.now() >= deadline) return some;
    }
  }

  /** Gives the back end time to work. */
  async settle(): Promise<void> {
    if (this.target.settle !== undefined) await this.target.settle();
    else await new Promise((resolve) => setTimeout(resolve, 2));
  }

  /** Ends the connection; memory goes with it. */
  async close(): Promise<void> {
    try {
      await this.backend.close();
    } finally {
      for (const memory of this.#allocated) memory.free();
    }
  }
}

/** The pages whose bits are set, which are cleared. */
function takeBits(log: Uint8Array): PageRun[] {
  const words = new BigUint64Array(log.buffer, log.byteOffset, Math.floor(log.length / 8));
  const runs: PageRun[] = [];
  for (let word = 0; word < words.length; word++) {
    if (words[word] === 0n) continue;
    const bits = Atomics.exchange(words, word, 0n);
    for (let bit = 0; bit < 64; bit++) if ((bits >> BigInt(bit)) & 1n) addPage(runs, word * 64 + bit);
  }
  return runs;
}
