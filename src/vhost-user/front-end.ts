import { connectUnixSocket, type Linux, loadLinux } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import { VringState } from '../uapi/vhost.js';
import type {
  InflightRegion,
  IotlbMessage,
  SharedMemory,
  VhostBackend,
  VhostRegion,
  VringAddresses,
} from '../uapi/vhost-backend.js';
import {
  VHOST_USER_MAX_FDS,
  VHOST_USER_PROTOCOL_FEATURES,
  VHOST_USER_TRANSFER,
  VhostUserInflight,
  VhostUserLog,
  type VhostUserProtocolFeature,
  type VhostUserRequest,
} from '../uapi/vhost-user.js';
import { hasFeature } from '../uapi/virtio.js';
import { VhostUserConnection } from './connection.js';
import { Exchange } from './exchange.js';
import { FrontEndMappings } from './front-end-mappings.js';
import {
  decodeConfig,
  decodeInflight,
  encodeConfig,
  encodeIotlb,
  encodeMemTable,
  encodeVringAddr,
  encodeVringFd,
  exact,
  u64,
} from './messages.js';
import { StateTransfer } from './state-transfer.js';
import { VringEvents } from './vring-events.js';

/** How a front end speaks to its back end. */
export interface FrontEndOptions {
  /** As traces and reports spell it; the default is the path. */
  readonly name?: string;
  /** Queues that are used; the default is 2, one pair. */
  readonly queues?: number;
  /** How long an answer may take, in milliseconds; the default is 5000. */
  readonly timeoutMs?: number;
  /** Most bytes of a device state; the default is 256 MiB. */
  readonly largestState?: number;
}

const DEFAULTS = { queues: 2, timeoutMs: 5000, largestState: 1 << 28 } as const;

/**
 * Connects to a vhost-user back end that listens at a unix socket. Nothing is asked of it yet.
 * @throws DeviceError when nobody listens there; LinuxError when this system cannot do it
 */
export async function connectVhostUser(
  path: string,
  options: FrontEndOptions = {},
): Promise<VhostUserFrontEnd> {
  const linux = await loadLinux();
  const fd = await connectUnixSocket(linux, path, options.timeoutMs ?? DEFAULTS.timeoutMs);
  return new VhostUserFrontEnd(linux, fd, { name: path, ...options });
}

/**
 * The VMM's end of a vhost-user connection. Requests go out one at a time, in the order of the calls, and fail with
 * what the back end says, or with ETIMEDOUT, EPIPE or EPROTO, after which nothing more can be asked. Where REPLY_ACK
 * is negotiated every request is acknowledged; where it is not, a refusal of one without an answer is not seen.
 */
export class VhostUserFrontEnd implements VhostBackend {
  readonly name: string;
  readonly interface = 'user';
  readonly queues: number;
  readonly #exchange: Exchange;
  readonly #events: VringEvents;
  readonly #mappings: FrontEndMappings;
  readonly #transfer: StateTransfer;
  #protocol = 0n;

  /** Owns the connected socket from now on. */
  constructor(linux: Linux, fd: number, options: FrontEndOptions = {}) {
    const { timeoutMs, largestState, queues, name } = { ...DEFAULTS, name: 'vhost-user', ...options };
    this.name = name;
    this.queues = queues;
    this.#exchange = new Exchange(linux, new VhostUserConnection(linux, fd), timeoutMs);
    this.#events = new VringEvents(linux);
    this.#mappings = new FrontEndMappings(linux);
    this.#transfer = new StateTransfer(linux, { timeoutMs, largest: largestState });
  }

  async setOwner(): Promise<void> {
    await this.#exchange.tell('SET_OWNER');
  }

  async resetOwner(): Promise<void> {
    await this.#exchange.tell('RESET_OWNER');
  }

  getFeatures(): Promise<bigint> {
    return this.#exchange.askU64('GET_FEATURES');
  }

  async setFeatures(features: bigint): Promise<void> {
    await this.#exchange.tell('SET_FEATURES', u64(features));
  }

  getProtocolFeatures(): Promise<bigint> {
    return this.#exchange.askU64('GET_PROTOCOL_FEATURES');
  }

