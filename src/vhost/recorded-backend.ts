import type { TraceEvent } from '../trace/event.js';
import { type Awaitable, DeviceError } from '../uapi/device.js';
import { VHOST_IOTLB } from '../uapi/vhost.js';
import type {
  InflightRegion,
  IotlbMessage,
  SharedMemory,
  VhostBackend,
  VhostRegion,
  VringAddresses,
} from '../uapi/vhost-backend.js';

/** Where recorded events go, and what they are called. */
export interface BackendRecorderOptions {
  /** The host of the events: the process that drives the back end. */
  readonly host: string;
  /** Takes each event, in order. */
  emit(event: TraceEvent): void;
  /** Time in microseconds; without it the events have none. */
  now?(): number;
  /** Name of the device in the events; the default is the back end's. */
  readonly device?: string;
}

type Kind = TraceEvent['kind'];
type Fields = Readonly<Record<string, unknown>>;

const IOTLB_TYPES = new Map<number, string>([
  [VHOST_IOTLB.MISS, 'miss'],
  [VHOST_IOTLB.UPDATE, 'update'],
  [VHOST_IOTLB.INVALIDATE, 'invalidate'],
  [VHOST_IOTLB.ACCESS_FAIL, 'access_fail'],
  [VHOST_IOTLB.BATCH_BEGIN, 'batch_begin'],
  [VHOST_IOTLB.BATCH_END, 'batch_end'],
]);

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/**
 * The same back end, with every request and its answer told as canonical events. Only answers are recorded:
 * success, and `DeviceError`. A kick is told when it is the first one of a ring since the ring was given its
 * kick descriptor.
 */
export function recordedBackend(backend: VhostBackend, options: BackendRecorderOptions): VhostBackend {
  return new RecordedBackend(backend, options);
}

class RecordedBackend implements VhostBackend {
  readonly name: string;
  readonly interface: VhostBackend['interface'];
  readonly queues: number;
  readonly #backend: VhostBackend;
  readonly #options: BackendRecorderOptions;
  readonly #kicked = new Set<number>();

  constructor(backend: VhostBackend, options: BackendRecorderOptions) {
    this.name = options.device ?? backend.name;
    this.interface = backend.interface;
    this.queues = backend.queues;
    this.#backend = backend;
    this.#options = options;
  }

  #emit(kind: Kind, fields: Fields): void {
    const { host, now } = this.#options;
    const t = now === undefined ? {} : { t: now.call(this.#options) };
    this.#options.emit({ kind, ...t, host, device: this.name, ...fields } as TraceEvent);
  }

  /** Makes a call; tells what was asked, and how it ended. */
  async #tell<T>(
    kind: Kind,
    asked: Fields,
    call: () => Awaitable<T>,
    answered: (result: T) => Fields = () => ({}),
  ): Promise<T> {
    let result: T;
    try {
      result = await call();
    } catch (error) {
      if (error instanceof DeviceError) this.#emit(kind, { ...asked, errno: error.errno });
      throw error;
    }
    this.#emit(kind, { ...asked, ...answered(result), errno: 0 });
    return result;
  }

