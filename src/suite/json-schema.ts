import { z } from 'zod';
import { SUITE_SCHEMA, suiteSchema } from './schema.js';

/** The form of a suite as JSON Schema (draft 2020-12). Published as `docs/schema/suite.schema.json`. */
export function suiteJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(suiteSchema, { target: 'draft-2020-12', io: 'input', reused: 'ref' });
  return { ...schema, title: `Suite of stopcopy generate (${SUITE_SCHEMA})` };
}
