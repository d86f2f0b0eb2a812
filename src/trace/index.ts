export type { EventKind, EventOf, TraceEvent } from './event.js';
export { EVENT_KINDS, TRACE_SCHEMA, traceEventSchema } from './event-schema.js';
export { traceEventJsonSchema } from './json-schema.js';
export { LineSplitter, MAX_LINE } from './lines.js';
export { type ReadOptions, type ReadSummary, readTrace, type TraceInput } from './open.js';
export {
  countUnknown,
  InputError,
  newCounts,
  type ParseContext,
  type ParseCounts,
  type Parser,
  type Reader,
} from './reader.js';
export { READERS } from './readers/index.js';
export { ndjsonHead, ndjsonLine, type TraceHead, TraceWriter, writeTrace } from './writer.js';