  get #via(): Fields {
    return { interface: this.interface };
  }

  setOwner(): Promise<void> {
    return this.#tell('vhost_set_owner', this.#via, () => this.#backend.setOwner());
  }

  resetOwner(): Promise<void> {
    return this.#tell('vhost_reset_owner', this.#via, () => this.#backend.resetOwner());
  }

  getFeatures(): Promise<bigint> {
    const call = () => this.#backend.getFeatures();
    return this.#tell('vhost_offered', this.#via, call, (word) => ({ features: hex(word) }));
  }

  setFeatures(features: bigint): Promise<void> {
    const asked = { ...this.#via, features: hex(features) };
    return this.#tell('vhost_set_features', asked, () => this.#backend.setFeatures(features));
  }

  getProtocolFeatures(): Promise<bigint> {
    const call = () => this.#backend.getProtocolFeatures();
    return this.#tell('vhost_offered', this.#via, call, (word) => ({ protocolFeatures: hex(word) }));
  }

  setProtocolFeatures(features: bigint): Promise<void> {
    const asked = { ...this.#via, features: hex(features) };
    const call = () => this.#backend.setProtocolFeatures(features);
    return this.#tell('vhost_set_protocol_features', asked, call);
  }

  getBackendFeatures(): Promise<bigint> {
    const call = () => this.#backend.getBackendFeatures();
    return this.#tell('vhost_offered', this.#via, call, (word) => ({ backendFeatures: hex(word) }));
  }

  setBackendFeatures(features: bigint): Promise<void> {
    const asked = { ...this.#via, features: hex(features) };
    const call = () => this.#backend.setBackendFeatures(features);
    return this.#tell('vhost_set_backend_features', asked, call);
  }

  setMemTable(regions: readonly VhostRegion[]): Promise<void> {
    const list = regions.map(({ gpa, size }) => ({ gpa: hex(gpa), size: hex(size) }));
    const asked = { ...this.#via, regions: list };
    return this.#tell('vhost_mem_table', asked, () => this.#backend.setMemTable(regions));
  }

  setLogBase(log: SharedMemory | null): Promise<void> {
    // The kernel is told no size.
    const size = log === null || this.interface === 'kernel' ? {} : { size: hex(log.bytes.length) };
    const asked = { ...this.#via, ...size, ...(log === null ? { none: true } : {}) };
    return this.#tell('vhost_log_base', asked, () => this.#backend.setLogBase(log));
  }

  setVringNum(index: number, num: number): Promise<void> {
    const asked = { ...this.#via, index, num };
    return this.#tell('vring_num', asked, () => this.#backend.setVringNum(index, num));
  }

  setVringBase(index: number, base: number): Promise<void> {
    const asked = { ...this.#via, index, num: base };
    return this.#tell('vring_base', asked, () => this.#backend.setVringBase(index, base));
  }

  getVringBase(index: number): Promise<number> {
    const call = () => this.#backend.getVringBase(index);
    return this.#tell('vring_base_read', { ...this.#via, index }, call, (num) => ({ num }));
  }

  setVringAddr(index: number, addresses: VringAddresses): Promise<void> {
    const { log, desc, used, avail, logGuestAddr } = addresses;
    const places = { desc: hex(desc), used: hex(used), avail: hex(avail), logGuestAddr: hex(logGuestAddr) };
    const asked = { ...this.#via, index, log, ...places };
    return this.#tell('vring_addr', asked, () => this.#backend.setVringAddr(index, addresses));
  }

  setVringKick(index: number, attached: boolean): Promise<void> {
    this.#kicked.delete(index);
    const asked = { ...this.#via, index, attached };
    return this.#tell('vring_kick_fd', asked, () => this.#backend.setVringKick(index, attached));
  }

  setVringCall(index: number, call: (() => void) | null): Promise<void> {
    const asked = { ...this.#via, index, attached: call !== null };
    return this.#tell('vring_call_fd', asked, () => this.#backend.setVringCall(index, call));
  }

  setVringEnable(index: number, enabled: boolean): Promise<void> {
    const asked = { ...this.#via, index, on: enabled };
    return this.#tell('vring_enable', asked, () => this.#backend.setVringEnable(index, enabled));
  }

  setBackend(index: number, attached: boolean): Promise<void> {
    const asked = { ...this.#via, index, attached };
    return this.#tell('vring_backend', asked, () => this.#backend.setBackend(index, attached));
  }

  kick(index: number): void {
    if (!this.#kicked.has(index)) {
      this.#kicked.add(index);
      this.#emit('vring_kick', { ...this.#via, index });
    }
    this.#backend.kick(index);
  }

  getStatus(): Promise<number> {
    const call = () => this.#backend.getStatus();
    return this.#tell('vdpa_status_read', {}, call, (status) => ({ status }));
  }

  setStatus(status: number): Promise<void> {
    return this.#tell('vdpa_status', { status }, () => this.#backend.setStatus(status));
  }

  suspend(): Promise<void> {
    return this.#tell('vdpa_suspend', {}, () => this.#backend.suspend());
  }

  resume(): Promise<void> {
    return this.#tell('vdpa_resume', {}, () => this.#backend.resume());
  }

  async getVringGroup(index: number): Promise<number> {
    return this.#backend.getVringGroup(index);
  }

  setGroupAsid(group: number, asid: number): Promise<void> {
    return this.#tell('vdpa_group_asid', { group, asid }, () => this.#backend.setGroupAsid(group, asid));
  }

  iotlb(message: IotlbMessage): Promise<void> {
    const { asid, iova, size } = message;
    const type = IOTLB_TYPES.get(message.type);
    if (type === undefined) return Promise.resolve(this.#backend.iotlb(message));
    const asked = { ...this.#via, type, asid, iova: hex(iova), size: hex(size) };
    return this.#tell('vhost_iotlb', asked, () => this.#backend.iotlb(message));
  }

  getConfig(offset: number, size: number): Promise<Uint8Array> {
    const asked = { ...this.#via, write: false, offset, size };
    return this.#tell('vhost_config', asked, () => this.#backend.getConfig(offset, size));
  }

  setConfig(offset: number, bytes: Uint8Array): Promise<void> {
    const asked = { ...this.#via, write: true, offset, size: bytes.length };
    return this.#tell('vhost_config', asked, () => this.#backend.setConfig(offset, bytes));
  }

  resetDevice(): Promise<void> {
    return this.#tell('vhost_reset_device', this.#via, () => this.#backend.resetDevice());
  }

  getInflight(queues: number, queueSize: number): Promise<InflightRegion> {
    const asked = { ...this.#via, set: false, queues, queueSize };
    return this.#tell('vhost_inflight', asked, () => this.#backend.getInflight(queues, queueSize));
  }

  setInflight(region: InflightRegion): Promise<void> {
    const { queues, queueSize } = region;
    const asked = { ...this.#via, set: true, queues, queueSize };
    return this.#tell('vhost_inflight', asked, () => this.#backend.setInflight(region));
  }

  saveState(): Promise<Uint8Array> {
    return this.#transfer(
      'save',
      () => this.#backend.saveState(),
      ({ length }) => length,
    );
  }

  loadState(state: Uint8Array): Promise<void> {
    return this.#transfer(
      'load',
      () => this.#backend.loadState(state),
      () => state.length,
    );
  }

  /** A transfer is three requests, of which only the whole can be seen here: an error is told as that of the last. */
  async #transfer<T>(
    direction: 'save' | 'load',
    call: () => Awaitable<T>,
    size: (result: T) => number,
  ): Promise<T> {
    let result: T;
    try {
      result = await call();
    } catch (error) {
      if (error instanceof DeviceError)
        this.#emit('vhost_state_fd', { ...this.#via, direction, errno: error.errno });
      throw error;
    }
    this.#emit('vhost_state_fd', { ...this.#via, direction, errno: 0 });
    this.#emit('vhost_state_end', { ...this.#via, bytes: size(result) });
    this.#emit('vhost_state_check', { ...this.#via, errno: 0 });
    return result;
  }

  sendRarp(mac: Uint8Array): Promise<void> {
    return this.#tell('vhost_rarp', this.#via, () => this.#backend.sendRarp(mac));
  }

  async close(): Promise<void> {
    await this.#backend.close();
    this.#emit('vhost_close', this.#via);
  }
}
