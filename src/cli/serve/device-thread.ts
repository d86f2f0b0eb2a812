import { Worker } from 'node:worker_threads';
import { type DataFd, type Device, DeviceError, type DmaLogging } from '../../uapi/device.js';
import { type BitmapRange, DirtyBitmap } from '../../uapi/dirty-bitmap.js';
import { ERRNO } from '../../uapi/errno.js';
import type { MigState } from '../../uapi/vfio.js';
import type { IovaRange, PrecopyBytes } from '../../uapi/vfio-structs.js';
import type { ServedDevice, ServerDma } from '../../vfio-user/index.js';
import { UsageError } from '../exit.js';
import { type DmaRequest, DmaWindow } from './blocking-memory.js';
import type { Answer, Call, DeviceSetup, DeviceTraits, FromDevice } from './messages.js';
import type { Operations } from './operations.js';

type Ask = <K extends keyof Operations>(
  operation: K,
  ...args: Parameters<Operations[K]>
) => Promise<Awaited<ReturnType<Operations[K]>>>;

interface Waiting {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/**
 * A device in a thread of its own. Calls go there and back as messages; its DMA stands still there until the
 * client that is attached has answered here.
 */
export class DeviceThread implements ServedDevice {
  readonly device: Device;
  readonly regions: readonly number[];
  readonly irqs: readonly number[];
  /** Hears of each DMA write that has reached the client; bytes. */
  onDmaWrite: (iova: number, length: number) => void = () => {};
  readonly #worker: Worker;
  readonly #window: DmaWindow;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #dma: ServerDma | null = null;
  #crash: Error | null = null;

  private constructor(worker: Worker, window: DmaWindow, traits: DeviceTraits) {
    this.#worker = worker;
    this.#window = window;
    this.device = new ThreadDevice(traits, this.ask);
    this.regions = traits.regions;
    this.irqs = traits.irqs;
    worker.on('message', (message: FromDevice) => this.#heard(message));
    worker.on('error', (error) => this.#fail(error as Error));
    worker.on('exit', () => this.#fail(new Error('the device has ended')));
  }

  /** @throws UsageError when the text makes no device */
  static async start(setup: Omit<DeviceSetup, 'window'>): Promise<DeviceThread> {
    const window = new DmaWindow();
    const workerData: DeviceSetup = { ...setup, window: window.shared };
    const worker = new Worker(new URL('./device-worker.js', import.meta.url), { workerData });
    const first = await new Promise<FromDevice>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    if ('ready' in first) return new DeviceThread(worker, window, first.ready);
    await worker.terminate();
    throw new UsageError(
      `--device ${setup.text}: ${'refused' in first ? first.refused : 'it does not start'}`,
    );
  }

  attach(dma: ServerDma | null): void {
    this.#dma = dma;
    this.ask('run', dma !== null).catch(() => {});
  }

  /** A digest of the whole state of the device, or null where none can be made. */
  digest(): Promise<string | null> {
    return this.ask('digest');
  }

  async end(): Promise<void> {
    this.#crash ??= new Error('the device was ended');
    await this.#worker.terminate();
  }

  readonly ask: Ask = (operation, ...args) => {
    if (this.#crash !== null) return Promise.reject(this.#crash);
    const id = ++this.#lastId;
    const call: Call = { id, operation, args };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
      this.#worker.postMessage(call);
      this.#window.wake();
    });
  };

  #heard(message: FromDevice): void {
    if ('dma' in message) void this.#transfer(message);
    else if ('id' in message) this.#answered(message);
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('result' in answer) waiting?.resolve(answer.result);
    else if (answer.code !== null) waiting?.reject(new DeviceError(answer.code, answer.message));
    else waiting?.reject(new Error(`the device has crashed: ${answer.message}`));
  }

  /** The device stands still until this is over, so there is one at a time. */
  async #transfer({ dma, iova, length }: DmaRequest): Promise<void> {
    const client = this.#dma;
    try {
      if (client === null) throw new DeviceError('EFAULT', 'no client is there');
      if (dma === 'read') this.#window.put(await client.read(iova, length));
      else {
        await client.write(iova, this.#window.take(length));
        this.onDmaWrite(iova, length);
      }
      this.#window.answer(0);
    } catch {
      this.#window.answer(ERRNO.EFAULT!);
    }
  }

  #fail(error: Error): void {
    this.#crash ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#crash);
    this.#waiting.clear();
  }
}

class ThreadDevice implements Device {
  readonly name: string;
  readonly flags: number;
  readonly offersReset: boolean;
  readonly dmaLogging: DmaLogging | null;
  readonly #ask: Ask;

  constructor({ name, flags, offersReset, logs }: DeviceTraits, ask: Ask) {
    this.name = name;
    this.flags = flags;
    this.offersReset = offersReset;
    this.dmaLogging = logs ? logOver(ask) : null;
    this.#ask = ask;
  }

  async setState(state: MigState | number): Promise<DataFd | null> {
    const fd = await this.#ask('setState', state);
    return fd === null ? null : fdOver(this.#ask, fd);
  }

  getState(): Promise<MigState> {
    return this.#ask('getState');
  }

  dataSize(): Promise<bigint> {
    return this.#ask('dataSize');
  }

  optInPrecopyInfoV2(): Promise<void> {
    return this.#ask('optInPrecopyInfoV2');
  }

  reset(): Promise<void> {
    return this.#ask('reset');
  }

  readRegion(region: number, offset: number, size: number): Promise<Uint8Array> {
    return this.#ask('readRegion', region, offset, size);
  }

  writeRegion(region: number, offset: number, bytes: Uint8Array): Promise<void> {
    return this.#ask('writeRegion', region, offset, bytes);
  }
}

const fdOver = (ask: Ask, fd: number): DataFd => ({
  read: async (into) => {
    const bytes = await ask('read', fd, into.length);
    into.set(bytes);
    return bytes.length;
  },
  write: (bytes) => ask('write', fd, bytes),
  precopyInfo: (): Promise<PrecopyBytes> => ask('precopyInfo', fd),
  close: () => ask('close', fd),
});

const logOver = (ask: Ask): DmaLogging => ({
  start: (request: { pageSize: bigint; ranges: readonly IovaRange[] }) => ask('startLog', request),
  stop: () => ask('stopLog'),
  report: async (range: BitmapRange) => new DirtyBitmap(range, await ask('reportLog', range)),
});
