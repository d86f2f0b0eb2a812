import type { Linux, Mapping } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import type { InflightRegion } from '../uapi/vhost-backend.js';
import { closeFds } from './connection.js';
import type { decodeInflight } from './messages.js';

/** Memory that a back end has given: it stays until the connection is closed. */
export class FrontEndMappings {
  readonly #linux: Linux;
  readonly #held: { fd: number; mapping: Mapping }[] = [];

  constructor(linux: Linux) {
    this.#linux = linux;
  }

  /**
   * The answer to GET_INFLIGHT_FD. Owns the descriptors from now on.
   * @throws DeviceError EPROTO when it is not one descriptor of enough bytes
   */
  inflight(payload: Uint8Array, fds: number[], decode: typeof decodeInflight): InflightRegion {
    try {
      if (fds.length !== 1 || payload.length < 20)
        throw new DeviceError(
          'EPROTO',
          `GET_INFLIGHT_FD gave ${payload.length} bytes and ${fds.length} descriptors`,
        );
      const fd = fds[0]!;
      const { size, offset, queues, queueSize } = decode(payload);
      if (offset + size > this.#linux.fileSize(fd).size)
        throw new DeviceError('EPROTO', `the inflight region is shorter than ${offset + size} bytes`);
      const mapping = this.#linux.mmap(fd, { length: size, offset });
      this.#held.push({ fd, mapping });
      fds.splice(0);
      return { memory: { bytes: mapping.bytes, fd }, queues, queueSize };
    } finally {
      closeFds(this.#linux, fds);
    }
  }

  close(): void {
    for (const { fd, mapping } of this.#held.splice(0)) {
      mapping.unmap();
      this.#linux.close(fd);
    }
  }
}
