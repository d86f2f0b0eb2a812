import type { Linux } from '../linux/index.js';
import { type Awaitable, DeviceError } from '../uapi/device.js';
import { VringState } from '../uapi/vhost.js';
import type { VhostBackend } from '../uapi/vhost-backend.js';
import {
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_FEATURES,
  VHOST_USER_STATE_REPLY,
  VhostUserLog,
  type VhostUserProtocolFeature,
  type VhostUserRequest,
} from '../uapi/vhost-user.js';
import { featureBits, hasFeature } from '../uapi/virtio.js';
import { BackEndInflight } from './back-end-inflight.js';
import { BackEndMemory } from './back-end-memory.js';
import { BackEndState } from './back-end-state.js';
import { BackEndVrings } from './back-end-vrings.js';
import {
  decodeConfig,
  decodeIotlb,
  decodeMemTable,
  decodeVringAddr,
  decodeVringFd,
  encodeConfig,
  exact,
  readU64,
  requestForm,
  u64,
  type VhostUserMessage,
} from './messages.js';

/** What a request is answered with, in its own way. The descriptor is closed once it is sent. */
export interface Answer {
  readonly payload: Uint8Array;
  readonly fd?: number;
}

/** Protocol features that are served, when the device has them. */
const SERVED = (
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
  ] satisfies VhostUserProtocolFeature[]
).map((name) => VHOST_USER_PROTOCOL_FEATURES[name]);

type Tell = (message: VhostUserMessage) => Awaitable<void>;
type Ask = (message: VhostUserMessage) => Promise<Answer>;

const word = (value: bigint | number): Answer => ({ payload: u64(value) });

export interface BackEndRequestsOptions {
  readonly queueNum?: number;
  readonly timeoutMs?: number;
  readonly largestState?: number;
  onBroken?(ring: number, error: DeviceError): void;
}

/** What each request of a front end does with the device, and what it needs. */
export class BackEndRequests {
  readonly #device: VhostBackend;
  readonly #options: BackEndRequestsOptions;
  readonly #guest: BackEndMemory;
  readonly #log: BackEndMemory;
  readonly #inflight: BackEndInflight;
  readonly #vrings: BackEndVrings;
  readonly #state: BackEndState;
  /** Whether protocol features were offered, and those that were agreed on. */
  #hasProtocol = false;
  #protocol = 0n;

  constructor(linux: Linux, device: VhostBackend, options: BackEndRequestsOptions) {
    const { timeoutMs = 5000, largestState = 1 << 28 } = options;
    this.#device = device;
    this.#options = options;
    this.#guest = new BackEndMemory(linux);
    this.#log = new BackEndMemory(linux);
    this.#inflight = new BackEndInflight(linux, device);
    this.#vrings = new BackEndVrings(linux, device, (ring, error) => options.onBroken?.(ring, error));
    this.#state = new BackEndState(linux, device, { timeoutMs, largest: largestState });
  }

  /** REPLY_ACK is agreed on. */
  get acknowledges(): boolean {
    return this.#has('REPLY_ACK');
  }

  /**
   * Performs a request, and takes those descriptors of the message that are kept.
   * @returns undefined when it has no answer of its own
   * @throws DeviceError EPROTO when its form is broken; else what the device refuses it with
   */
  async perform(name: VhostUserRequest, message: VhostUserMessage): Promise<Answer | undefined> {
    this.#checkForm(name, message);
    const ask = this.#asks[name];
    if (ask !== undefined) return ask(message);
    await this.#tells[name]!(message);
    // With a shared log this one has an answer of its own.
    return name === 'SET_LOG_BASE' ? word(0) : undefined;
  }

  /** How a refusal is told in the request's own answer; undefined: it cannot be. */
  refusal(name: VhostUserRequest | undefined, error: DeviceError): Uint8Array | undefined {
    switch (name) {
      case 'GET_CONFIG':
        return new Uint8Array();
      case 'IOTLB_MSG':
      case 'CHECK_DEVICE_STATE':
        return u64(error.errno);
      case 'SET_LOG_BASE':
        return this.#has('LOG_SHMFD') ? u64(error.errno) : undefined;
      case 'SET_DEVICE_STATE_FD':
        return u64((error.errno & VHOST_USER_STATE_REPLY.ERROR_MASK) | VHOST_USER_STATE_REPLY.NO_FD);
      default:
        return undefined;
    }
  }

  /** Nothing reaches the device any more. */
  async stop(): Promise<void> {
    this.#vrings.close();
    await this.#state.close();
  }

  /** Gives the front end's memory back, when the device does not use it any more. */
  unmap(): void {
    this.#guest.close();
    this.#log.close();
    this.#inflight.close();
  }

