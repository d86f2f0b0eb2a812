import { DeviceError } from '../uapi/device.js';
import { VHOST_LOG_PAGE } from '../uapi/vhost-log.js';

interface Mapped {
  readonly gpa: number;
  readonly size: number;
  readonly iova: number;
}

/**
 * Which I/O addresses a VMM has given to guest memory and to memory of its own. They are not those of the guest,
 * so that rings of the VMM find a place beside all of the guest's memory.
 */
export class IovaTree {
  readonly #mapped: Mapped[] = [];
  #next: number;

  /** @param first lowest I/O address that may be used: a multiple of 4096 */
  constructor(first = VHOST_LOG_PAGE) {
    this.#next = first;
  }

  /** Gives I/O addresses to memory that is not the guest's. */
  take(size: number): number {
    const iova = this.#next;
    this.#next += Math.ceil(size / VHOST_LOG_PAGE) * VHOST_LOG_PAGE;
    return iova;
  }

  /** Gives I/O addresses to a region of the guest. */
  map(gpa: number, size: number): number {
    const iova = this.take(size);
    this.#mapped.push({ gpa, size, iova });
    return iova;
  }

  /** The I/O address of guest memory. @throws DeviceError EFAULT when it is not in one region */
  iovaOf(gpa: number, length: number): number {
    const region = this.#mapped.find((each) => gpa >= each.gpa && gpa + length <= each.gpa + each.size);
    if (region !== undefined) return region.iova + gpa - region.gpa;
    throw new DeviceError('EFAULT', `no guest memory holds ${length} bytes at 0x${gpa.toString(16)}`);
  }
}
