import type { DataFd } from '../../uapi/device.js';
import { IOCTLS } from '../../uapi/vfio.js';
import { encodePrecopyInfo, type PrecopyBytes, precopyInfo } from '../../uapi/vfio-structs.js';
import type { DeviceCalls } from './device-calls.js';

/** No descriptor: what is done to it gives EBADF. A number that was closed may be somebody else's by now. */
const CLOSED = -1;

/** A data_fd of the kernel. */
export class KernelDataFd implements DataFd {
  readonly #calls: DeviceCalls;
  /** Whether the opt-in to MIG_PRECOPY_INFOv2 was given. */
  readonly #isV2: () => boolean;
  #fd: number;

  constructor(calls: DeviceCalls, fd: number, isV2: () => boolean) {
    this.#calls = calls;
    this.#fd = fd;
    this.#isV2 = isV2;
  }

  async read(into: Uint8Array): Promise<number> {
    const { value, bytes } = await this.#calls.call(
      { call: 'read', fd: this.#fd, size: into.length },
      'read of the data_fd',
    );
    into.set(bytes);
    return value;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const { value } = await this.#calls.call({ call: 'write', fd: this.#fd, bytes }, 'write to the data_fd');
    return value;
  }

  async precopyInfo(): Promise<PrecopyBytes> {
    const request = IOCTLS.VFIO_MIG_GET_PRECOPY_INFO;
    const empty = encodePrecopyInfo({ initial: 0n, dirty: 0n });
    const { bytes } = await this.#calls.ioctl(request, empty, 'VFIO_MIG_GET_PRECOPY_INFO', this.#fd);
    return precopyInfo(bytes, this.#isV2());
  }

  async close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = CLOSED;
    await this.#calls.call({ call: 'close', fd }, 'close of the data_fd');
  }
}
