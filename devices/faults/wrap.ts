import {
  type DataFd,
  type Device,
  type DirtyBitmap,
  type DmaLogging,
  type MigState,
  migStateOf,
} from 'stopcopy/uapi';

/** The device with some of its calls replaced. */
export function wrapDevice(device: Device, own: Partial<Device>): Device {
  return {
    name: device.name,
    flags: device.flags,
    offersReset: device.offersReset,
    dmaLogging: device.dmaLogging,
    setState: (state) => device.setState(state),
    getState: () => device.getState(),
    dataSize: () => device.dataSize(),
    optInPrecopyInfoV2: () => device.optInPrecopyInfoV2(),
    reset: () => device.reset(),
    readRegion: (region, offset, size) => device.readRegion(region, offset, size),
    writeRegion: (region, offset, bytes) => device.writeRegion(region, offset, bytes),
    ...own,
  };
}

/** The fd with some of its calls replaced. */
export function wrapFd(fd: DataFd, own: Partial<DataFd>): DataFd {
  return {
    read: (into) => fd.read(into),
    write: (bytes) => fd.write(bytes),
    precopyInfo: () => fd.precopyInfo(),
    close: () => fd.close(),
    ...own,
  };
}

/** A request as a fault sees it. */
export interface Request {
  /** The state that is asked for; undefined: a number that is no state. */
  readonly wanted: MigState | undefined;
  /** The state of the device before it. */
  readonly from: MigState;
  /** Hands the request on. */
  go(): Promise<DataFd | null>;
}

/** The device with its requests taken by `take`, and perhaps other calls replaced. */
export function onRequest(
  device: Device,
  take: (request: Request) => Promise<DataFd | null>,
  own: Partial<Device> = {},
): Device {
  return wrapDevice(device, {
    ...own,
    setState: async (state) =>
      take({
        wanted: typeof state === 'number' ? migStateOf(state) : state,
        from: await device.getState(),
        go: async () => device.setState(state),
      }),
  });
}

/** The device with each data_fd changed by `change`. */
export function onFd(device: Device, change: (fd: DataFd, state: MigState | undefined) => DataFd): Device {
  return onRequest(device, async ({ wanted, go }) => {
    const fd = await go();
    return fd && change(fd, wanted);
  });
}

/** The device with each dirty report changed by `change`; a device without DMA logging stays as it is. */
export function onReport(device: Device, change: (report: DirtyBitmap) => DirtyBitmap): Device {
  return onLogging(device, (logging) => ({ report: async (range) => change(await logging.report(range)) }));
}

/** The device with some calls of its DMA logging replaced. */
export function onLogging(device: Device, own: (logging: DmaLogging) => Partial<DmaLogging>): Device {
  const logging = device.dmaLogging;
  if (logging === null) return device;
  const changed: DmaLogging = {
    start: (request) => logging.start(request),
    stop: () => logging.stop(),
    report: (range) => logging.report(range),
    ...own(logging),
  };
  return wrapDevice(device, { dmaLogging: changed });
}
