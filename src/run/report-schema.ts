import { z } from 'zod';
import { suiteSchema } from '../suite/index.js';
import { TEST_SCHEMA } from './report.js';

/**
 * The report as a schema, from which the published JSON Schema is made. `report.ts` has the types and what each
 * field means; a test holds both equal.
 */

const count = z.number().int().nonnegative();
const reached = z.strictObject({ reached: count, total: count });

const failure = z.strictObject({
  case: z.string(),
  title: z.string(),
  rule: z.string(),
  ruleTitle: z.string(),
  party: z.enum(['driver', 'vmm', 'kernel', 'guest']),
  clause: z.strictObject({ id: z.string(), source: z.string(), text: z.string() }),
  cause: z.string(),
  step: count.nullable().describe('place of the step in the case; null: on the way back to RUNNING'),
  call: z.string(),
  expected: z.array(z.string()),
  actual: z.string(),
  errno: z.string().nullable(),
  message: z.string(),
  shrunk: z.array(z.string()).describe('the shortest sequence of calls that shows it'),
  minimal: z.boolean().describe('no call can be left out of it'),
});

/** `test --json`. */
export const testSchema = z.strictObject({
  schema: z.literal(TEST_SCHEMA),
  target: z.string(),
  device: z.string().nullable(),
  verdict: z.enum(['pass', 'fail', 'error']),
  reason: z.string().nullable().describe('why the verdict is error'),
  cases: count.describe('that ran'),
  passed: count,
  failures: z.array(failure),
  skipped: z.array(z.strictObject({ case: z.string(), reason: z.string() })),
  known: z
    .array(z.strictObject({ case: z.string(), rule: z.string(), step: count.nullable(), words: z.string() }))
    .describe('deviations that this implementation is known for'),
  coverage: z.strictObject({
    states: reached,
    arcs: reached.describe('taken alone or on the path of a request'),
    requests: reached.describe('in a state, those that are refused as well'),
    pairs: reached.describe('two requests in a row'),
    rules: reached.describe('rules of drivers that steps name'),
  }),
  capabilities: z.array(z.string()),
  profile: z.string().nullable(),
  steps: count,
  resets: count,
  durationMs: z.number().nonnegative(),
  remarks: z.array(z.string()),
  replay: suiteSchema.nullable().describe('the shrunk sequences as a suite'),
});

/** The report as JSON Schema (draft 2020-12). */
export function testJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(testSchema, { target: 'draft-2020-12' });
  return { ...schema, title: `Report of stopcopy test (${TEST_SCHEMA})` };
}