  #checkForm(name: VhostUserRequest, { payload, fds }: VhostUserMessage): void {
    const form = requestForm(name)!;
    const [least, most] = form.payload;
    if (payload.length < least || payload.length > most)
      throw new DeviceError('EPROTO', `${name} has ${payload.length} bytes of payload`);
    if (fds.length < form.fds[0] || fds.length > form.fds[1])
      throw new DeviceError('EPROTO', `${name} comes with ${fds.length} descriptors`);
    if (form.protocol === true && !this.#hasProtocol)
      throw new DeviceError('EPROTO', `${name} where VHOST_USER_F_PROTOCOL_FEATURES was not offered`);
    if (form.feature !== undefined && !this.#has(form.feature))
      throw new DeviceError('EOPNOTSUPP', `${name} without the protocol feature ${form.feature}`);
  }

  #has(feature: VhostUserProtocolFeature): boolean {
    return hasFeature(this.#protocol, VHOST_USER_PROTOCOL_FEATURES[feature]);
  }

  /** Requests with an answer. */
  readonly #asks: Partial<Record<VhostUserRequest, Ask>> = {
    GET_FEATURES: async () => {
      const features = await this.#device.getFeatures();
      this.#hasProtocol = hasFeature(features, VHOST_USER_F_PROTOCOL_FEATURES);
      return word(features);
    },
    GET_PROTOCOL_FEATURES: async () => word(await this.#offered()),
    GET_QUEUE_NUM: async () => word(this.#options.queueNum ?? this.#device.queues),
    GET_VRING_BASE: async ({ payload }) => {
      const { index } = VringState.decode(payload);
      const num = await this.#device.getVringBase(index);
      this.#vrings.forgetKicks(index);
      return { payload: VringState.encode({ index, num }) };
    },
    IOTLB_MSG: async ({ payload }) => {
      await this.#device.iotlb(decodeIotlb(payload));
      return word(0);
    },
    GET_CONFIG: async ({ payload }) => {
      const { offset, bytes } = decodeConfig(payload, 'GET_CONFIG');
      return { payload: encodeConfig(offset, await this.#device.getConfig(offset, bytes.length)) };
    },
    GET_INFLIGHT_FD: ({ payload }) => this.#inflight.get(payload),
    GET_STATUS: async () => word(await this.#device.getStatus()),
    SET_DEVICE_STATE_FD: async ({ payload, fds }) => {
      await this.#state.begin(payload, fds);
      return word(VHOST_USER_STATE_REPLY.NO_FD);
    },
    CHECK_DEVICE_STATE: async () => {
      await this.#state.check();
      return word(0);
    },
  };

  /** Requests that are acknowledged at most. */
  readonly #tells: Partial<Record<VhostUserRequest, Tell>> = {
    SET_FEATURES: ({ payload }) => this.#device.setFeatures(readU64(payload, 'SET_FEATURES')),
    SET_OWNER: () => this.#device.setOwner(),
    RESET_OWNER: () => this.#device.resetOwner(),
    SET_PROTOCOL_FEATURES: async ({ payload }) => {
      const wanted = readU64(payload, 'SET_PROTOCOL_FEATURES');
      const beyond = wanted & ~(await this.#offered());
      if (beyond !== 0n)
        throw new DeviceError('EINVAL', `protocol features 0x${beyond.toString(16)} were not offered`);
      await this.#device.setProtocolFeatures(wanted);
      this.#protocol = wanted;
    },
    SET_MEM_TABLE: ({ payload, fds }) =>
      this.#guest.setTable(decodeMemTable(payload), fds, (regions) => this.#device.setMemTable(regions)),
    SET_LOG_BASE: (message) => this.#setLog(message),
    SET_VRING_NUM: ({ payload }) => {
      const { index, num } = VringState.decode(payload);
      return this.#device.setVringNum(index, num);
    },
    SET_VRING_BASE: ({ payload }) => {
      const { index, num } = VringState.decode(payload);
      return this.#device.setVringBase(index, num);
    },
    SET_VRING_ADDR: ({ payload }) => {
      const { index, addresses } = decodeVringAddr(payload);
      return this.#device.setVringAddr(index, addresses);
    },
    SET_VRING_KICK: ({ payload, fds }) =>
      this.#vrings.setKick(decodeVringFd(payload, fds.length, 'SET_VRING_KICK'), fds),
    SET_VRING_CALL: ({ payload, fds }) =>
      this.#vrings.setCall(decodeVringFd(payload, fds.length, 'SET_VRING_CALL'), fds),
    SET_VRING_ERR: ({ payload, fds }) =>
      this.#vrings.setError(decodeVringFd(payload, fds.length, 'SET_VRING_ERR'), fds),
    SET_VRING_ENABLE: ({ payload }) => {
      const { index, num } = VringState.decode(payload);
      if (num > 1) throw new DeviceError('EINVAL', `SET_VRING_ENABLE of ring ${index} with ${num}`);
      return this.#device.setVringEnable(index, num === 1);
    },
    SEND_RARP: ({ payload }) => this.#device.sendRarp(payload.slice(0, 6)),
    SET_CONFIG: ({ payload }) => {
      const { offset, bytes } = decodeConfig(payload, 'SET_CONFIG');
      return this.#device.setConfig(offset, bytes.slice());
    },
    SET_INFLIGHT_FD: ({ payload, fds }) => this.#inflight.set(payload, fds[0]!),
    RESET_DEVICE: () => this.#device.resetDevice(),
    SET_STATUS: ({ payload }) =>
      this.#device.setStatus(exact(readU64(payload, 'SET_STATUS'), 'the device status')),
  };

  async #offered(): Promise<bigint> {
    return (await this.#device.getProtocolFeatures()) & featureBits(...SERVED);
  }

  async #setLog({ payload, fds }: VhostUserMessage): Promise<void> {
    if (!this.#has('LOG_SHMFD'))
      throw new DeviceError('EOPNOTSUPP', 'SET_LOG_BASE without the protocol feature LOG_SHMFD');
    if (payload.length !== VhostUserLog.size || fds.length !== 1)
      throw new DeviceError(
        'EPROTO',
        `SET_LOG_BASE has ${payload.length} bytes of payload and ${fds.length} descriptors`,
      );
    const log = VhostUserLog.decode(payload);
    const place = { size: exact(log.mmap_size, 'mmap_size'), offset: exact(log.mmap_offset, 'mmap_offset') };
    await this.#log.set(fds[0]!, place, (memory) => this.#device.setLogBase(memory));
  }
}
