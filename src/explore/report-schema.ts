import { z } from 'zod';
import { EXPLORE_SCHEMA } from './report.js';

/**
 * The report as a schema, from which the published JSON Schema is made. `report.ts` and `result.ts` have the
 * types and what each field means; a test holds both equal.
 */

const count = z.number().int().nonnegative();
const verdict = z
  .enum(['holds', 'violated', 'unknown'])
  .describe('holds: every reachable state was seen; unknown: a bound has ended the search before');

const path = z.strictObject({
  actions: z.array(z.string()).describe('names of actions, from the initial state on'),
  end: z
    .enum(['state', 'step', 'deadlock', 'cycle'])
    .describe('what shows it: the last state, the last action, that nothing more can happen, or a cycle'),
  loop: count.nullable().describe('index of the action at which the cycle begins'),
  changes: z
    .array(z.record(z.string(), z.union([z.string(), count])))
    .describe('for each action the components and variables that it changed'),
  problem: z.string().nullable().describe('null: replayed on the machines, and it stands'),
});

const property = z.strictObject({
  id: z.string(),
  kind: z.enum(['always', 'never', 'sometimes', 'leadsTo']),
  words: z.string(),
  verdict,
  reason: z.string().nullable().describe('why it is not known, or what never happens'),
  counterexample: path.nullable().describe('a shortest run that breaks it'),
  witness: path.nullable().describe('a shortest run to what sometimes asks for'),
});

const options = z.strictObject({
  devices: count,
  pages: count,
  faults: count.describe('most faults in one run'),
  capabilities: z.array(z.strictObject({ p2p: z.boolean(), preCopy: z.boolean() })),
  variant: z.string().nullable().describe('a mutant or an implementation; null: as it should be'),
});

/** `explore --json`. */
export const exploreSchema = z.strictObject({
  schema: z.literal(EXPLORE_SCHEMA),
  model: z.string(),
  options,
  verdict,
  complete: z.boolean().describe('every reachable state was seen, by exact keys'),
  reason: z.enum(['memory', 'states', 'depth', 'time', 'interrupted']).nullable(),
  states: count.describe('with symmetry: one for all that differ in the order of identical members'),
  edges: count.describe('enabled actions of all states that were expanded'),
  depth: count.describe('actions on a shortest run to the furthest state'),
  properties: z.array(property),
  bounds: z.strictObject({
    memory: count.describe('bytes for states and table'),
    states: count.nullable(),
    depth: count.nullable(),
    time: count.nullable().describe('seconds'),
    symmetry: z.boolean(),
  }),
  statistics: z.strictObject({
    seconds: z.number().nonnegative(),
    bytesPerState: z.number().nonnegative(),
    statesPerSecond: z.number().nonnegative(),
    edgesPerSecond: z.number().nonnegative(),
    workers: count,
  }),
});

/** The report as JSON Schema (draft 2020-12). */
export function exploreJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(exploreSchema, { target: 'draft-2020-12' });
  return { ...schema, title: `Report of stopcopy explore (${EXPLORE_SCHEMA})` };
}
