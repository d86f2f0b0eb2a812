import type { Linux } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import type { VhostBackend } from '../uapi/vhost-backend.js';
import { VHOST_MAX_QUEUES, VhostUserInflight } from '../uapi/vhost-user.js';
import { BackEndMemory } from './back-end-memory.js';
import type { Answer } from './back-end-requests.js';
import { decodeInflight } from './messages.js';

/** Most descriptors of a queue. */
const LARGEST_QUEUE = 1 << 15;

/** The memory in which a device notes what is in flight: the front end keeps it when the back end is gone. */
export class BackEndInflight {
  readonly #linux: Linux;
  readonly #device: VhostBackend;
  readonly #memory: BackEndMemory;

  constructor(linux: Linux, device: VhostBackend) {
    this.#linux = linux;
    this.#device = device;
    this.#memory = new BackEndMemory(linux);
  }

  /** GET_INFLIGHT_FD: what the device wants, as a memfd. */
  async get(payload: Uint8Array): Promise<Answer> {
    const { queues, queueSize } = decodeInflight(payload);
    if (queues === 0 || queues > VHOST_MAX_QUEUES || queueSize > LARGEST_QUEUE)
      throw new DeviceError('EINVAL', `an inflight region for ${queues} queues of ${queueSize}`);
    const region = await this.#device.getInflight(queues, queueSize);
    const { bytes } = region.memory;
    const fd = this.#linux.memfd('stopcopy-inflight', bytes.length);
    try {
      const mapping = this.#linux.mmap(fd, { length: bytes.length });
      mapping.bytes.set(bytes);
      mapping.unmap();
    } catch (error) {
      this.#linux.close(fd);
      throw error;
    }
    const answer = VhostUserInflight.encode({
      mmap_size: BigInt(bytes.length),
      mmap_offset: 0n,
      num_queues: region.queues,
      queue_size: region.queueSize,
    });
    // As long as the question: some pad it and some do not.
    return { payload: answer.subarray(0, payload.length), fd };
  }

  /** SET_INFLIGHT_FD. */
  async set(payload: Uint8Array, fd: number): Promise<void> {
    const { queues, queueSize, ...place } = decodeInflight(payload);
    await this.#memory.set(fd, place, (memory) => this.#device.setInflight({ memory, queues, queueSize }));
  }

  close(): void {
    this.#memory.close();
  }
}
