import type { TraceEvent } from '../trace/event.js';

/** An event without who saw it and when, which the chronicle knows. */
export type EventBody = {
  [K in TraceEvent['kind']]: Omit<
    Extract<TraceEvent, { kind: K }>,
    'host' | 't' | 'file' | 'line' | 'thread'
  >;
}[TraceEvent['kind']];

/** Takes the events of one host, in their order. */
export type EventSink = (event: TraceEvent) => void;

/** What one host does, told as canonical events: what `stopcopy validate` judges. */
export class Chronicle {
  readonly host: string;
  readonly #sink: EventSink | null;

  /** @param sink null: nobody wants to know */
  constructor(host: string, sink: EventSink | null) {
    this.host = host;
    this.#sink = sink;
  }

  /** The clock of the events: microseconds, of the machine, so that two processes on it agree. */
  static now(): number {
    return Number(process.hrtime.bigint() / 1000n);
  }

  /** Tells an event. */
  tell(body: EventBody): void {
    if (this.#sink === null) return;
    const { kind, ...rest } = body;
    this.#sink({ kind, t: Chronicle.now(), host: this.host, ...rest } as TraceEvent);
  }
}
