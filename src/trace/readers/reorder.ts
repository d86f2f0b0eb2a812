/**
 * Puts records that come almost in order into the order of their times.
 *
 * A recorder with one buffer per CPU hands over each CPU's records in a batch, so two calls of one
 * process can stand in the wrong order in its output. Up to `2 * window` records are held.
 */
export class Reorder<T extends { readonly end: number }> {
  #held: T[] = [];
  readonly #window: number;
  readonly #out: (record: T) => void;

  constructor(window: number, out: (record: T) => void) {
    this.#window = window;
    this.#out = out;
  }

  push(record: T): void {
    const held = this.#held;
    let at = held.length;
    // Almost always the newest record is the last: the walk from the back ends at once.
    while (at > 0 && held[at - 1]!.end > record.end) at--;
    if (at === held.length) held.push(record);
    else held.splice(at, 0, record);
    if (held.length >= 2 * this.#window) this.#release(this.#window);
  }

  /** Lets go of everything that is held. */
  flush(): void {
    this.#release(this.#held.length);
  }

  #release(count: number): void {
    for (const record of this.#held.splice(0, count)) this.#out(record);
  }
}
