import { type GuestRig, type OpenOptions, type Target, TargetError } from 'stopcopy/target';
import {
  type Awaitable,
  type DataFd,
  type Device,
  type IoAddressSpace,
  type OptionalCall,
  refusalOf,
} from 'stopcopy/uapi';
import { DEVICE_DEFAULTS, deviceFactory } from './catalog.js';
import { wrapDevice, wrapFd } from './faults/wrap.js';
import { mockGuestRig } from './lab/index.js';
import { LabMachine } from './lab/machine.js';
import { PagedMemory } from './lab/paged-memory.js';

const SCHEME = 'mock:';
const NAME = '0000:00:04.0';

/**
 * A mock device of the catalog as a target, such as `mock:e810-vf?generation=b&precopy&fault=late-load`.
 * Its hardware lives a little with each call. The model is the same one over all opens; each one but the first
 * resets it, as a driver's open_device() does, and so shows what a reset does not reach.
 *
 * @param seed of traffic and faults
 * @throws TargetError when the catalog has no such device
 */
export function mockTarget(uri: string, seed = 1): Target {
  const text = uri.startsWith(SCHEME) ? uri.slice(SCHEME.length) : uri;
  try {
    const factory = deviceFactory(text, { ...DEVICE_DEFAULTS, seed });
    const guest = mockGuestRig(text, seed);
    return new MockTarget(uri, guest, (dma, ram) => new LabMachine(NAME, factory, dma, ram));
  } catch (error) {
    if (error instanceof RangeError) throw new TargetError(`${uri}: ${error.message}`, { cause: error });
    throw error;
  }
}

class MockTarget implements Target {
  readonly profile = undefined;
  readonly lacks: ReadonlySet<OptionalCall> = new Set();
  readonly #machine: LabMachine;
  #dmaWrite: NonNullable<OpenOptions['dmaWrite']> = () => {};
  #opened = false;

  constructor(
    readonly uri: string,
    readonly guest: GuestRig,
    make: (dma: IoAddressSpace, ram: PagedMemory) => LabMachine,
  ) {
    const ram = new PagedMemory();
    const dma: IoAddressSpace = {
      read: (iova, into) => ram.read(iova, into),
      write: (iova, bytes) => {
        this.#dmaWrite(iova, bytes.length);
        ram.write(iova, bytes);
      },
    };
    this.#machine = make(dma, ram);
  }

  async open({ dmaWrite = () => {} }: OpenOptions = {}): Promise<Device> {
    const { device } = this.#machine;
    if (this.#opened) {
      await refusalOf(() => device.reset());
      await refusalOf(() => device.dmaLogging?.stop());
    }
    this.#opened = true;
    this.#dmaWrite = dmaWrite;
    return living(device, () => this.#machine.tick());
  }

  async close(): Promise<void> {
    this.#dmaWrite = () => {};
  }
}

/** The device, for which time goes by with each call. */
function living(device: Device, tick: () => void): Device {
  const then = async <T>(call: () => Awaitable<T>): Promise<T> => {
    tick();
    try {
      return await call();
    } finally {
      tick();
    }
  };
  const livingFd = (fd: DataFd): DataFd =>
    wrapFd(fd, {
      read: (into) => then(() => fd.read(into)),
      write: (bytes) => then(() => fd.write(bytes)),
    });
  return wrapDevice(device, {
    setState: async (state) => {
      const fd = await then(() => device.setState(state));
      return fd && livingFd(fd);
    },
    getState: () => then(() => device.getState()),
    reset: () => then(() => device.reset()),
    readRegion: (region, offset, size) => then(() => device.readRegion(region, offset, size)),
    writeRegion: (region, offset, bytes) => then(() => device.writeRegion(region, offset, bytes)),
  });
}
