import type { Awaitable, DmaLogging } from '../../uapi/device.js';
import type { BitmapRange, DirtyBitmap } from '../../uapi/dirty-bitmap.js';
import type { PageBitmap } from './page-bitmap.js';
import { type DirtyTracker, PAGE } from './tracker.js';

/** Guest RAM is logged in at most two ranges, as QEMU asks for it: below this address, and from it on. */
const HIGH = 0x1_0000_0000;

/**
 * Devices that log their DMA by themselves (VFIO_DEVICE_FEATURE_DMA_LOGGING). Each is asked for the pages
 * it wrote; what devices log is theirs to know, so `mark` does nothing.
 */
export class DmaLoggingTracker implements DirtyTracker {
  readonly name: string;
  readonly #devices: readonly DmaLogging[];
  readonly #ranges: readonly BitmapRange[];

  constructor(name: string, { pages, devices }: { pages: number; devices: readonly DmaLogging[] }) {
    this.name = name;
    this.#devices = devices;
    const end = pages * PAGE;
    const range = (from: number, to: number) => ({
      iova: BigInt(from),
      length: BigInt(to - from),
      pageSize: BigInt(PAGE),
    });
    this.#ranges = end <= HIGH ? [range(0, end)] : [range(0, HIGH), range(HIGH, end)];
  }

  /** @throws DeviceError of the first device that refuses; no device logs then */
  start(): Awaitable<void> {
    const started: DmaLogging[] = [];
    const ranges = this.#ranges.map(({ iova, length }) => ({ iova, length }));
    const start = (device: DmaLogging) =>
      after(device.start({ pageSize: BigInt(PAGE), ranges }), () => {
        started.push(device);
      });
    return caught(
      () => inTurn(this.#devices, start),
      (error) =>
        after(
          inTurn(started, (device) =>
            caught(
              () => device.stop(),
              () => {},
            ),
          ),
          () => {
            throw error;
          },
        ),
    );
  }

  /** @throws DeviceError of a device that refuses */
  stop(): Awaitable<void> {
    return inTurn(this.#devices, (device) => device.stop());
  }

  mark(): void {}

  /**
   * @throws DeviceError when a device fails to report: what it has logged is lost then, and only a new start
   * with all pages dirty, or the end of the migration, is safe
   */
  sync(into: PageBitmap): Awaitable<number> {
    let sum = 0;
    const take = (first: number) => (report: DirtyBitmap) => {
      sum += into.mergeFrom(report.bytes, first);
    };
    const ask = (device: DmaLogging) =>
      inTurn(this.#ranges, (range) => after(device.report(range), take(Number(range.iova) / PAGE)));
    return after(inTurn(this.#devices, ask), () => sum);
  }
}

/** Goes on with a result: at once when it is there, else later. */
function after<T, R>(result: Awaitable<T>, next: (result: T) => Awaitable<R>): Awaitable<R> {
  return result instanceof Promise ? result.then(next) : next(result);
}

/** Does work for one after the other. */
function inTurn<T>(all: readonly T[], work: (one: T) => Awaitable<void>, index = 0): Awaitable<void> {
  for (let at = index; at < all.length; at++) {
    const result = work(all[at]!);
    if (result instanceof Promise) return result.then(() => inTurn(all, work, at + 1));
  }
}

/** Does work; what it throws, or its promise rejects with, goes to `failed`. */
function caught(work: () => Awaitable<void>, failed: (error: unknown) => Awaitable<void>): Awaitable<void> {
  try {
    const result = work();
    return result instanceof Promise ? result.catch(failed) : result;
  } catch (error) {
    return failed(error);
  }
}
