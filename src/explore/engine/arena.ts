/** Every segment but the first, which grows up to it, has room for so many states: 2 to the power of this. */
export const SEGMENT_BITS = 17;
const SEGMENT = 2 ** SEGMENT_BITS;
export const SEGMENT_MASK = SEGMENT - 1;
const FIRST = 2 ** 8;

/** The words of states by number: state n is in segment `n >>> SEGMENT_BITS`, at `(n & SEGMENT_MASK) * width`. */
export class Arena {
  readonly segments: Int32Array[];

  /** @param width words of a state */
  constructor(readonly width: number) {
    this.segments = [new Int32Array(FIRST * width)];
  }

  /** States that there is room for. */
  get capacity(): number {
    return this.#small ? this.#first / this.width : this.segments.length * SEGMENT;
  }

  get bytes(): number {
    return 4 * this.width * this.capacity;
  }

  /** Bytes that growing takes for a while; where the first segment moves, the old one stays until it is copied. */
  get growth(): number {
    return 4 * (this.#small ? 2 * this.#first : SEGMENT * this.width);
  }

  grow(): void {
    if (!this.#small) this.segments.push(new Int32Array(SEGMENT * this.width));
    else {
      const grown = new Int32Array(2 * this.#first);
      grown.set(this.segments[0]!);
      this.segments[0] = grown;
    }
  }

  /** The segment that a state is in. */
  segment(state: number): Int32Array {
    return this.segments[state >>> SEGMENT_BITS]!;
  }

  /** Where in its segment a state begins. */
  offset(state: number): number {
    return (state & SEGMENT_MASK) * this.width;
  }

  /** The number behind the last state of a state's segment. */
  segmentEnd(state: number): number {
    return (state | SEGMENT_MASK) + 1;
  }

  /** The words of the first states, in parts. */
  *parts(states: number): Generator<Int32Array> {
    for (let first = 0; first < states; first += SEGMENT)
      yield this.segment(first).subarray(0, Math.min(SEGMENT, states - first) * this.width);
  }

  /**
   * Takes the words of so many states; those that were there are gone.
   * @param bytes in the byte order of this machine
   */
  fill(bytes: Uint8Array, states: number): void {
    while (this.capacity < states) this.grow();
    let at = 0;
    for (const part of this.parts(states)) {
      const size = part.byteLength;
      new Uint8Array(part.buffer, part.byteOffset, size).set(bytes.subarray(at, at + size));
      at += size;
    }
  }

  /** Bytes of an arena with room for so many states. */
  static bytesFor(states: number, width: number): number {
    let capacity = FIRST;
    while (capacity < states) capacity += Math.min(capacity, SEGMENT);
    return 4 * width * capacity;
  }

  get #first(): number {
    return this.segments[0]!.length;
  }

  get #small(): boolean {
    return this.#first < SEGMENT * this.width;
  }
}
