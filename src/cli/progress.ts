import { bytes, clean } from '../text/words.js';
import { StatusLine } from './status-line.js';

const PATIENCE = 500;

/** Tells at a terminal how far the reading is. */
export class Progress {
  readonly #line = new StatusLine(PATIENCE);

  /** Takes the bytes of `file` read so far, and its size when it has one. */
  update(file: string, done: number, total: number | undefined): void {
    this.#line.show(() => {
      const far = total ? `${Math.floor((100 * done) / total)} % of ${bytes(total)}` : bytes(done);
      return `reading ${clean(file).slice(-50)}: ${far}`;
    });
  }

  /** Takes the line away. */
  end(): void {
    this.#line.end();
  }
}
