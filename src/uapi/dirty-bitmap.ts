/**
 * Dirty bitmaps, as `VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT`, `IOMMU_HWPT_GET_DIRTY_BITMAP` and
 * vfio-user fill them: bit k stands for the k-th unit of `page_size` bytes from `iova`, and it is
 * bit k mod 64 of the 64-bit word k div 64.
 *
 * (The formula in the comment of `vfio.h` says otherwise twice: it leaves out the division of the
 * index by 64, and shifts by the raw address. No implementation does that.)
 *
 * Words are little endian here, so the bit is also bit k mod 8 of byte k div 8.
 */

const WORD = 64;

/** What a bitmap covers. */
export interface BitmapRange {
  /** First byte address. */
  iova: bigint;
  /** Bytes covered; the last unit may be partial. */
  length: bigint;
  /** Bytes a bit stands for. */
  pageSize: bigint;
}

/**
 * A bitmap over a range of addresses.
 * @throws RangeError when the page size is not positive, the range is empty, runs over 2^64, or needs
 * more bits than an array can hold
 */
export class DirtyBitmap {
  readonly range: Readonly<BitmapRange>;
  /** Number of bits that mean something. */
  readonly bits: number;
  /** The bitmap as it is in memory: whole words, little endian. */
  readonly bytes: Uint8Array;

  /** @param bytes takes this memory instead of fresh zeros; it is not copied, and bits in it stay set */
  constructor(range: BitmapRange, bytes?: Uint8Array) {
    this.range = { ...range };
    this.bits = unitsOf(range);
    const size = bitmapBytes(this.bits);
    if (bytes !== undefined && bytes.length < size) {
      throw new RangeError(`dirty bitmap: expected at least ${size} bytes, got ${bytes.length}`);
    }
    this.bytes = bytes === undefined ? new Uint8Array(size) : bytes.subarray(0, size);
  }

  /**
   * Index of the bit that stands for an address.
   * @throws RangeError when the address is outside the range
   */
  indexOf(address: bigint): number {
    const { iova, length, pageSize } = this.range;
    if (address < iova || address >= iova + length) {
      throw new RangeError(
        `dirty bitmap: expected an address from 0x${iova.toString(16)} to 0x${(iova + length - 1n).toString(16)}, got 0x${address.toString(16)}`,
      );
    }
    return Number((address - iova) / pageSize);
  }

  /** First address of a unit. */
  addressOf(index: number): bigint {
    this.#check(index);
    return this.range.iova + BigInt(index) * this.range.pageSize;
  }

  /** Whether the unit with this index is dirty. */
  test(index: number): boolean {
    this.#check(index);
    return (this.bytes[index >> 3]! & (1 << (index & 7))) !== 0;
  }

  /** Marks the unit with this index. */
  set(index: number): void {
    this.#check(index);
    this.bytes[index >> 3]! |= 1 << (index & 7);
  }

  /**
   * Marks every unit that the bytes `[address, address + length)` touch; what lies outside is left out,
   * as a report covers only the range that was asked for.
   */
  mark(address: bigint, length: bigint): void {
    const { iova, length: covered } = this.range;
    const first = address < iova ? iova : address;
    const wanted = address + length - 1n;
    const final = iova + covered - 1n;
    if (length <= 0n || wanted < first || first > final) return;
    const last = this.indexOf(wanted > final ? final : wanted);
    for (let index = this.indexOf(first); index <= last; index++) this.set(index);
  }

  /** Number of dirty units. Bits behind the last unit do not count. */
  count(): number {
    let sum = 0;
    const whole = this.bits >> 3;
    for (let index = 0; index < whole; index++) sum += ONES[this.bytes[index]!]!;
    const left = this.bits & 7;
    return left === 0 ? sum : sum + ONES[this.bytes[whole]! & ((1 << left) - 1)]!;
  }

  /** Indices of the dirty units, ascending. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (let at = 0; at < this.bytes.length; at++) {
      for (let byte = this.bytes[at]!; byte !== 0; byte &= byte - 1) {
        const index = at * 8 + (31 - Math.clz32(byte & -byte));
        if (index < this.bits) yield index;
      }
    }
  }

  /** Ors another bitmap of the same range into this one: a report only ever sets bits. */
  merge(other: DirtyBitmap): void {
    const same = other.range.iova === this.range.iova && other.range.pageSize === this.range.pageSize;
    if (!same || other.bits !== this.bits) throw new RangeError('dirty bitmap: expected the same range');
    for (let at = 0; at < this.bytes.length; at++) this.bytes[at]! |= other.bytes[at]!;
  }

  /**
   * The same dirt with another page size: each new unit that shares a byte with a dirty unit is dirty.
   * So a device page that is larger than the report's is replicated, smaller ones are joined.
   */
  withPageSize(pageSize: bigint): DirtyBitmap {
    const out = new DirtyBitmap({ ...this.range, pageSize });
    for (const index of this) out.mark(this.addressOf(index), this.range.pageSize);
    return out;
  }

  #check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.bits) {
      throw new RangeError(`dirty bitmap: expected a unit from 0 to ${this.bits - 1}, got ${index}`);
    }
  }
}

/** Number of one bits in each byte value. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

/** Bytes of a bitmap of so many bits: whole 64-bit words. */
export function bitmapBytes(bits: number): number {
  return Math.ceil(bits / WORD) * (WORD / 8);
}

/** Number of units in a range. */
function unitsOf({ iova, length, pageSize }: BitmapRange): number {
  if (pageSize <= 0n) throw new RangeError(`dirty bitmap: expected a positive page size, got ${pageSize}`);
  if (length <= 0n || iova < 0n || iova + length > 1n << 64n) {
    throw new RangeError(`dirty bitmap: expected a range inside 2^64 bytes, got ${length} bytes at ${iova}`);
  }
  const units = (length + pageSize - 1n) / pageSize;
  if (units > 0x7fff_ffffn)
    throw new RangeError(`dirty bitmap: expected fewer than 2^31 units, got ${units}`);
  return Number(units);
}
