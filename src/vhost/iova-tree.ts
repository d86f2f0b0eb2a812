import { DeviceError } from '../uapi/device.js';
import { VHOST_LOG_PAGE } from '../uapi/vhost-log.js';
import type { Segment } from '../virtio/index.js';

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
  #mapped: Mapped[] = [];
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

  /** Gives I/O addresses to a region of the guest. @returns the first one */
  map(gpa: number, size: number): number {
    const iova = this.take(size);
    this.#mapped.push({ gpa, size, iova });
    return iova;
  }

  /** Takes the I/O addresses of a region away. @returns the first one; null: it had none */
  unmap(gpa: number, size: number): number | null {
    const region = this.#mapped.find((each) => each.gpa === gpa && each.size === size);
    this.#mapped = this.#mapped.filter((each) => each !== region);
    return region?.iova ?? null;
  }

  /**
   * Guest memory by I/O address: a piece for each region that it stands in.
   * @throws DeviceError EFAULT when a byte is in no region
   */
  piecesOf({ address, length }: Segment): Segment[] {
    const pieces: Segment[] = [];
    for (let at = address, left = length; left > 0 || pieces.length === 0; ) {
      const region = this.#mapped.find(({ gpa, size }) => at >= gpa && at < gpa + size);
      if (region === undefined) throw new DeviceError('EFAULT', `no guest memory is at 0x${at.toString(16)}`);
      const inside = at - region.gpa;
      const size = Math.min(left, region.size - inside);
      pieces.push({ address: region.iova + inside, length: size });
      at += size;
      left -= size;
    }
    return pieces;
  }
}
