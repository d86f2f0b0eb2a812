import { VRING_DESC_F } from '../uapi/virtio.js';

/** A place in a packed ring: a descriptor, and the wrap counter that belongs to it. */
export class PackedIndex {
  at: number;
  wrap: boolean;
  readonly #size: number;

  /** @throws RangeError when the place lies outside the ring */
  constructor(size: number, at = 0, wrap = true) {
    if (at >= size) throw new RangeError(`descriptor ${at} of a packed ring of ${size}`);
    this.#size = size;
    this.at = at;
    this.wrap = wrap;
  }

  /** The place that such a word says. @throws RangeError when it lies outside the ring */
  static of(size: number, word: number): PackedIndex {
    return new PackedIndex(size, word & 0x7fff, (word & 0x8000) !== 0);
  }

  /** The place as event suppression carries it: descriptor in bits 0-14, wrap counter in bit 15. */
  get word(): number {
    return this.at | (this.wrap ? 0x8000 : 0);
  }

  /** The descriptor so many places further on. */
  after(count: number): number {
    return (this.at + count) % this.#size;
  }

  advance(count: number): void {
    this.at += count;
    if (this.at < this.#size) return;
    this.at -= this.#size;
    this.wrap = !this.wrap;
  }

  retreat(count: number): void {
    this.at -= count;
    if (this.at >= 0) return;
    this.at += this.#size;
    this.wrap = !this.wrap;
  }

  /** The flags of a descriptor here that the driver makes available in this round. */
  get availableFlags(): number {
    return this.wrap ? VRING_DESC_F.AVAIL : VRING_DESC_F.USED;
  }

  /** Whether these flags of the descriptor here say that it is available in this round. */
  isAvailable(flags: number): boolean {
    return (flags & (VRING_DESC_F.AVAIL | VRING_DESC_F.USED)) === this.availableFlags;
  }

  /** Whether these flags of the descriptor here say that it was used in this round. */
  isUsed(flags: number): boolean {
    const both = VRING_DESC_F.AVAIL | VRING_DESC_F.USED;
    return (flags & both) === (this.wrap ? both : 0);
  }

  /** Whether the place of event suppression was passed by the last `count` descriptors before this place. */
  hasPassed(event: number, count: number): boolean {
    let distance = this.at - (event & 0x7fff);
    if (((event & 0x8000) !== 0) !== this.wrap) distance += this.#size;
    // 1: the descriptor right before this place is the one that was waited for.
    return distance >= 1 && distance <= count;
  }
}
