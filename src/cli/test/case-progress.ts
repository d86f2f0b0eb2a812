import { plural } from '../../text/words.js';
import { StatusLine } from '../status-line.js';

/** Tells at a terminal how far a run of test cases is. */
export class CaseProgress {
  readonly #line = new StatusLine();

  update(done: number, total: number, failures: number): void {
    const failed = failures > 0 ? `, ${plural(failures, 'failure')}` : '';
    this.#line.show(() => `case ${done} of ${total}${failed}`);
  }

  /** Takes the line away. */
  end(): void {
    this.#line.end();
  }
}
