import { plural } from '../../text/words.js';

const INTERVAL = 100;

/** A line on standard error that tells how far a run is. Nothing unless a person waits at a terminal. */
export class CaseProgress {
  readonly #on = process.stderr.isTTY === true;
  #last = 0;
  #shown = false;

  update(done: number, total: number, failures: number): void {
    const now = performance.now();
    if (!this.#on || now - this.#last < INTERVAL) return;
    this.#last = now;
    this.#shown = true;
    const failed = failures > 0 ? `, ${plural(failures, 'failure')}` : '';
    process.stderr.write(`\r\u001b[Kcase ${done} of ${total}${failed}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
    this.#shown = false;
  }
}
