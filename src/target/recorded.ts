import type { TraceEvent } from '../trace/event.js';
import { type Awaitable, type DataFd, type Device, DeviceError, type DmaLogging } from '../uapi/device.js';
import type { BitmapRange, DirtyBitmap } from '../uapi/dirty-bitmap.js';
import { type MigState, migStateOf } from '../uapi/vfio.js';
import type { IovaRange, PrecopyBytes } from '../uapi/vfio-structs.js';

/** Where recorded events go, and what they are called. */
export interface RecorderOptions {
  /** The host of the events: the process that uses the device. Two sides of a migration need two names. */
  host: string;
  /** Takes each event, in order. */
  emit(event: TraceEvent): void;
  /** Time in microseconds; without it the events have none. */
  now?(): number;
}

type Body = {
  [K in TraceEvent['kind']]: Omit<Extract<TraceEvent, { kind: K }>, 'host' | 'device'>;
}[TraceEvent['kind']];
type Answer<K extends TraceEvent['kind']> = Omit<
  Extract<TraceEvent, { kind: K }>,
  'kind' | 'host' | 'device'
>;

/**
 * The same device, with every call and its answer told as canonical events: `validateEvents` judges them,
 * `ndjsonLine` writes them. Recording begins with the opening of the device and what it offers.
 *
 * Only answers are recorded: success, and `DeviceError`. An error of another class passes through, and the
 * trace shows a request without an answer. After a request that failed the device is asked for its state,
 * so that the event can say where the failure left it.
 */
export function recorded(device: Device, options: RecorderOptions): Device {
  return new RecordedDevice(device, options);
}

/** Emits events for one device. */
class Log {
  constructor(
    readonly device: string,
    readonly options: RecorderOptions,
  ) {}

  emit(body: Body): void {
    const { host, now } = this.options;
    const { kind, ...rest } = body;
    const t = now === undefined ? {} : { t: now.call(this.options) };
    this.options.emit({ kind, ...t, host, device: this.device, ...rest } as TraceEvent);
  }

  /** Calls, and emits the event that `answer` makes of the result, or of the errno. */
  async call<T>(
    call: () => Awaitable<T>,
    done: (result: T) => Body,
    failed: (errno: number) => Body,
  ): Promise<T> {
    let result: T;
    try {
      result = await call();
    } catch (error) {
      if (error instanceof DeviceError) this.emit(failed(error.errno));
      throw error;
    }
    this.emit(done(result));
    return result;
  }

  /** A call whose event has an `errno`, and more when it succeeds. */
  query<K extends 'data_size' | 'precopy_info' | 'precopy_info_v2' | 'get_state' | 'reset', T>(
    kind: K,
    call: () => Awaitable<T>,
    answer: (result: T) => Answer<K>,
  ): Promise<T> {
    return this.call(
      call,
      (result) => ({ kind, ...answer(result), errno: 0 }) as Body,
      (errno) => ({ kind, errno }) as Body,
    );
  }
}

class RecordedDevice implements Device {
  readonly name: string;
  readonly flags: number;
  readonly offersReset: boolean;
  readonly dmaLogging: DmaLogging | null;
  readonly #device: Device;
  readonly #log: Log;

