import { DeviceError } from '../uapi/device.js';
import { MAP, PROT } from './constants.js';
import { type Foreign, failed, LONGEST_VIEW } from './libc.js';

/** Memory of this process: bytes, and where they are. */
export interface Mapping {
  readonly bytes: Uint8Array;
  readonly address: bigint;
  /**
   * Gives the memory back. Views of it that somebody still holds see zeros from then on, and what they write goes
   * nowhere. A second call does nothing.
   */
  unmap(): void;
}

export interface MapOptions {
  /** Bytes. */
  readonly length: number;
  /** Where in the file it begins; a multiple of the page size. */
  readonly offset?: number;
  /** Write too; the default is yes. */
  readonly writable?: boolean;
}

/** Maps memory, and gives address ranges back when the last view of them is gone. */
export class Mapper {
  readonly #foreign: Foreign;
  readonly #gone: FinalizationRegistry<{ at: number; length: number }>;

  constructor(foreign: Foreign) {
    this.#foreign = foreign;
    this.#gone = new FinalizationRegistry(({ at, length }) => foreign.libc.munmap(at, length));
  }

  /**
   * @param fd a file whose memory is shared, or -1 for memory of this process alone
   * @throws DeviceError when it cannot be mapped; EINVAL: empty, or more than one view can show
   */
  map(fd: number, { length, offset = 0, writable = true }: MapOptions): Mapping {
    if (!Number.isSafeInteger(length) || length <= 0 || length > LONGEST_VIEW)
      throw new DeviceError('EINVAL', `a mapping of ${length} bytes; 1 to ${LONGEST_VIEW} are possible`);
    const { libc, errno, view } = this.#foreign;
    const prot = PROT.READ | (writable ? PROT.WRITE : 0);
    const flags = fd === -1 ? MAP.PRIVATE | MAP.ANONYMOUS : MAP.SHARED;
    const at = libc.mmap(0, length, prot, flags, fd, offset);
    if (at === -1) throw failed(errno(), `mmap of ${length} bytes`);
    const buffer = view(at, length);
    this.#gone.register(buffer, { at, length });
    let isMapped = true;
    return {
      bytes: new Uint8Array(buffer),
      address: BigInt(at),
      unmap: () => {
        if (!isMapped) return;
        isMapped = false;
        // A view cannot be taken back, and one of a hole would end the process: it gets other memory.
        const nothing = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED | MAP.NORESERVE;
        libc.mmap(at, length, PROT.READ | PROT.WRITE, nothing, -1, 0);
      },
    };
  }
}
