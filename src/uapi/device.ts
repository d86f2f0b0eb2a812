import type { BitmapRange, DirtyBitmap } from './dirty-bitmap.js';
import { ERRNO } from './errno.js';
import type { MigState } from './vfio.js';
import type { IovaRange, PrecopyBytes } from './vfio-structs.js';

/** A result that may come later: at once from a model in this process, with a promise from a live target. */
export type Awaitable<T> = T | Promise<T>;

/**
 * The answer of a device that refuses or fails: what an ioctl, read() or write() gives as -1 and errno.
 * Every method of `Device`, `DataFd` and `DmaLogging` fails by throwing one (or by a promise that rejects
 * with one). An error of any other class is no answer of the device but a fault of the program.
 */
export class DeviceError extends Error {
  override readonly name: string = 'DeviceError';
  /** The name of the error number, such as `EINVAL`. */
  readonly code: string;
  /** The error number, positive. */
  readonly errno: number;
  /** The device cannot go on: thrown by an arc, it puts the device into ERROR. */
  readonly fatal: boolean;

  /** @throws RangeError when no error number has this name */
  constructor(code: string, message: string, options: ErrorOptions & { fatal?: boolean } = {}) {
    super(`${code}: ${message}`, options);
    const errno = ERRNO[code];
    if (errno === undefined) throw new RangeError(`no error number is called ${code}`);
    this.code = code;
    this.errno = errno;
    this.fatal = options.fatal === true;
  }
}

/** What a device refuses a call with, or null when it does not. An error of any other class goes on. */
export async function refusalOf(call: () => unknown): Promise<DeviceError | null> {
  try {
    await call();
    return null;
  } catch (error) {
    if (error instanceof DeviceError) return error;
    throw error;
  }
}

/** A data transfer session as user space holds it: the `data_fd` that a SET of MIG_DEVICE_STATE returned. */
export interface DataFd {
  /**
   * read(): fills the beginning of `into` and returns how many bytes it filled. 0 is the permanent end of
   * the stream.
   * @throws DeviceError ENOMSG when there is nothing more for now (PRE_COPY), ENODEV when the session has
   * ended, EBADF when the fd is closed or is for writing
   */
  read(into: Uint8Array): Awaitable<number>;
  /**
   * write(): returns how many bytes were taken. Any segmentation of the stream is as good as any other.
   * @throws DeviceError when the data is refused; ENODEV and EBADF as for `read`
   */
  write(bytes: Uint8Array): Awaitable<number>;
  /**
   * VFIO_MIG_GET_PRECOPY_INFO. `reinit` is there only after the opt-in (`Device.optInPrecopyInfoV2`).
   * @throws DeviceError EINVAL outside PRE_COPY and PRE_COPY_P2P, ENOTTY on a device without PRE_COPY
   */
  precopyInfo(): Awaitable<PrecopyBytes>;
  /** close(). The session itself ends with the device's state, not here. */
  close(): Awaitable<void>;
}

/** Device DMA logging: which pages the device wrote. See `dma-log.ts` for a ready-made one. */
export interface DmaLogging {
  /** DMA_LOGGING_START: `pageSize` is a hint; returns the page size that the device logs by. */
  start(request: { pageSize: bigint; ranges: readonly IovaRange[] }): Awaitable<bigint>;
  /** DMA_LOGGING_STOP. */
  stop(): Awaitable<void>;
  /** DMA_LOGGING_REPORT: the pages of this range that were written since the last report, and clears them. */
  report(range: BitmapRange): Awaitable<DirtyBitmap>;
}

/**
 * A device that migrates, at the boundary of the VFIO uAPI. Models in this process, live targets, and
 * wrappers around either implement it; whoever migrates, tests or records a device knows only this.
 */
export interface Device {
  /** As traces and reports spell it, such as `0000:3b:00.1`. */
  readonly name: string;
  /** Flags of VFIO_DEVICE_FEATURE_MIGRATION. */
  readonly flags: number;
  /** Whether there is a VFIO_DEVICE_RESET. */
  readonly offersReset: boolean;
  /** Device DMA logging, or null when the device has none. */
  readonly dmaLogging: DmaLogging | null;

  /**
   * SET of MIG_DEVICE_STATE. Returns the data_fd of a session that begins, else null.
   * @param state a number stands for itself, also one that is no state
   * @throws DeviceError when the request fails; `getState` then tells where on the way the device is
   */
  setState(state: MigState | number): Awaitable<DataFd | null>;
  /** GET of MIG_DEVICE_STATE. */
  getState(): Awaitable<MigState>;
  /** GET of MIG_DATA_SIZE: the estimated bytes of a STOP_COPY. */
  dataSize(): Awaitable<bigint>;
  /** SET of MIG_PRECOPY_INFOv2: from now on precopy info tells `reinit`. */
  optInPrecopyInfoV2(): Awaitable<void>;
  /** VFIO_DEVICE_RESET. */
  reset(): Awaitable<void>;

  /** Reads from a region (a BAR, or PCI config space) by VFIO region index; all bytes or an error. */
  readRegion(region: number, offset: number, size: number): Awaitable<Uint8Array>;
  /** Writes to a region; all bytes or an error. */
  writeRegion(region: number, offset: number, bytes: Uint8Array): Awaitable<void>;
}

/**
 * Guest memory as a device reaches it: the I/O address space that the VMM has mapped for it. Addresses are
 * IOVAs, exact as numbers (below 2^53). Every write of a device goes through here, and so into the dirty
 * tracking of the VM.
 */
export interface IoAddressSpace {
  /** DMA read: fills all of `into`. @throws DeviceError EFAULT when a byte of it is not mapped */
  read(iova: number, into: Uint8Array): void;
  /** DMA write of all bytes, marked dirty. @throws DeviceError EFAULT when a byte of it is not mapped */
  write(iova: number, bytes: Uint8Array): void;
}
