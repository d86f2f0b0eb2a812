import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { EventKind, TraceEvent } from './event.js';
import { EVENT_KINDS, TRACE_SCHEMA } from './event-kinds.js';

/** What the head of a canonical trace tells. */
export interface TraceHead {
  /** Kinds that the source of the events could show; the default is every kind. */
  shows?: ReadonlySet<EventKind>;
}

/** The first line of a canonical trace, with its newline. */
export function ndjsonHead(head: TraceHead = {}): string {
  const { shows } = head;
  const list = shows === undefined ? {} : { shows: EVENT_KINDS.filter((kind) => shows.has(kind)) };
  return `${JSON.stringify({ schema: TRACE_SCHEMA, ...list })}\n`;
}

/** One event as a line of a canonical trace, with its newline. */
export function ndjsonLine(event: TraceEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/**
 * Writes a canonical trace to a stream. The stream stays open: who opened it ends it.
 *
 * @param events in the order of the trace; pulled no faster than the stream takes them
 * @returns how many events were written
 * @throws what the stream emits as `error`
 */
export async function writeTrace(
  out: Writable,
  events: Iterable<TraceEvent> | AsyncIterable<TraceEvent>,
  head: TraceHead = {},
): Promise<number> {
  const writer = new TraceWriter(out, head);
  for await (const event of events) if (!writer.write(event)) await once(out, 'drain');
  return writer.events;
}

/** Writes a canonical trace event by event, for sources that push. */
export class TraceWriter {
  readonly #out: Writable;
  #events = 0;

  /** Writes the head line at once. */
  constructor(out: Writable, head: TraceHead = {}) {
    this.#out = out;
    out.write(ndjsonHead(head));
  }

  /** Events written so far. */
  get events(): number {
    return this.#events;
  }

  /** Writes one event; `false` asks the caller to wait for `drain`, as `Writable.write` does. */
  write(event: TraceEvent): boolean {
    this.#events++;
    return this.#out.write(ndjsonLine(event));
  }
}
