import { bytes, clean } from '../text/words.js';

const PATIENCE = 500;
const INTERVAL = 100;

/** A line on standard error that tells how far the reading is. Nothing unless a person waits at a terminal. */
export class Progress {
  readonly #started = performance.now();
  readonly #on = process.stderr.isTTY === true;
  #last = 0;
  #shown = false;

  /** Takes the bytes of `file` read so far, and its size when it has one. */
  update(file: string, done: number, total: number | undefined): void {
    if (!this.#on) return;
    const now = performance.now();
    if (now - this.#started < PATIENCE || now - this.#last < INTERVAL) return;
    this.#last = now;
    this.#shown = true;
    const far = total ? `${Math.floor((100 * done) / total)} % of ${bytes(total)}` : bytes(done);
    process.stderr.write(`\r\u001b[Kreading ${clean(file).slice(-50)}: ${far}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
    this.#shown = false;
  }
}
