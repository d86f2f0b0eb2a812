import { type Linux, LONGEST_VIEW, type Mapping } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import type { SharedMemory, VhostRegion } from '../uapi/vhost-backend.js';
import type { WireRegion } from './messages.js';

/** A region is mapped in pieces of at most so many bytes, since a view has a limit; a multiple of every page size. */
const PIECE = 2 ** 31;
/** Bytes of guest memory in all. */
const LARGEST = 2 ** 40;

/** Memory of the front end as the back end maps it: guest memory, the log, the inflight region. */
export class BackEndMemory {
  readonly #linux: Linux;
  #held: Mapping[] = [];

  constructor(linux: Linux) {
    this.#linux = linux;
  }

  /**
   * Maps the regions of SET_MEM_TABLE, and takes the place of what was mapped before when `use` has accepted them.
   * @param fds one for each region; they are not needed afterwards
   * @throws DeviceError when they overlap or cannot be mapped, and what `use` throws
   */
  async setTable(
    wire: readonly WireRegion[],
    fds: readonly number[],
    use: (regions: VhostRegion[]) => unknown,
  ): Promise<void> {
    if (wire.length !== fds.length)
      throw new DeviceError(
        'EPROTO',
        `SET_MEM_TABLE with ${wire.length} regions and ${fds.length} descriptors`,
      );
    refuseOverlaps(wire);
    await this.#replacing(use, (mapped) =>
      wire.flatMap((region, index) =>
        pieces(region).map(({ gpa, size, uaddr, mmapOffset }) => {
          const memory = this.#map(fds[index]!, size, mmapOffset, mapped);
          return { gpa, size, uaddr, offset: 0, memory };
        }),
      ),
    );
  }

  /** Maps one piece of shared memory, likewise. */
  async set(
    fd: number,
    { size, offset }: { size: number; offset: number },
    use: (memory: SharedMemory) => unknown,
  ): Promise<void> {
    await this.#replacing(use, (mapped) => this.#map(fd, size, offset, mapped));
  }

  close(): void {
    for (const mapping of this.#held.splice(0)) mapping.unmap();
  }

  async #replacing<T>(use: (memory: T) => unknown, map: (mapped: Mapping[]) => T): Promise<void> {
    const mapped: Mapping[] = [];
    try {
      await use(map(mapped));
    } catch (error) {
      for (const mapping of mapped) mapping.unmap();
      throw error;
    }
    this.close();
    this.#held = mapped;
  }

  #map(fd: number, size: number, offset: number, mapped: Mapping[]): SharedMemory {
    const file = this.#linux.fileSize(fd);
    // Bytes behind the end of a file can be mapped, and end the process when they are touched.
    if (size <= 0 || offset + size > file.size)
      throw new DeviceError(
        'EINVAL',
        `${size} bytes at ${offset} of a descriptor that has ${file.size} bytes`,
      );
    const before = offset % file.page;
    if (before + size > LONGEST_VIEW)
      throw new DeviceError('EINVAL', `${size} bytes cannot be mapped as one; at most ${LONGEST_VIEW} can`);
    const mapping = this.#linux.mmap(fd, { length: before + size, offset: offset - before });
    mapped.push(mapping);
    return { bytes: mapping.bytes.subarray(before) };
  }
}

/** A region as several that follow on each other. */
function pieces(region: WireRegion): WireRegion[] {
  const { gpa, size, uaddr, mmapOffset } = region;
  return Array.from({ length: Math.ceil(size / PIECE) }, (_, index) => {
    const at = index * PIECE;
    return {
      gpa: gpa + at,
      size: Math.min(PIECE, size - at),
      uaddr: uaddr + at,
      mmapOffset: mmapOffset + at,
    };
  });
}

function refuseOverlaps(regions: readonly WireRegion[]): void {
  const total = regions.reduce((sum, { size }) => sum + size, 0);
  if (total > LARGEST)
    throw new DeviceError('EINVAL', `${total} bytes of guest memory; at most ${LARGEST} are used`);
  for (const key of ['gpa', 'uaddr'] as const) {
    const sorted = regions.toSorted((a, b) => a[key] - b[key]);
    const overlap = sorted.find((region, index) => {
      const next = sorted[index + 1];
      return next !== undefined && region[key] + region.size > next[key];
    });
    if (overlap !== undefined)
      throw new DeviceError('EINVAL', `regions overlap at ${key} 0x${overlap[key].toString(16)}`);
  }
}
