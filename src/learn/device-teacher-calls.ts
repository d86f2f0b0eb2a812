import { HangError, inTime } from '../target/bounded.js';
import { type Awaitable, type DataFd, type Device, DeviceError } from '../uapi/device.js';
import { DMA_LOGGING_MIN_PAGE_SIZE } from '../uapi/vfio.js';
import { type InputCall, OUTPUTS } from './alphabet.js';

/** Bytes of one read(). */
const PIECE = 1 << 20;
/** Reads of one READ: a device that gives a byte at a time must not keep the learner for hours. */
const MOST_READS = 1 << 20;

/** What is logged where DMA logging is started, and reported. */
const PAGE = BigInt(DMA_LOGGING_MIN_PAGE_SIZE);
const LOGGED = { iova: 0n, length: 16n * PAGE };

/** Bounds of the calls to a device. */
export interface CallBounds {
  /** Longest time of one call, in milliseconds. */
  readonly timeout: number;
  /** Most bytes that one READ reads. */
  maxBytes: number;
}

/** A call to the device did not end in an answer: it hung, or ended in what is none. */
export class CallLost extends Error {
  constructor(
    readonly output: typeof OUTPUTS.noAnswer | typeof OUTPUTS.broken,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** The calls of inputs, counted and bounded, with the outputs that they have. */
export class DeviceCalls {
  requests = 0;
  /** The data_fds of the word, the last one behind the others; null: it was closed. */
  readonly fds: (DataFd | null)[] = [];
  readonly #into = new Uint8Array(PIECE);

  constructor(readonly bounds: CallBounds) {}

  /** The data_fd that calls go to. */
  get fd(): DataFd | null {
    return this.fds.at(-1) ?? null;
  }

  /** Puts an input to the device. @throws CallLost when it does not answer */
  async output(device: Device, call: InputCall, image: Uint8Array): Promise<string> {
    try {
      return await this.#answer(device, call, image);
    } catch (error) {
      if (error instanceof DeviceError) return error.code;
      throw error;
    }
  }

  /** One call. @throws DeviceError, CallLost */
  async call<T>(what: string, run: () => Awaitable<T>): Promise<T> {
    this.requests++;
    try {
      return await inTime(what, this.bounds.timeout, run);
    } catch (error) {
      if (error instanceof DeviceError) throw error;
      throw new CallLost(error instanceof HangError ? OUTPUTS.noAnswer : OUTPUTS.broken, error);
    }
  }

  #answer(device: Device, call: InputCall, image: Uint8Array): Promise<string> {
    const { ok } = OUTPUTS;
    const done = async (what: string, run: () => Awaitable<unknown>) => {
      await this.call(what, run);
      return ok;
    };
    switch (call.do) {
      case 'set':
        return this.#set(device, call.state);
      case 'get':
        return this.call('GET of MIG_DEVICE_STATE', () => device.getState());
      case 'reset':
        return done('VFIO_DEVICE_RESET', () => device.reset());
      case 'data_size':
        return done('GET of MIG_DATA_SIZE', () => device.dataSize());
      case 'log_start':
        return done('DMA_LOGGING_START', () =>
          device.dmaLogging!.start({ pageSize: PAGE, ranges: [LOGGED] }),
        );
      case 'log_stop':
        return done('DMA_LOGGING_STOP', () => device.dmaLogging!.stop());
      case 'log_report':
        return done('DMA_LOGGING_REPORT', () => device.dmaLogging!.report({ ...LOGGED, pageSize: PAGE }));
      default:
        return this.#onFd(this.fd!, call.do, image);
    }
  }

  async #set(device: Device, state: Parameters<Device['setState']>[0]): Promise<string> {
    const fd = await this.call(`SET of MIG_DEVICE_STATE to ${state}`, () => device.setState(state));
    if (fd === null) return OUTPUTS.ok;
    this.fds.push(fd);
    return OUTPUTS.dataFd;
  }

  async #onFd(
    fd: DataFd,
    what: 'read' | 'write' | 'precopy_info' | 'close',
    image: Uint8Array,
  ): Promise<string> {
    switch (what) {
      case 'read':
        return this.readAll(fd);
      case 'write':
        return this.writeAll(fd, image);
      case 'precopy_info': {
        const { reinit } = await this.call('VFIO_MIG_GET_PRECOPY_INFO', () => fd.precopyInfo());
        return reinit === true ? OUTPUTS.reinit : OUTPUTS.ok;
      }
      case 'close':
        this.fds[this.fds.length - 1] = null;
        await this.call('close() of the data_fd', () => fd.close());
        return OUTPUTS.ok;
    }
  }

  /**
   * Reads to the end.
   * @param took takes what was read
   * @throws DeviceError of the read() that fails; CallLost
   */
  async readAll(fd: DataFd, took: (bytes: Uint8Array) => void = () => {}): Promise<string> {
    let total = 0;
    for (let reads = 0; reads < MOST_READS && total <= this.bounds.maxBytes; reads++) {
      const count = await this.call('read() of the data_fd', () => fd.read(this.#into));
      if (count <= 0) return total > 0 ? OUTPUTS.dataEnd : OUTPUTS.end;
      total += count;
      took(this.#into.slice(0, count));
    }
    return OUTPUTS.endless;
  }

  /** Writes all bytes. @throws DeviceError of the write() that fails; CallLost */
  async writeAll(fd: DataFd, bytes: Uint8Array): Promise<string> {
    for (let at = 0; at < bytes.length; ) {
      const taken = await this.call('write() of the data_fd', () => fd.write(bytes.subarray(at)));
      if (taken <= 0) return OUTPUTS.takesNothing;
      at += taken;
    }
    return OUTPUTS.ok;
  }

  /** Closes the data_fds of the word, whatever the device says to it. */
  async closeAll(): Promise<void> {
    for (const fd of this.fds.splice(0)) {
      if (fd === null) continue;
      try {
        await this.call('close() of the data_fd', () => fd.close());
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
      }
    }
  }
}
