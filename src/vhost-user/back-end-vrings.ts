import type { Linux, Watch } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import type { VhostBackend } from '../uapi/vhost-backend.js';

/** The descriptors of the rings as the back end has them from the front end. */
export class BackEndVrings {
  readonly #linux: Linux;
  readonly #device: VhostBackend;
  readonly #broken: (ring: number, error: DeviceError) => void;
  readonly #kicks = new Map<number, { fd: number; watch: Watch }>();
  readonly #calls = new Map<number, number>();
  readonly #errors = new Map<number, number>();

  /** @param broken told of a ring that the device cannot go on with; it is not listened to any more */
  constructor(linux: Linux, device: VhostBackend, broken: (ring: number, error: DeviceError) => void) {
    this.#linux = linux;
    this.#device = device;
    this.#broken = broken;
  }

  /** SET_VRING_KICK. Takes the descriptor out of `fds`; with none the ring has none. */
  async setKick(ring: number, fds: number[]): Promise<void> {
    const fd = this.#eventfd(fds, 'SET_VRING_KICK');
    await this.#device.setVringKick(ring, fd !== undefined);
    this.#dropKick(ring);
    if (fd === undefined) return;
    const watch = this.#linux.watch(fd, { readable: true }, ({ failed }) => this.#kicked(ring, fd, failed));
    fds.splice(0);
    this.#kicks.set(ring, { fd, watch });
  }

  /** SET_VRING_CALL, likewise. */
  async setCall(ring: number, fds: number[]): Promise<void> {
    const fd = this.#eventfd(fds, 'SET_VRING_CALL');
    await this.#device.setVringCall(ring, fd === undefined ? null : () => this.#linux.writeEvent(fd));
    this.#keep(this.#calls, ring, fds);
  }

  /** SET_VRING_ERR, likewise. */
  setError(ring: number, fds: number[]): void {
    this.#eventfd(fds, 'SET_VRING_ERR');
    this.#keep(this.#errors, ring, fds);
  }

  /** The ring is stopped: a kick from before would start it again. */
  forgetKicks(ring: number): void {
    const kick = this.#kicks.get(ring);
    if (kick !== undefined) this.#linux.readEvent(kick.fd);
  }

  close(): void {
    for (const ring of [...this.#kicks.keys()]) this.#dropKick(ring);
    for (const kept of [this.#calls, this.#errors]) {
      for (const fd of kept.values()) this.#linux.close(fd);
      kept.clear();
    }
  }

  #kicked(ring: number, fd: number, failed: boolean): void {
    this.#linux.readEvent(fd);
    try {
      if (failed) throw new DeviceError('EIO', 'the eventfd of its kicks has failed');
      this.#device.kick(ring);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#dropKick(ring);
      const told = this.#errors.get(ring);
      if (told !== undefined) this.#linux.writeEvent(told);
      this.#broken(ring, error);
    }
  }

  #dropKick(ring: number): void {
    const kick = this.#kicks.get(ring);
    this.#kicks.delete(ring);
    if (kick === undefined) return;
    kick.watch.close();
    this.#linux.close(kick.fd);
  }

  #keep(kept: Map<number, number>, ring: number, fds: number[]): void {
    const before = kept.get(ring);
    if (before !== undefined) this.#linux.close(before);
    kept.delete(ring);
    for (const fd of fds.splice(0)) kept.set(ring, fd);
  }

  /** A read or write of anything else could wait, and give what is no count. */
  #eventfd(fds: readonly number[], request: string): number | undefined {
    const fd = fds[0];
    if (fd === undefined) return undefined;
    if (!this.#linux.isEventfd(fd))
      throw new DeviceError('EINVAL', `the descriptor of ${request} is no eventfd`);
    this.#linux.setNonBlocking(fd);
    return fd;
  }
}
