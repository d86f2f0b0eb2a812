import type { EventOf, TraceEvent } from '../trace/event.js';
import type { Scope } from './rule.js';
import type { Law, Readings } from './vhost-log-blame.js';
import { LoggedDevice } from './vhost-log-device.js';
import { type PageRuns, WaitingPages, type Write } from './vhost-log-pages.js';

/** One back end: what it wrote, and what was read of its log. */
export class BackEnd {
  readonly state = new LoggedDevice();
  readonly waiting = new WaitingPages();
  readonly readings: Readings = { epoch: 0, readsSinceSwap: 0, firstFound: Infinity, marked: new Set() };
  serial = 0;
  lastWrite: Write | undefined;
  /** The log was read since logging began. */
  harvested = false;
  /** The trace tells writes, and not only what has changed. */
  tellsWrites = false;
  /** Readings since the last look at memory; null: too many, so that every page may have been in one. */
  sinceLook: PageRuns[] | null = [];
  /** Laws that the writes since the last final reading put to the test. */
  readonly tried = new Set<Law>();
  /** Set from the stop of the last ring on. */
  quiet: { seen: Set<number>; reads: number; final: boolean } | undefined;
  /** A write for a ring that has no backend, until it is known that it is not the one that comes with the backend. */
  suspect: EventOf<'vhost_write'> | undefined;
  /** The first final reading that came while rings ran. It stands when the trace shows rings being stopped at all. */
  early: { event: EventOf<'vhost_log_read'>; rings: number[] } | undefined;
  stops = false;
  /** What was said last about the size of the log. */
  saidSize = '';

  constructor(readonly id: string) {}

  /** Logging begins anew: what was missing before is the business of another migration. */
  begin(): void {
    this.waiting.clear();
    this.tried.clear();
    this.harvested = false;
    this.sinceLook = [];
    this.readings.epoch = 0;
    this.readings.readsSinceSwap = 0;
    this.readings.firstFound = Infinity;
    this.readings.marked.clear();
  }
}

/** The rules that hear of broken laws, by law. */
export class Laws {
  readonly #scopes = new Map<Law, Scope>();

  listen(law: Law, scope: Scope): void {
    this.#scopes.set(law, scope);
  }

  check(...laws: readonly Law[]): void {
    for (const law of laws) this.#scopes.get(law)?.check();
  }

  fail(law: Law, event: TraceEvent, { id }: BackEnd, message: string, expected: string[] = []): void {
    this.#scopes.get(law)?.fail(event, message, expected, id);
  }
}
