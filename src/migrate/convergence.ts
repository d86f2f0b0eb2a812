import type { MigrationParameters } from './parameters.js';

/** Rates are measured over at least so long, in milliseconds. */
const WINDOW = 100;
/** Auto-converge: what the first time takes of the guest, and each further time. */
const [FIRST_THROTTLE, MORE_THROTTLE, MOST_THROTTLE] = [0.2, 0.1, 0.99];

/**
 * When a pre-copy may end (`migration_trigger_thresholds` and `migration_iteration_run` of QEMU): when what is
 * pending would be sent within the downtime limit.
 */
export class Convergence {
  /** Bytes per second that the channel has taken, while there was something to send. */
  bandwidth = 0;
  /** Bytes that may be pending at the switchover. */
  threshold = 0;
  readonly #parameters: MigrationParameters;
  #bytes = 0;
  #time = 0;
  #fullRounds = 0;
  #throttle = 0;
  #sentAtSync = 0;

  constructor(parameters: MigrationParameters) {
    this.#parameters = parameters;
  }

  /** So many bytes were sent in so many milliseconds. */
  sent(bytes: number, milliseconds: number): void {
    this.#bytes += bytes;
    this.#time += milliseconds;
    if (this.#time < WINDOW && this.threshold > 0) return;
    if (this.#bytes === 0 || this.#time === 0) return;
    this.bandwidth = (1000 * this.#bytes) / this.#time;
    this.#bytes = 0;
    this.#time = 0;
    const { availSwitchoverBandwidth, downtimeLimit } = this.#parameters;
    this.threshold = ((availSwitchoverBandwidth || this.bandwidth) * downtimeLimit) / 1000;
  }

  /**
   * Auto-converge: how much of its time the guest loses, after a sync that found so many bytes dirty. When
   * more than half of what was sent since the last sync was dirtied anew, twice, it loses more.
   * @param sent bytes sent since the migration began
   */
  throttleAfter(dirtyBytes: number, sent: number): number {
    const period = sent - this.#sentAtSync;
    this.#sentAtSync = sent;
    if (period > 0 && dirtyBytes > period / 2) this.#fullRounds++;
    if (this.#fullRounds >= 2) {
      this.#fullRounds = 0;
      this.#throttle = Math.min(
        MOST_THROTTLE,
        this.#throttle === 0 ? FIRST_THROTTLE : this.#throttle + MORE_THROTTLE,
      );
    }
    return this.#throttle;
  }
}
