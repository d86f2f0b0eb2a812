import { DeviceError } from '../../src/uapi/device.js';
import type {
  InflightRegion,
  IotlbMessage,
  SharedMemory,
  VhostBackend,
  VhostRegion,
  VringAddresses,
} from '../../src/uapi/vhost-backend.js';
import { VHOST_LOG_PAGE } from '../../src/uapi/vhost-log.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../../src/uapi/vhost-user.js';
import { featureBits, VIRTIO_FEATURES } from '../../src/uapi/virtio.js';

export const ALL_FEATURES = featureBits(VHOST_USER_F_PROTOCOL_FEATURES, VIRTIO_FEATURES.VERSION_1, 26);
export const ALL_PROTOCOL = featureBits(...Object.values(VHOST_USER_PROTOCOL_FEATURES));
/** What our server serves of it. */
export const SERVED_PROTOCOL = featureBits(
  ...(
    [
      'MQ',
      'LOG_SHMFD',
      'RARP',
      'REPLY_ACK',
      'CONFIG',
      'INFLIGHT_SHMFD',
      'RESET_DEVICE',
      'STATUS',
      'DEVICE_STATE',
      'GET_VRING_BASE_INFLIGHT',
    ] as const
  ).map((name) => VHOST_USER_PROTOCOL_FEATURES[name]),
);

/**
 * A device that notes what it is asked. A kick of ring n adds 1 to the first byte of page n of guest memory, marks
 * that page in the log, and calls.
 */
export class FakeDevice implements VhostBackend {
  readonly name = 'fake';
  readonly interface = 'user';
  readonly queues = 4;
  readonly asked: unknown[][] = [];
  regions: readonly VhostRegion[] = [];
  log: SharedMemory | null = null;
  inflight: InflightRegion | null = null;
  state: Uint8Array = new Uint8Array();
  isClosed = false;
  /** A request is refused with this. */
  readonly refuses = new Map<string, string>();
  readonly #calls = new Map<number, () => void>();
  readonly #bases = new Map<number, number>();
  #features = 0n;

  #note(name: string, ...args: unknown[]): void {
    this.asked.push([name, ...args]);
    const code = this.refuses.get(name);
    if (code !== undefined) throw new DeviceError(code, `${name} is refused`);
  }

  setOwner() {
    this.#note('SET_OWNER');
  }
  resetOwner() {
    this.#note('RESET_OWNER');
  }
  getFeatures() {
    return ALL_FEATURES;
  }
  setFeatures(features: bigint) {
    this.#note('SET_FEATURES', features);
    this.#features = features;
  }
  getProtocolFeatures() {
    return ALL_PROTOCOL;
  }
  setProtocolFeatures(features: bigint) {
    this.#note('SET_PROTOCOL_FEATURES', features);
  }
  getBackendFeatures(): bigint {
    throw new DeviceError('ENOTTY', 'none');
  }
  setBackendFeatures() {
    throw new DeviceError('ENOTTY', 'none');
  }
  setMemTable(regions: readonly VhostRegion[]) {
    this.#note('SET_MEM_TABLE', ...regions.map(({ gpa, size, uaddr }) => ({ gpa, size, uaddr })));
    this.regions = regions;
  }
  setLogBase(log: SharedMemory | null) {
    this.#note('SET_LOG_BASE', log?.bytes.length);
    this.log = log;
  }
  setVringNum(index: number, num: number) {
    this.#note('SET_VRING_NUM', index, num);
  }
  setVringBase(index: number, base: number) {
    this.#note('SET_VRING_BASE', index, base);
    this.#bases.set(index, base);
  }
  async getVringBase(index: number) {
    this.#note('GET_VRING_BASE', index);
    return this.#bases.get(index) ?? 0;
  }
  setVringAddr(index: number, addresses: VringAddresses) {
    this.#note('SET_VRING_ADDR', index, addresses);
  }
  setVringKick(index: number, attached: boolean) {
    this.#note('SET_VRING_KICK', index, attached);
  }
  setVringCall(index: number, call: (() => void) | null) {
    this.#note('SET_VRING_CALL', index, call !== null);
    if (call === null) this.#calls.delete(index);
    else this.#calls.set(index, call);
  }
  setVringEnable(index: number, enabled: boolean) {
    this.#note('SET_VRING_ENABLE', index, enabled);
  }
  setBackend() {
    throw new DeviceError('ENOTTY', 'none');
  }
  kick(index: number) {
    this.#note('kick', index);
    const address = index * VHOST_LOG_PAGE;
    const region = this.regions.find(({ gpa, size }) => gpa <= address && address < gpa + size);
    if (region === undefined) throw new DeviceError('EFAULT', `no memory at ${address}`);
    const at = region.offset + address - region.gpa;
    region.memory.bytes[at] = (region.memory.bytes[at]! + 1) & 0xff;
    if (this.log !== null && (this.#features & featureBits(26)) !== 0n) {
      const page = address / VHOST_LOG_PAGE;
      this.log.bytes[page >> 3] = this.log.bytes[page >> 3]! | (1 << (page & 7));
    }
    this.#calls.get(index)?.();
  }
  getStatus() {
    return 7;
  }
  setStatus(status: number) {
    this.#note('SET_STATUS', status);
  }
  suspend() {
    throw new DeviceError('ENOTTY', 'none');
  }
  resume() {
    throw new DeviceError('ENOTTY', 'none');
  }
  getVringGroup(): number {
    throw new DeviceError('ENOTTY', 'none');
  }
  setGroupAsid() {
    throw new DeviceError('ENOTTY', 'none');
  }
  iotlb(message: IotlbMessage) {
    this.#note('IOTLB_MSG', message);
  }
  getConfig(offset: number, size: number) {
    this.#note('GET_CONFIG', offset, size);
    return Uint8Array.from({ length: size }, (_, index) => offset + index);
  }
  setConfig(offset: number, bytes: Uint8Array) {
    this.#note('SET_CONFIG', offset, [...bytes]);
  }
  resetDevice() {
    this.#note('RESET_DEVICE');
  }
  getInflight(queues: number, queueSize: number): InflightRegion {
    this.#note('GET_INFLIGHT_FD', queues, queueSize);
    return { memory: { bytes: Uint8Array.from({ length: 4096 }, () => 3) }, queues, queueSize };
  }
  setInflight(region: InflightRegion) {
    this.#note('SET_INFLIGHT_FD', region.memory.bytes.length, region.queues, region.queueSize);
    this.inflight = region;
  }
  saveState() {
    this.#note('saveState');
    return this.state;
  }
  async loadState(state: Uint8Array) {
    this.#note('loadState', state.length);
    this.state = state;
  }
  sendRarp(mac: Uint8Array) {
    this.#note('SEND_RARP', [...mac]);
  }
  close() {
    this.isClosed = true;
  }
}
