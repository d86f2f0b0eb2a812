import type { Awaitable, DataFd, Device, DmaLogging } from '../uapi/device.js';

/** A call did not come back in its time. Nobody knows what the device is doing, so the run ends with it. */
export class HangError extends Error {
  override readonly name = 'HangError';
  constructor(
    readonly call: string,
    readonly milliseconds: number,
  ) {
    super(`${call} has not returned within ${milliseconds} ms`);
  }
}

/**
 * Waits for a call, but not for ever. A call that blocks this process cannot be bounded.
 * @throws HangError when its time is over
 */
export function inTime<T>(call: string, milliseconds: number, run: () => Awaitable<T>): Awaitable<T> {
  const result = run();
  if (!(result instanceof Promise)) return result;
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new HangError(call, milliseconds)), milliseconds);
  });
  return Promise.race([result, end]).finally(() => clearTimeout(timer));
}

/** The device with a bound on the time of each call. */
export function bounded(device: Device, milliseconds: number): Device {
  const within = <T>(call: string, run: () => Awaitable<T>) => inTime(call, milliseconds, run);
  return {
    name: device.name,
    flags: device.flags,
    offersReset: device.offersReset,
    dmaLogging: device.dmaLogging && boundedLogging(device.dmaLogging, milliseconds),
    setState: async (state) => {
      const fd = await within(`SET of MIG_DEVICE_STATE to ${state}`, () => device.setState(state));
      return fd && boundedFd(fd, milliseconds);
    },
    getState: () => within('GET of MIG_DEVICE_STATE', () => device.getState()),
    dataSize: () => within('GET of MIG_DATA_SIZE', () => device.dataSize()),
    optInPrecopyInfoV2: () => within('SET of MIG_PRECOPY_INFOv2', () => device.optInPrecopyInfoV2()),
    reset: () => within('VFIO_DEVICE_RESET', () => device.reset()),
    readRegion: (...where) => within('a read of a region', () => device.readRegion(...where)),
    writeRegion: (...what) => within('a write of a region', () => device.writeRegion(...what)),
  };
}

function boundedFd(fd: DataFd, milliseconds: number): DataFd {
  return {
    read: (into) => inTime('read() of the data_fd', milliseconds, () => fd.read(into)),
    write: (bytes) => inTime('write() of the data_fd', milliseconds, () => fd.write(bytes)),
    precopyInfo: () => inTime('VFIO_MIG_GET_PRECOPY_INFO', milliseconds, () => fd.precopyInfo()),
    close: () => inTime('close() of the data_fd', milliseconds, () => fd.close()),
  };
}

function boundedLogging(logging: DmaLogging, milliseconds: number): DmaLogging {
  return {
    start: (request) => inTime('DMA_LOGGING_START', milliseconds, () => logging.start(request)),
    stop: () => inTime('DMA_LOGGING_STOP', milliseconds, () => logging.stop()),
    report: (range) => inTime('DMA_LOGGING_REPORT', milliseconds, () => logging.report(range)),
  };
}
