import type { Progress } from '../../migrate/report.js';
import { bytes, duration } from '../../text/words.js';

/** Times a second that the line on a terminal is drawn anew. */
const PERIOD = 100;
/** Milliseconds between two lines elsewhere, unless something has changed. */
const PLAIN_PERIOD = 1000;

/** Shows how far a migration is: a line that changes on a terminal, plain lines elsewhere; on standard error. */
export class MigrationProgress {
  readonly #tty = process.stderr.isTTY === true;
  readonly #quiet: boolean;
  #last = 0;
  #phase = '';
  #shown = false;

  constructor(options: { quiet: boolean }) {
    this.#quiet = options.quiet;
  }

  update(progress: Progress): void {
    if (this.#quiet) return;
    const now = performance.now();
    const phase = `${progress.status} ${progress.devices.map(({ state }) => state).join()}`;
    const period = this.#tty ? PERIOD : PLAIN_PERIOD;
    if (phase === this.#phase && now - this.#last < period) return;
    this.#last = now;
    this.#phase = phase;
    const line = progressLine(progress);
    if (!this.#tty) process.stderr.write(`${line}\n`);
    else process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns ?? 100) - 1)}`);
    this.#shown = this.#tty;
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
    this.#shown = false;
  }
}

/** One line: phase, device states, what is sent and left, rates, downtime to be expected. */
export function progressLine(progress: Progress): string {
  const { status, devices, sentBytes, remainingBytes, rate, dirtyRate, rounds, throttle } = progress;
  const states = [...new Set(devices.map(({ state }) => state))].join('/') || 'no devices';
  const expected = progress.expectedDowntimeMs;
  return [
    `${(progress.elapsedMs / 1000).toFixed(1)} s ${status}`,
    states,
    `round ${rounds}`,
    `sent ${bytes(sentBytes)}`,
    `left ${bytes(remainingBytes)}`,
    `${bytes(rate)}/s`,
    `dirty ${bytes(dirtyRate)}/s`,
    ...(expected === null ? [] : [`downtime ~${duration(expected * 1000)}`]),
    ...(throttle > 0 ? [`throttle ${Math.round(throttle * 100)} %`] : []),
  ].join('  ');
}
