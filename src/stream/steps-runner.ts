import type { Cursor, Steps } from './cursor.js';

/** Runs a parser over blocks: the parser stops where they run out. */
export class StepsRunner {
  readonly #cursor: Cursor;
  readonly #steps: Steps;
  #failure: { error: unknown } | undefined;
  #done = false;

  constructor(cursor: Cursor, steps: Steps) {
    this.#cursor = cursor;
    this.#steps = steps;
  }

  write(block: Uint8Array): void {
    this.#cursor.feed(block);
    this.#step();
    this.#cursor.release();
  }

  end(): void {
    if (this.#cursor.ended) return;
    this.#cursor.ended = true;
    this.#cursor.feed(new Uint8Array(0));
    this.#step();
  }

  #step(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#done) return;
    try {
      this.#done = this.#steps.next().done === true;
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }
}
