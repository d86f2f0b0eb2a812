import type { EventKind, TraceEvent } from '../../trace/event.js';
import type { Model } from '../model.js';
import type { Path } from '../result.js';

/** Microseconds between two steps of a run. */
const STEP = 1000;

/**
 * A run as a canonical trace: the events of its actions in their order, a millisecond from step to step. The
 * actions of a cycle come once.
 */
export function traceOf(model: Model, path: Path): TraceEvent[] {
  return path.actions.flatMap((name, index) =>
    model.actions
      .find((each) => each.name === name)!
      .events.map((event, at) => ({ ...event, t: (index + 1) * STEP + at })),
  );
}

/** The kinds of event that a recording of any run of the model can show: what the head of a trace tells. */
export function kindsOf(model: Model): Set<EventKind> {
  return new Set(model.actions.flatMap(({ events }) => events.map(({ kind }) => kind)));
}
