import {
  type BitmapRange,
  DeviceError,
  DirtyBitmap,
  DMA_LOGGING_MAX_RANGES,
  type DmaLogging,
  type IovaRange,
  isReportPageSize,
} from 'stopcopy/uapi';

const TOP = 1n << 64n;

/**
 * Device DMA logging as the VFIO core and a driver together answer it: the checks of the core on START and
 * REPORT, and the pages that were written, kept sparsely. Whatever a device writes by DMA it tells `mark`.
 */
export class DmaLog implements DmaLogging {
  #on: { readonly pageSize: bigint; readonly ranges: readonly IovaRange[] } | null = null;
  readonly #dirty = new Set<number>();

  /** @throws DeviceError EINVAL while logging is on, or for ranges or a page size that cannot be; E2BIG, EOVERFLOW */
  start({ pageSize, ranges }: { pageSize: bigint; ranges: readonly IovaRange[] }): bigint {
    if (this.#on) throw new DeviceError('EINVAL', 'DMA logging is on');
    if (ranges.length === 0) throw new DeviceError('EINVAL', 'no range to log');
    if (ranges.length > DMA_LOGGING_MAX_RANGES)
      throw new DeviceError('E2BIG', `${ranges.length} ranges; at most ${DMA_LOGGING_MAX_RANGES} are logged`);
    // A page number must be exact as a `number`, so pages of less than 4096 bytes are not logged.
    if (!isReportPageSize(pageSize)) throw new DeviceError('EINVAL', `page size ${pageSize}`);
    for (const range of ranges) checkRange(range, pageSize);
    const sorted = [...ranges].sort((a, b) => (a.iova < b.iova ? -1 : 1));
    for (const [index, { iova, length }] of sorted.entries()) {
      const next = sorted[index + 1];
      if (next !== undefined && next.iova < iova + length)
        throw new DeviceError('EINVAL', `two ranges have 0x${next.iova.toString(16)} in common`);
    }
    this.#dirty.clear();
    this.#on = { pageSize, ranges: sorted };
    return pageSize;
  }

  /** @throws DeviceError EINVAL while logging is off */
  stop(): void {
    if (!this.#on) throw new DeviceError('EINVAL', 'DMA logging is off');
    this.#on = null;
    this.#dirty.clear();
  }

  /** @throws DeviceError EINVAL while logging is off, or for a page size or length that cannot be; EOVERFLOW */
  report(range: BitmapRange): DirtyBitmap {
    if (!this.#on) throw new DeviceError('EINVAL', 'DMA logging is off');
    if (!isReportPageSize(range.pageSize)) throw new DeviceError('EINVAL', `page size ${range.pageSize}`);
    const end = range.iova + range.length;
    if (end >= TOP) throw new DeviceError('EOVERFLOW', 'the range runs over the end of the address space');
    const bitmap = newBitmap(range);
    const { pageSize } = this.#on;
    for (const page of this.#dirty) {
      const at = BigInt(page) * pageSize;
      bitmap.mark(at, pageSize);
      // A page that reaches out of the range stays dirty for the report of its other part.
      if (at >= range.iova && at + pageSize <= end) this.#dirty.delete(page);
    }
    return bitmap;
  }

  /** The device wrote these bytes by DMA. */
  mark(iova: bigint, length: bigint): void {
    if (!this.#on || length <= 0n) return;
    const { pageSize, ranges } = this.#on;
    for (const range of ranges) {
      const first = iova > range.iova ? iova : range.iova;
      const end = iova + length < range.iova + range.length ? iova + length : range.iova + range.length;
      for (let at = first - (first % pageSize); at < end; at += pageSize)
        this.#dirty.add(Number(at / pageSize));
    }
  }
}

function checkRange({ iova, length }: IovaRange, pageSize: bigint): void {
  const words = `${length} bytes at 0x${iova.toString(16)}`;
  if (length <= 0n || iova < 0n || (iova | length) & (pageSize - 1n))
    throw new DeviceError('EINVAL', `${words} are no whole pages of ${pageSize} bytes`);
  if (iova + length >= TOP)
    throw new DeviceError('EOVERFLOW', `${words} run over the end of the address space`);
}

function newBitmap(range: BitmapRange): DirtyBitmap {
  try {
    return new DirtyBitmap(range);
  } catch (error) {
    throw new DeviceError('EINVAL', (error as Error).message, { cause: error });
  }
}
