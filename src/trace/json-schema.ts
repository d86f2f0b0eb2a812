import { z } from 'zod';
import { TRACE_SCHEMA, traceEventSchema } from './event-schema.js';

/**
 * The JSON Schema (draft 2020-12) of one canonical event, made from the zod schema that the NDJSON
 * reader checks with. Published as `docs/schema/trace-event.schema.json`.
 */
export function traceEventJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(traceEventSchema, { target: 'draft-2020-12' });
  return {
    $schema,
    $id: `urn:${TRACE_SCHEMA}:event`,
    title: 'Canonical trace event of stopcopy',
    description: `One line of a trace whose head line has the schema ${TRACE_SCHEMA}.`,
    ...schema,
  };
}
