import type { z } from 'zod';
import type { traceEventSchema } from './event-schema.js';

/** One canonical event; `kind` tells the variants apart. See `event-schema.ts` for each field. */
export type TraceEvent = z.infer<typeof traceEventSchema>;

export type EventKind = TraceEvent['kind'];

/** The variant with this kind. */
export type EventOf<K extends EventKind> = Extract<TraceEvent, { kind: K }>;
