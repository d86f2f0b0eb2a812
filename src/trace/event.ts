import type { z } from 'zod';
import type { traceEventSchema } from './event-schema.js';

/** One canonical event; `kind` tells the variants apart. See `event-schema.ts` for each field. */
export type TraceEvent = z.infer<typeof traceEventSchema>;

/** The kinds of canonical event. */
export type EventKind = TraceEvent['kind'];

/** The variant with this kind. */
export type EventOf<K extends EventKind> = Extract<TraceEvent, { kind: K }>;