  async setProtocolFeatures(features: bigint): Promise<void> {
    await this.#exchange.tell('SET_PROTOCOL_FEATURES', u64(features));
    this.#protocol = features;
    this.#exchange.acknowledged = hasFeature(features, VHOST_USER_PROTOCOL_FEATURES.REPLY_ACK);
  }

  /** GET_QUEUE_NUM: most queues, which back ends of network devices count in pairs. */
  async getQueueNum(): Promise<number> {
    this.#need('MQ', 'GET_QUEUE_NUM');
    return exact(await this.#exchange.askU64('GET_QUEUE_NUM'), 'the number of queues');
  }

  async setMemTable(regions: readonly VhostRegion[]): Promise<void> {
    if (regions.length > VHOST_USER_MAX_FDS)
      throw new DeviceError('E2BIG', `${regions.length} regions; ${VHOST_USER_MAX_FDS} go into one message`);
    const fds = regions.map(({ memory }) => descriptorOf(memory, 'a region of guest memory'));
    const wire = regions.map(({ gpa, size, uaddr, offset }) => ({ gpa, size, uaddr, mmapOffset: offset }));
    await this.#exchange.tell('SET_MEM_TABLE', encodeMemTable(wire), fds);
  }

  /** A null log cannot be said, and needs not be: logging is switched off by the features and the rings. */
  async setLogBase(log: SharedMemory | null): Promise<void> {
    if (log === null) return;
    this.#need('LOG_SHMFD', 'SET_LOG_BASE');
    const payload = VhostUserLog.encode({ mmap_size: BigInt(log.bytes.length), mmap_offset: 0n });
    const reply = await this.#exchange.ask('SET_LOG_BASE', payload, [descriptorOf(log, 'the log')]);
    // Back ends answer with whatever they like; eight bytes are a status.
    if (reply.length === 8) this.#exchange.checkStatus('SET_LOG_BASE', reply);
  }

  async setVringNum(index: number, num: number): Promise<void> {
    await this.#exchange.tell('SET_VRING_NUM', VringState.encode({ index, num }));
  }

  async setVringBase(index: number, base: number): Promise<void> {
    await this.#exchange.tell('SET_VRING_BASE', VringState.encode({ index, num: base }));
  }

  async getVringBase(index: number): Promise<number> {
    const reply = await this.#exchange.ask('GET_VRING_BASE', VringState.encode({ index, num: 0 }));
    const state = VringState.decode(this.#exchange.checkSize('GET_VRING_BASE', reply, VringState.size));
    if (state.index !== index)
      throw new DeviceError('EPROTO', `GET_VRING_BASE of ring ${index} was answered for ring ${state.index}`);
    return state.num;
  }

  async setVringAddr(index: number, addresses: VringAddresses): Promise<void> {
    await this.#exchange.tell('SET_VRING_ADDR', encodeVringAddr(index, addresses));
  }

  async setVringKick(index: number, attached: boolean): Promise<void> {
    const fd = attached ? this.#events.newKick(index) : this.#events.dropKick(index);
    await this.#exchange.tell('SET_VRING_KICK', encodeVringFd(index, fd !== null), fd === null ? [] : [fd]);
  }

  async setVringCall(index: number, call: (() => void) | null): Promise<void> {
    const fd = this.#events.newCall(index, call);
    await this.#exchange.tell('SET_VRING_CALL', encodeVringFd(index, fd !== null), fd === null ? [] : [fd]);
  }

  async setVringEnable(index: number, enabled: boolean): Promise<void> {
    await this.#exchange.tell('SET_VRING_ENABLE', VringState.encode({ index, num: enabled ? 1 : 0 }));
  }

  kick(index: number): void {
    this.#events.kick(index);
  }

  async getStatus(): Promise<number> {
    this.#need('STATUS', 'GET_STATUS');
    return exact(await this.#exchange.askU64('GET_STATUS'), 'the device status');
  }

  async setStatus(status: number): Promise<void> {
    this.#need('STATUS', 'SET_STATUS');
    await this.#exchange.tell('SET_STATUS', u64(status));
  }

  async iotlb(message: IotlbMessage): Promise<void> {
    const reply = await this.#exchange.ask('IOTLB_MSG', encodeIotlb(message));
    this.#exchange.checkStatus('IOTLB_MSG', reply);
  }

  async getConfig(offset: number, size: number): Promise<Uint8Array> {
    this.#need('CONFIG', 'GET_CONFIG');
    const reply = await this.#exchange.ask('GET_CONFIG', encodeConfig(offset, new Uint8Array(size)));
    if (reply.length === 0) throw new DeviceError('EIO', `${this.name} refuses GET_CONFIG`);
    return decodeConfig(reply, 'the answer to GET_CONFIG').bytes;
  }

  async setConfig(offset: number, bytes: Uint8Array): Promise<void> {
    this.#need('CONFIG', 'SET_CONFIG');
    await this.#exchange.tell('SET_CONFIG', encodeConfig(offset, bytes));
  }

  async resetDevice(): Promise<void> {
    this.#need('RESET_DEVICE', 'RESET_DEVICE');
    await this.#exchange.tell('RESET_DEVICE');
  }

  async getInflight(queues: number, queueSize: number): Promise<InflightRegion> {
    this.#need('INFLIGHT_SHMFD', 'GET_INFLIGHT_FD');
    const asked = inflightPayload(0, { queues, queueSize });
    const fds: number[] = [];
    const reply = await this.#exchange.ask('GET_INFLIGHT_FD', asked, [], fds);
    return this.#mappings.inflight(reply, fds, decodeInflight);
  }

  async setInflight(region: InflightRegion): Promise<void> {
    this.#need('INFLIGHT_SHMFD', 'SET_INFLIGHT_FD');
    const { memory } = region;
    const payload = inflightPayload(memory.bytes.length, region);
    await this.#exchange.tell('SET_INFLIGHT_FD', payload, [descriptorOf(memory, 'the inflight region')]);
  }

  saveState(): Promise<Uint8Array> {
    this.#need('DEVICE_STATE', 'SET_DEVICE_STATE_FD');
    return this.#transfer.save(this.#exchange, VHOST_USER_TRANSFER.SAVE);
  }

  async loadState(state: Uint8Array): Promise<void> {
    this.#need('DEVICE_STATE', 'SET_DEVICE_STATE_FD');
    await this.#transfer.load(this.#exchange, VHOST_USER_TRANSFER.LOAD, state);
  }

  async sendRarp(mac: Uint8Array): Promise<void> {
    this.#need('RARP', 'SEND_RARP');
    const payload = new Uint8Array(8);
    payload.set(mac.subarray(0, 6));
    await this.#exchange.tell('SEND_RARP', payload);
  }

  close(): void {
    this.#exchange.close();
    this.#events.close();
    this.#mappings.close();
  }

  // What vhost-user has no message for.

  getBackendFeatures(): Promise<bigint> {
    return this.#without('GET_BACKEND_FEATURES');
  }

  setBackendFeatures(): Promise<void> {
    return this.#without('SET_BACKEND_FEATURES');
  }

  setBackend(): Promise<void> {
    return this.#without('SET_BACKEND');
  }

  suspend(): Promise<void> {
    return this.#without('SUSPEND');
  }

  resume(): Promise<void> {
    return this.#without('RESUME');
  }

  getVringGroup(): Promise<number> {
    return this.#without('GET_VRING_GROUP');
  }

  setGroupAsid(): Promise<void> {
    return this.#without('SET_GROUP_ASID');
  }

  async #without(request: string): Promise<never> {
    throw new DeviceError('ENOTTY', `vhost-user has no ${request}`);
  }

  #need(feature: VhostUserProtocolFeature, request: VhostUserRequest): void {
    if (!hasFeature(this.#protocol, VHOST_USER_PROTOCOL_FEATURES[feature]))
      throw new DeviceError(
        'ENOTTY',
        `${request} needs the protocol feature ${feature}, which was not negotiated`,
      );
  }
}

function descriptorOf({ fd }: SharedMemory, what: string): number {
  if (fd === undefined) throw new DeviceError('EINVAL', `${what} has no descriptor, so it cannot be shared`);
  return fd;
}

function inflightPayload(
  size: number,
  { queues, queueSize }: { queues: number; queueSize: number },
): Uint8Array {
  return VhostUserInflight.encode({
    mmap_size: BigInt(size),
    mmap_offset: 0n,
    num_queues: queues,
    queue_size: queueSize,
  });
}
