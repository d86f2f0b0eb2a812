const INTERVAL = 100;

/**
 * A line on standard error that tells how far some work is, ten times a second at most. Nothing unless a
 * person waits at a terminal.
 */
export class StatusLine {
  readonly #on = process.stderr.isTTY === true;
  readonly #from: number;
  #last = 0;
  #shown = false;

  /** @param patience milliseconds before the line is shown for the first time */
  constructor(patience = 0) {
    this.#from = performance.now() + patience;
  }

  /** Shows what `text` gives, unless it is too early. */
  show(text: () => string): void {
    const now = performance.now();
    if (!this.#on || now < this.#from || now - this.#last < INTERVAL) return;
    this.#last = now;
    this.#shown = true;
    process.stderr.write(`\r\u001b[K${text()}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
    this.#shown = false;
  }
}
