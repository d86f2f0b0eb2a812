import {
  type Awaitable,
  DeviceError,
  type InflightRegion,
  type IotlbMessage,
  type SharedMemory,
  type VhostBackend,
  type VhostInterface,
  type VhostRegion,
  type VringAddresses,
} from 'stopcopy/uapi';

/** A back end that refuses, with ENOTTY, all that not every interface has a form for. */
export abstract class FormlessBackEnd implements VhostBackend {
  abstract readonly interface: VhostInterface;
  abstract readonly name: string;
  abstract readonly queues: number;

  abstract setOwner(): Awaitable<void>;
  abstract getFeatures(): Awaitable<bigint>;
  abstract setFeatures(features: bigint): Awaitable<void>;
  abstract setMemTable(regions: readonly VhostRegion[]): Awaitable<void>;
  abstract setLogBase(log: SharedMemory | null): Awaitable<void>;
  abstract setVringNum(index: number, num: number): Awaitable<void>;
  abstract setVringBase(index: number, base: number): Awaitable<void>;
  abstract getVringBase(index: number): Awaitable<number>;
  abstract setVringAddr(index: number, addresses: VringAddresses): Awaitable<void>;
  abstract setVringKick(index: number, attached: boolean): Awaitable<void>;
  abstract setVringCall(index: number, call: (() => void) | null): Awaitable<void>;
  abstract kick(index: number): void;
  abstract close(): Awaitable<void>;

  resetOwner(): void {
    throw this.#none('RESET_OWNER');
  }
  getProtocolFeatures(): bigint {
    throw this.#none('protocol features');
  }
  setProtocolFeatures(_features: bigint): void {
    throw this.#none('protocol features');
  }
  getBackendFeatures(): bigint {
    throw this.#none('backend features');
  }
  setBackendFeatures(_features: bigint): void {
    throw this.#none('backend features');
  }
  setVringEnable(_index: number, _enabled: boolean): Awaitable<void> {
    throw this.#none('SET_VRING_ENABLE');
  }
  setBackend(_index: number, _attached: boolean): Awaitable<void> {
    throw this.#none('NET_SET_BACKEND');
  }
  getStatus(): number {
    throw this.#none('status');
  }
  setStatus(_status: number): Awaitable<void> {
    throw this.#none('status');
  }
  suspend(): Awaitable<void> {
    throw this.#none('SUSPEND');
  }
  resume(): Awaitable<void> {
    throw this.#none('RESUME');
  }
  getVringGroup(_index: number): number {
    throw this.#none('groups of rings');
  }
  setGroupAsid(_group: number, _asid: number): Awaitable<void> {
    throw this.#none('address spaces');
  }
  iotlb(_message: IotlbMessage): Awaitable<void> {
    throw this.#none('IOTLB');
  }
  getConfig(_offset: number, _size: number): Uint8Array {
    throw this.#none('configuration space');
  }
  setConfig(_offset: number, _bytes: Uint8Array): Awaitable<void> {
    throw this.#none('configuration space');
  }
  resetDevice(): Awaitable<void> {
    throw this.#none('RESET_DEVICE');
  }
  getInflight(_queues: number, _queueSize: number): Awaitable<InflightRegion> {
    throw this.#none('inflight region');
  }
  setInflight(_region: InflightRegion): Awaitable<void> {
    throw this.#none('inflight region');
  }
  saveState(): Awaitable<Uint8Array> {
    throw this.#none('device state');
  }
  loadState(_state: Uint8Array): Awaitable<void> {
    throw this.#none('device state');
  }
  sendRarp(_mac: Uint8Array): Awaitable<void> {
    throw this.#none('SEND_RARP');
  }

  #none(request: string): DeviceError {
    return new DeviceError('ENOTTY', `${this.interface} has no ${request}`);
  }
}
