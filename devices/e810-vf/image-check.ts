/** Images that are checked while they arrive: whatever can be refused is refused with the byte that shows it. */
import { decodeImageA, headOfImageA } from './image-a.js';
import { decodeImageB, knownBySender, recordAt } from './image-b.js';
import { B_RECORD_HEADER } from './image-b-layout.js';
import { IMAGE_FILE_SIZE, ImageError, imageErrorOf } from './image-error.js';
import { EXTENDED_NUM_TYPES } from './image-extension-layout.js';
import { decodeRecord, layoutOfRecord, type RecordB, type RecordValue } from './image-record.js';
import { matchHeadA, stateOfImageA } from './load-a.js';
import { matchVfInfo, stateOfImageB } from './load-b.js';
import { newVfState, type VfIdentity, type VfState } from './vf-state.js';

/** One image on its way in. Whoever makes one throws it away when a call has thrown. */
export abstract class ArrivingImage {
  #bytes = new Uint8Array(4096);
  #length = 0;

  constructor(protected readonly identity: VfIdentity) {}

  /** Bytes that have come. */
  get length(): number {
    return this.#length;
  }

  /** @throws DeviceError when they cannot belong to an image of this VF */
  take(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > IMAGE_FILE_SIZE)
      throw new ImageError('trailing', 'ENOMEM', IMAGE_FILE_SIZE, 'an image has at most 128 KiB');
    if (length > this.#bytes.length) this.#grow(length);
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
    this.check(this.#bytes.subarray(0, length));
  }

  /** The state in it. @throws DeviceError when it is not complete, or no state of this VF */
  state(): VfState {
    return this.decode(this.#bytes.subarray(0, this.#length));
  }

  protected abstract check(bytes: Uint8Array): void;
  protected abstract decode(bytes: Uint8Array): VfState;

  #grow(length: number): void {
    const bytes = new Uint8Array(Math.min(IMAGE_FILE_SIZE, Math.max(length, 2 * this.#bytes.length)));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
  }
}

/** Generation A: magic and version are known after eight bytes, the match with the VF after the header. */
class ArrivingImageA extends ArrivingImage {
  #matched = false;

  protected override check(bytes: Uint8Array): void {
    if (this.#matched) return;
    const head = headOfImageA(bytes);
    if (head === null) return;
    matchHeadA(head, newVfState(this.identity));
    this.#matched = true;
  }

  protected override decode(bytes: Uint8Array): VfState {
    return stateOfImageA(decodeImageA(bytes), this.identity);
  }
}

/** Generation B: each record is looked at when it is whole. */
class ArrivingImageB extends ArrivingImage {
  #at = 0;
  #known: number = EXTENDED_NUM_TYPES;
  #ended = false;

  protected override check(bytes: Uint8Array): void {
    for (;;) {
      if (this.#ended && bytes.length > this.#at)
        throw new ImageError('trailing', 'EINVAL', this.#at, 'there are bytes behind END');
      const record = this.#next(bytes);
      if (record === null) return;
      const name = record.layout.name;
      const value = decodeRecord(record);
      if (this.#at === 0) this.#known = Math.min(this.#known, knownBySender(record));
      if (name === 'VF_INFO')
        matchVfInfo(value as unknown as RecordValue<'VF_INFO'>, newVfState(this.identity), this.#at);
      this.#ended = name === 'END';
      this.#at += B_RECORD_HEADER + record.data.length;
      if (this.#ended && bytes.length === this.#at) return;
    }
  }

  /** The next record, or null while it is not whole. */
  #next(bytes: Uint8Array): RecordB | null {
    let record: RecordB | null = null;
    const error = imageErrorOf(() => {
      record = recordAt(bytes, this.#at, this.#known);
    });
    if (error === null) return record;
    if (error.problem !== 'truncated') throw error;
    if (bytes.length - this.#at >= B_RECORD_HEADER) layoutOfRecord(bytes, this.#at, this.#known);
    return null;
  }

  protected override decode(bytes: Uint8Array): VfState {
    return stateOfImageB(decodeImageB(bytes), this.identity);
  }
}

/** An image of a generation, for a VF of this identity. */
export function arrivingImage(generation: 'a' | 'b', identity: VfIdentity): ArrivingImage {
  return generation === 'a' ? new ArrivingImageA(identity) : new ArrivingImageB(identity);
}
