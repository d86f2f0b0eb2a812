import { z } from 'zod';

/** Name and version of the form. */
export const STATS_SCHEMA = 'stopcopy-suite-stats-1';

const count = z.number().int().nonnegative();
const covered = z.strictObject({ reached: count, total: count });
const lowerBound = count
  .nullable()
  .describe('no suite that reaches the criteria has fewer steps; null where no bound is known');

const one = {
  schema: z.literal(STATS_SCHEMA),
  model: z.string(),
  capabilities: z.array(z.string()),
  cases: count,
  steps: count.describe('calls to the device'),
  resets: count.describe(
    'how often the device is brought to RUNNING without a session: before each case, and by steps that reset or reopen it',
  ),
  coverage: z
    .strictObject({ states: covered, arcs: covered, requests: covered, pairs: covered, rules: covered })
    .describe('reached and total, of a device that does what is allowed'),
  lowerBound,
  guarantee: z.string().nullable().describe('what a device that passes is known to do, in words'),
  criteria: z.array(
    z.strictObject({
      criterion: z.string(),
      cases: count,
      steps: count,
      resets: count,
      coverage: covered.nullable().describe('of what the criterion is about; null where that is no measure'),
      lowerBound,
      proof: z.string().nullable().describe('by what the lower bound is known'),
    }),
  ),
};

/** What a suite has, and what it covers. */
export const statsSchema = z.strictObject(one);

const printedSchema = z.strictObject({ ...one, capabilitySets: z.array(statsSchema).optional() });

/** What `generate --stats --json` prints. */
export type Stats = z.output<typeof statsSchema>;
/** What one criterion costs. */
export type CriterionStats = Stats['criteria'][number];

/**
 * `generate --stats --json` as JSON Schema (draft 2020-12). Published as `docs/schema/suite-stats.schema.json`.
 * Where no capabilities are named, it tells of a device that has all, and beside that of each capability set.
 */
export function statsJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(printedSchema, { target: 'draft-2020-12', reused: 'ref' });
  return { ...schema, title: `Statistics of stopcopy generate (${STATS_SCHEMA})` };
}
