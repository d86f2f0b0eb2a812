import { z } from 'zod';
import { VHOST_INTERFACES } from '../../uapi/vhost-backend.js';

/** Name and version of the JSON that `stopcopy test --json` prints for a vhost back end. */
export const VHOST_TEST_SCHEMA = 'stopcopy-vhost-test-1';

const count = z.number().int().nonnegative();
const features = z.string().describe('feature bits as 0x…');

const failure = z.strictObject({
  case: z.string(),
  title: z.string(),
  rule: z.string().nullable().describe('null: no rule says it, the case itself found it'),
  ruleTitle: z.string().nullable(),
  party: z.enum(['driver', 'vmm', 'kernel', 'guest']),
  message: z.string(),
  clause: z.strictObject({ id: z.string(), source: z.string(), text: z.string() }).nullable(),
  cause: z.string().nullable().describe('what usually leads to this'),
});

/** `test --json` of a vhost back end. */
export const vhostTestSchema = z.strictObject({
  schema: z.literal(VHOST_TEST_SCHEMA),
  target: z.string(),
  device: z.string().nullable().describe('null: it could not be opened'),
  interface: z.enum(VHOST_INTERFACES),
  verdict: z.enum(['pass', 'fail', 'error']),
  reason: z.string().nullable().describe('why the verdict is error'),
  cases: count.describe('that ran'),
  passed: count,
  failures: z.array(failure),
  skipped: z.array(z.strictObject({ case: z.string(), reason: z.string() })),
  known: z
    .array(z.strictObject({ case: z.string(), rule: z.string(), words: z.string() }))
    .describe('deviations that this implementation is known for'),
  offered: z.strictObject({ features, protocolFeatures: features.nullable() }).nullable(),
  events: count,
  profile: z.string().nullable(),
  durationMs: z.number().nonnegative(),
});

export type VhostTestReport = z.infer<typeof vhostTestSchema>;
export type VhostTestFailure = VhostTestReport['failures'][number];

/** The report as JSON Schema (draft 2020-12). */
export function vhostTestJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(vhostTestSchema, { target: 'draft-2020-12' });
  return { ...schema, title: `Report of stopcopy test of a vhost back end (${VHOST_TEST_SCHEMA})` };
}
