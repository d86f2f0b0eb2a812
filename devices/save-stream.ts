/**
 * Bytes that wait to be read, in their order: the common part of a `SaveSession`. What it is made with
 * counts as initial data, what is appended later does not.
 */
export class SaveStream {
  readonly #chunks: Uint8Array[] = [];
  #initial = 0;
  #later = 0;

  constructor(initial: Uint8Array = new Uint8Array(0)) {
    this.#add(initial);
    this.#initial = initial.length;
  }

  /** Initial bytes that were not read yet. */
  get initial(): number {
    return this.#initial;
  }

  /** Bytes that were appended and not read yet. */
  get later(): number {
    return this.#later;
  }

  /** Puts bytes behind all others; they are not copied. */
  append(bytes: Uint8Array): void {
    this.#add(bytes);
    this.#later += bytes.length;
  }

  /** Moves as many bytes as there are and fit; returns how many. */
  read(into: Uint8Array): number {
    let filled = 0;
    while (filled < into.length && this.#chunks.length > 0) {
      const chunk = this.#chunks[0]!;
      const part = chunk.subarray(0, into.length - filled);
      into.set(part, filled);
      filled += part.length;
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
    }
    const first = Math.min(filled, this.#initial);
    this.#initial -= first;
    this.#later -= filled - first;
    return filled;
  }

  #add(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#chunks.push(bytes);
  }
}
