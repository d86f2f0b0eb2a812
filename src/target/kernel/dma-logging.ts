import type { DmaLogging } from '../../uapi/device.js';
import { type BitmapRange, DirtyBitmap } from '../../uapi/dirty-bitmap.js';
import { FEATURES } from '../../uapi/vfio.js';
import {
  DmaLoggingControl,
  DmaLoggingReport,
  encodeDmaLoggingRanges,
  type IovaRange,
} from '../../uapi/vfio-structs.js';
import type { DeviceCalls } from './device-calls.js';

/** DMA logging by VFIO_DEVICE_FEATURE. */
export class KernelDmaLogging implements DmaLogging {
  readonly #calls: DeviceCalls;

  constructor(calls: DeviceCalls) {
    this.#calls = calls;
  }

  async start(request: { pageSize: bigint; ranges: readonly IovaRange[] }): Promise<bigint> {
    const { pageSize, ranges } = request;
    const data = DmaLoggingControl.encode({
      page_size: pageSize,
      num_ranges: ranges.length,
      __reserved: 0,
      ranges: 0n,
    });
    const pointed = [{ at: DmaLoggingControl.offsets.ranges, bytes: encodeDmaLoggingRanges(ranges) }];
    const after = await this.#calls.set(
      { index: FEATURES.DMA_LOGGING_START, data, pointed },
      'DMA_LOGGING_START',
    );
    return DmaLoggingControl.decode(after).page_size;
  }

  async stop(): Promise<void> {
    await this.#calls.set({ index: FEATURES.DMA_LOGGING_STOP }, 'DMA_LOGGING_STOP');
  }

  async report(range: BitmapRange): Promise<DirtyBitmap> {
    const { iova, length, pageSize } = range;
    const bitmap = bitmapFor(range);
    const data = DmaLoggingReport.encode({ iova, length, page_size: pageSize, bitmap: 0n });
    const pointed = [{ at: DmaLoggingReport.offsets.bitmap, bytes: bitmap.bytes }];
    await this.#calls.get({ index: FEATURES.DMA_LOGGING_REPORT, data, pointed }, 'DMA_LOGGING_REPORT');
    return bitmap;
  }
}

/**
 * Memory for a report. Page size and end are checked by the kernel before it touches the memory: what it
 * surely refuses gets a word.
 * @throws RangeError when the range is empty, or has more pages than a bitmap can hold
 */
function bitmapFor(range: BitmapRange): DirtyBitmap {
  const { iova, length, pageSize } = range;
  const refused = pageSize <= 0n || iova + length >= 1n << 64n;
  return new DirtyBitmap(refused ? { iova: 0n, length: 1n, pageSize: 1n } : range);
}
