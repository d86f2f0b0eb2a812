import type { MachineDevice } from '../../migrate/machine.js';
import { type DataFd, DeviceError, type DmaLogging } from '../../uapi/device.js';
import type { BitmapRange } from '../../uapi/dirty-bitmap.js';
import type { MigState } from '../../uapi/vfio.js';
import type { IovaRange } from '../../uapi/vfio-structs.js';
import type { PciDevice } from './pci-device.js';

/** How often hardware time goes by while a client is there, in milliseconds. */
const TICK = 4;

/** What the socket's thread can ask of a device, in values that can cross between threads. */
export type Operations = ReturnType<typeof operationsOf>;

/** @param ticked called after hardware time has gone by */
export function operationsOf(machine: MachineDevice, device: PciDevice, ticked: () => void) {
  const fds = new DataFds();
  const clock = new HardwareClock(() => {
    machine.tick();
    ticked();
  });
  return {
    setState: async (state: MigState | number) => fds.keep(await device.setState(state)),
    getState: () => device.getState(),
    dataSize: () => device.dataSize(),
    optInPrecopyInfoV2: () => device.optInPrecopyInfoV2(),
    reset: () => device.reset(),
    readRegion: (region: number, offset: number, size: number) => device.readRegion(region, offset, size),
    writeRegion: async (region: number, offset: number, bytes: Uint8Array) => {
      await device.writeRegion(region, offset, bytes);
      clock.soon();
    },
    read: async (fd: number, size: number) => {
      const into = new Uint8Array(size);
      return into.subarray(0, await fds.numbered(fd).read(into));
    },
    write: (fd: number, bytes: Uint8Array) => fds.numbered(fd).write(bytes),
    precopyInfo: (fd: number) => fds.numbered(fd).precopyInfo(),
    close: (fd: number) => fds.close(fd),
    startLog: (request: { pageSize: bigint; ranges: readonly IovaRange[] }) => logOf(device).start(request),
    stopLog: () => logOf(device).stop(),
    reportLog: async (range: BitmapRange) => (await logOf(device).report(range)).bytes,
    /** A client is there, or gone. */
    run: (on: boolean) => clock.run(on),
    digest: () => machine.digest(),
  };
}

function logOf(device: PciDevice): DmaLogging {
  if (device.dmaLogging === null) throw new DeviceError('ENOTTY', `${device.name} has no DMA logging`);
  return device.dmaLogging;
}

/** data_fds by number. */
class DataFds {
  readonly #fds = new Map<number, DataFd>();
  #last = 0;

  keep(fd: DataFd | null): number | null {
    if (fd === null) return null;
    this.#fds.set(++this.#last, fd);
    return this.#last;
  }

  numbered(number: number): DataFd {
    const fd = this.#fds.get(number);
    if (fd === undefined) throw new DeviceError('EBADF', 'the data_fd is closed');
    return fd;
  }

  async close(number: number): Promise<void> {
    const fd = this.numbered(number);
    this.#fds.delete(number);
    await fd.close();
  }
}

/** Lets hardware time go by, and at once when somebody has written a register. */
class HardwareClock {
  readonly #tick: () => void;
  #timer: NodeJS.Timeout | null = null;
  #isDue = false;

  constructor(tick: () => void) {
    this.#tick = tick;
  }

  run(on: boolean): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = on ? setInterval(this.#tick, TICK) : null;
  }

  soon(): void {
    if (this.#isDue || this.#timer === null) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      if (this.#timer !== null) this.#tick();
    });
  }
}
