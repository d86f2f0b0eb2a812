import { DeviceError, type IoAddressSpace } from '../../src/uapi/index.js';

/** A DMA write that a device made. */
export interface RecordedWrite {
  readonly iova: number;
  readonly length: number;
}

/**
 * Guest memory of one mapped range, which records what the device writes. The guest's own side goes through
 * `bytes` and the accessors, and is not recorded.
 */
export class TestMemory implements IoAddressSpace {
  readonly bytes: Uint8Array;
  /** All writes of the device, in their order. */
  readonly writes: RecordedWrite[] = [];
  readonly #start: number;
  readonly #view: DataView;

  constructor(size: number, start = 0) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
    this.#start = start;
  }

  read(iova: number, into: Uint8Array): void {
    const at = this.#check(iova, into.length);
    into.set(this.bytes.subarray(at, at + into.length));
  }

  write(iova: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#check(iova, bytes.length));
    this.writes.push({ iova, length: bytes.length });
  }

  /** The guest's view of a range: no copy. */
  at(iova: number, length: number): Uint8Array {
    return this.bytes.subarray(iova - this.#start, iova - this.#start + length);
  }

  u16(iova: number): number {
    return this.#view.getUint16(iova - this.#start, true);
  }

  u32(iova: number): number {
    return this.#view.getUint32(iova - this.#start, true);
  }

  u64(iova: number): bigint {
    return this.#view.getBigUint64(iova - this.#start, true);
  }

  setU64(iova: number, value: bigint): void {
    this.#view.setBigUint64(iova - this.#start, value, true);
  }

  /** The guest writes. */
  put(iova: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, iova - this.#start);
  }

  /** The writes since the last call. */
  takeWrites(): RecordedWrite[] {
    return this.writes.splice(0);
  }

  #check(iova: number, length: number): number {
    const at = iova - this.#start;
    if (at >= 0 && at + length <= this.bytes.length) return at;
    throw new DeviceError('EFAULT', `${length} bytes at 0x${iova.toString(16)} are not mapped`);
  }
}
