import type { Linux } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import {
  VHOST_IOCTLS,
  VHOST_VDPA_IOCTLS,
  VHOST_VRING_F_LOG,
  VringAddr,
  VringFile,
  VringState,
} from '../../uapi/vhost.js';
import type { InflightRegion, VringAddresses } from '../../uapi/vhost-backend.js';
import { VringEvents } from '../../vhost-user/vring-events.js';
import { type OwnMemory, UserMemory } from './user-memory.js';

const ALL_IOCTLS = { ...VHOST_IOCTLS, ...VHOST_VDPA_IOCTLS };
export type VhostIoctl = keyof typeof ALL_IOCTLS;

/** A ring's addresses as the kernel gets them. */
export interface RingAddresses {
  readonly desc: bigint;
  readonly used: bigint;
  readonly avail: bigint;
}

/**
 * What the device files of kernel vhost have in common, by ioctls. A request that fails throws a `DeviceError` with
 * the kernel's errno; one that the kernel has no form for fails with ENOTTY.
 */
export abstract class KernelVhost {
  readonly name: string;
  abstract readonly queues: number;
  protected readonly linux: Linux;
  protected readonly fd: number;
  protected readonly memory: UserMemory;
  readonly #events: VringEvents;

  /** Owns the descriptor from now on. */
  constructor(linux: Linux, fd: number, name: string, known?: () => Iterable<OwnMemory>) {
    this.linux = linux;
    this.fd = fd;
    this.name = name;
    this.memory = new UserMemory(linux, known);
    this.#events = new VringEvents(linux);
  }

  setOwner(): void {
    this.ioctl('VHOST_SET_OWNER');
  }

  resetOwner(): void {
    this.ioctl('VHOST_RESET_OWNER');
  }

  getFeatures(): bigint {
    return this.read64('VHOST_GET_FEATURES');
  }

  setFeatures(features: bigint): void {
    this.ioctl('VHOST_SET_FEATURES', word(features));
  }

  getBackendFeatures(): bigint {
    return this.read64('VHOST_GET_BACKEND_FEATURES');
  }

  setBackendFeatures(features: bigint): void {
    this.ioctl('VHOST_SET_BACKEND_FEATURES', word(features));
  }

  setVringNum(index: number, num: number): void {
    this.ioctl('VHOST_SET_VRING_NUM', VringState.encode({ index, num }));
  }

  setVringBase(index: number, base: number): void {
    this.ioctl('VHOST_SET_VRING_BASE', VringState.encode({ index, num: base }));
  }

  getVringBase(index: number): number {
    return this.ring('VHOST_GET_VRING_BASE', index);
  }

  setVringAddr(index: number, addresses: VringAddresses): void {
    const { desc, used, avail } = this.ringAddresses(index, addresses);
    this.ioctl(
      'VHOST_SET_VRING_ADDR',
      VringAddr.encode({
        index,
        flags: addresses.log ? VHOST_VRING_F_LOG : 0,
        desc_user_addr: desc,
        used_user_addr: used,
        avail_user_addr: avail,
        log_guest_addr: BigInt(addresses.logGuestAddr),
      }),
    );
  }

  /** What the kernel takes for the addresses of a ring. @throws DeviceError EFAULT */
  protected abstract ringAddresses(index: number, addresses: VringAddresses): RingAddresses;

  setVringKick(index: number, attached: boolean): void {
    const fd = attached ? this.#events.newKick(index) : this.#events.dropKick(index);
    this.ioctl('VHOST_SET_VRING_KICK', VringFile.encode({ index, fd: fd ?? -1 }));
  }

  setVringCall(index: number, call: (() => void) | null): void {
    const fd = this.#events.newCall(index, call);
    this.ioctl('VHOST_SET_VRING_CALL', VringFile.encode({ index, fd: fd ?? -1 }));
  }

  kick(index: number): void {
    this.#events.kick(index);
  }

  /** Closes the file first: until then the kernel works on the memory. */
  close(): void {
    this.linux.close(this.fd);
    this.#events.close();
    this.memory.close();
  }

  protected ioctl(name: VhostIoctl, arg: Uint8Array | number = 0): number {
    return this.linux.ioctl(this.fd, ALL_IOCTLS[name], arg, `${name} on ${this.name}`);
  }

  protected read64(name: VhostIoctl): bigint {
    const into = new BigUint64Array(1);
    this.ioctl(name, new Uint8Array(into.buffer));
    return into[0]!;
  }

  /** An ioctl that answers with a number for a ring. */
  protected ring(name: VhostIoctl, index: number): number {
    const state = VringState.encode({ index, num: 0 });
    this.ioctl(name, state);
    return VringState.decode(state).num;
  }

  /** @throws DeviceError ENOTTY */
  protected without(request: string): never {
    throw new DeviceError('ENOTTY', `${this.name} has no ${request}`);
  }

  // What only vhost-user has.

  getProtocolFeatures(): bigint {
    return this.without('GET_PROTOCOL_FEATURES');
  }

  setProtocolFeatures(): void {
    this.without('SET_PROTOCOL_FEATURES');
  }

  getInflight(): InflightRegion {
    return this.without('GET_INFLIGHT_FD');
  }

  setInflight(): void {
    this.without('SET_INFLIGHT_FD');
  }

  saveState(): Uint8Array {
    return this.without('SET_DEVICE_STATE_FD');
  }

  loadState(): void {
    this.without('SET_DEVICE_STATE_FD');
  }

  sendRarp(): void {
    this.without('SEND_RARP');
  }
}

/** A u64, as the argument of an ioctl points at it. */
export function word(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer);
}