  constructor(device: Device, options: RecorderOptions) {
    const { name, flags, offersReset, dmaLogging } = device;
    this.#device = device;
    this.name = name;
    this.flags = flags;
    this.offersReset = offersReset;
    this.#log = new Log(name, options);
    this.dmaLogging = dmaLogging && new RecordedDmaLogging(dmaLogging, this.#log);
    this.#log.emit({ kind: 'device_open' });
    this.#log.emit({
      kind: 'capabilities',
      flags,
      precopyInfoV2: false,
      dmaLogging: dmaLogging !== null,
      reset: offersReset,
    });
  }

  async setState(wanted: MigState | number): Promise<DataFd | null> {
    const state = typeof wanted === 'number' ? (migStateOf(wanted) ?? wanted) : wanted;
    this.#log.emit({ kind: 'set_state', state });
    let fd: DataFd | null;
    try {
      fd = await this.#device.setState(state);
    } catch (error) {
      if (error instanceof DeviceError) {
        const at = await this.#stateNow();
        this.#log.emit({ kind: 'set_state_result', ...at, errno: error.errno, dataFd: false });
      }
      throw error;
    }
    const at = typeof state === 'string' ? { state } : await this.#stateNow();
    this.#log.emit({ kind: 'set_state_result', ...at, errno: 0, dataFd: fd !== null });
    return fd && new RecordedFd(fd, this.#log);
  }

  async #stateNow(): Promise<{ state?: MigState }> {
    try {
      return { state: await this.#device.getState() };
    } catch {
      return {};
    }
  }

  getState(): Promise<MigState> {
    return this.#log.query(
      'get_state',
      () => this.#device.getState(),
      (state) => ({ state }),
    );
  }

  dataSize(): Promise<bigint> {
    return this.#log.query(
      'data_size',
      () => this.#device.dataSize(),
      (bytes) => ({ bytes: Number(bytes) }),
    );
  }

  async optInPrecopyInfoV2(): Promise<void> {
    await this.#log.query(
      'precopy_info_v2',
      () => this.#device.optInPrecopyInfoV2(),
      () => ({}),
    );
    this.#log.emit({ kind: 'capabilities', precopyInfoV2: true });
  }

  reset(): Promise<void> {
    const offered = this.offersReset ? {} : { offered: false };
    return this.#log.query(
      'reset',
      () => this.#device.reset(),
      () => offered,
    );
  }

  readRegion(region: number, offset: number, size: number): Awaitable<Uint8Array> {
    return this.#device.readRegion(region, offset, size);
  }

  writeRegion(region: number, offset: number, bytes: Uint8Array): Awaitable<void> {
    return this.#device.writeRegion(region, offset, bytes);
  }
}

class RecordedFd implements DataFd {
  readonly #fd: DataFd;
  readonly #log: Log;

  constructor(fd: DataFd, log: Log) {
    this.#fd = fd;
    this.#log = log;
  }

  read(into: Uint8Array): Promise<number> {
    return this.#move('data_read', into.length, () => this.#fd.read(into));
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#move('data_write', bytes.length, () => this.#fd.write(bytes));
  }

  #move(kind: 'data_read' | 'data_write', size: number, call: () => Awaitable<number>): Promise<number> {
    return this.#log.call(
      call,
      (result) => ({ kind, size, result }),
      (errno) => ({ kind, size, result: -errno }),
    );
  }

  precopyInfo(): Promise<PrecopyBytes> {
    return this.#log.query(
      'precopy_info',
      () => this.#fd.precopyInfo(),
      ({ initial, dirty, reinit }) => ({
        initial: Number(initial),
        dirty: Number(dirty),
        ...(reinit === undefined ? {} : { reinit }),
      }),
    );
  }

  async close(): Promise<void> {
    await this.#fd.close();
    this.#log.emit({ kind: 'data_close' });
  }
}

class RecordedDmaLogging implements DmaLogging {
  readonly #logging: DmaLogging;
  readonly #log: Log;

  constructor(logging: DmaLogging, log: Log) {
    this.#logging = logging;
    this.#log = log;
  }

  start(request: { pageSize: bigint; ranges: readonly IovaRange[] }): Promise<bigint> {
    const what = { ranges: request.ranges.length, pageSize: Number(request.pageSize) };
    const answer = (errno: number): Body => ({ kind: 'dma_logging_start', ...what, errno });
    return this.#log.call(
      () => this.#logging.start(request),
      () => answer(0),
      answer,
    );
  }

  stop(): Promise<void> {
    const answer = (errno: number): Body => ({ kind: 'dma_logging_stop', errno });
    return this.#log.call(
      () => this.#logging.stop(),
      () => answer(0),
      answer,
    );
  }

  report(range: BitmapRange): Promise<DirtyBitmap> {
    const { iova, length, pageSize } = range;
    const what = {
      iova: `0x${iova.toString(16)}`,
      length: `0x${length.toString(16)}`,
      pageSize: Number(pageSize),
    };
    const answer = (errno: number): Body => ({ kind: 'dma_logging_report', ...what, errno });
    return this.#log.call(
      () => this.#logging.report(range),
      () => answer(0),
      answer,
    );
  }
}
