import {
  VhostUserInflightDesc as Desc,
  DeviceError,
  VhostUserInflightQueue as Head,
  type InflightRegion,
  USED,
} from 'stopcopy/uapi';
import { type AddressSpace, readFrom } from './address-space.js';

const VERSION = 1;
/** Most bytes of a region. */
const MOST = 1 << 24;

/** Bytes of the record of one queue. */
export const inflightBytes = (queueSize: number): number => Head.size + queueSize * Desc.size;

/**
 * A region for so many queues.
 * @throws DeviceError EINVAL when it would be larger than is served
 */
export function checkInflight(queues: number, queueSize: number): number {
  const bytes = queues * inflightBytes(queueSize);
  if (queues <= 0 || queueSize <= 0 || bytes > MOST)
    throw new DeviceError('EINVAL', `an inflight region for ${queues} queues of ${queueSize} descriptors`);
  return bytes;
}

/**
 * The record of one split queue's requests in flight, in memory that outlives the back end. What was taken is
 * written before it is worked on; what is returned goes as a batch, so that it can be told afterwards whether
 * the used index had been published.
 */
export class InflightLog {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #queueSize: number;
  #batch: number[] = [];
  #counter = 0n;

  /** @throws DeviceError EINVAL when the region is too small, or made for another layout */
  constructor(region: InflightRegion, index: number) {
    const { memory, queues, queueSize } = region;
    const size = inflightBytes(queueSize);
    if (index >= queues || memory.bytes.length < queues * size)
      throw new DeviceError('EINVAL', `the inflight region has no room for queue ${index}`);
    this.#bytes = memory.bytes.subarray(index * size, (index + 1) * size);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, size);
    this.#queueSize = queueSize;
    const head = Head.decode(this.#bytes);
    if (head.version !== 0 && (head.version !== VERSION || head.desc_num !== queueSize))
      throw new DeviceError('EINVAL', `the inflight region is of version ${head.version}`);
    this.#bytes.set(Head.encode({ ...head, version: VERSION, desc_num: queueSize }));
  }

  /**
   * Heads that were taken and not returned, oldest first, after the record was brought in line with the used
   * ring. A new ring has none.
   */
  recover(space: AddressSpace, used: number): number[] {
    const index = new Uint8Array(2);
    readFrom(space, used + USED.idx, index);
    const usedIdx = index[0]! | (index[1]! << 8);
    const { last_batch_head, used_idx } = Head.decode(this.#bytes);
    // The batch was published, and the end of it was not written down.
    let head = last_batch_head;
    for (let left = (usedIdx - used_idx) & 0xffff; left > 0 && head < this.#queueSize; left--) {
      if (left > this.#queueSize) break;
      this.#bytes[this.#at(head)] = 0;
      head = this.#view.getUint16(this.#at(head) + Desc.offsets.next, true);
    }
    this.#setUsedIdx(usedIdx);
    const heads = Array.from({ length: this.#queueSize }, (_, each) => each)
      .filter((each) => this.#bytes[this.#at(each)] === 1)
      .toSorted((a, b) => (this.#counterOf(a) < this.#counterOf(b) ? -1 : 1));
    for (const each of heads) {
      const counter = this.#counterOf(each);
      if (counter > this.#counter) this.#counter = counter;
    }
    return heads;
  }

  taken(head: number): void {
    if (head >= this.#queueSize) return;
    const at = this.#at(head);
    this.#view.setBigUint64(at + Desc.offsets.counter, ++this.#counter, true);
    this.#bytes[at] = 1;
  }

  /** These are about to be returned. */
  returning(heads: readonly number[]): void {
    this.#batch = heads.filter((head) => head < this.#queueSize);
    let next = Head.decode(this.#bytes).last_batch_head;
    for (const head of this.#batch) {
      this.#view.setUint16(this.#at(head) + Desc.offsets.next, next, true);
      next = head;
    }
    this.#view.setUint16(Head.offsets.last_batch_head, next, true);
  }

  /** They are returned. */
  returned(): void {
    for (const head of this.#batch) this.#bytes[this.#at(head)] = 0;
    this.#setUsedIdx((Head.decode(this.#bytes).used_idx + this.#batch.length) & 0xffff);
    this.#batch = [];
  }

  #setUsedIdx(index: number): void {
    this.#view.setUint16(Head.offsets.used_idx, index, true);
  }

  #counterOf(head: number): bigint {
    return this.#view.getBigUint64(this.#at(head) + Desc.offsets.counter, true);
  }

  #at(head: number): number {
    return Head.size + head * Desc.size;
  }
}
