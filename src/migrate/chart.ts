import { type ChartActor, type Machine, startChart } from '../machines/index.js';

/** The VMM was about to do what its own protocol does not allow: a fault of this program. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/**
 * A chart of `src/machines` that runs. Whatever a VMM does is put to the charts that know of it first, so a
 * step that the protocol does not have cannot be taken.
 */
export class Chart {
  readonly #actor: ChartActor;
  readonly #subject: string;

  /** @param subject whom the chart is about, for messages */
  constructor(machine: Machine, subject: string) {
    this.#actor = startChart(machine);
    this.#subject = subject;
  }

  /** The state of the chart; the regions of a chart that has several are joined by a blank. */
  get state(): string {
    return this.#actor.configuration.join(' ');
  }

  /** @throws ProtocolError when the chart refuses the event */
  take(event: string): void {
    if (this.#actor.send(event)) return;
    throw new ProtocolError(
      `${this.#actor.name} of ${this.#subject} does not take ${event} in ${this.state}`,
    );
  }
}
