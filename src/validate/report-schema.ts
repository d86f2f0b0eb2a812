import { z } from 'zod';
import { MIG_STATES } from '../uapi/vfio.js';
import { REPORT_SCHEMA } from './report.js';

/**
 * The report as a schema, from which the published JSON Schema is made. `report.ts` has the types and
 * what each field means; a test holds both equal.
 */

const count = z.number().int().nonnegative();
const time = z.number().describe('microseconds in the clock of the host');
const verdict = z.enum(['conformant', 'violation', 'inconclusive']);
const party = z.enum(['driver', 'vmm', 'kernel', 'guest']);
const level = z
  .enum(['must', 'should', 'note'])
  .describe('must: the text binds; should: it recommends; note: known behaviour, never changes a verdict');
const migState = z.enum(MIG_STATES);
const tally = z.record(z.string(), count);

const finding = z.strictObject({
  rule: z.string(),
  title: z.string(),
  party: party.describe('who is bound by the rule'),
  level,
  device: z.string().nullable().describe('null: the finding is about the whole host'),
  host: z.string(),
  file: z.string().nullable(),
  line: count.nullable().describe('from 1; for binary input the byte offset'),
  t: time.nullable(),
  message: z.string().describe('what happened'),
  expected: z.array(z.string()).describe('what would have been allowed instead'),
  before: z.array(z.string()).describe('states that were still possible before the event'),
  clause: z.strictObject({ id: z.string(), source: z.string(), text: z.string() }),
  cause: z.string().describe('what usually leads to this'),
  known: z.string().nullable().describe('how a named implementation is known to differ here'),
});

const span = z.strictObject({
  name: z.string(),
  start: time,
  end: time.nullable().describe('null: still so when the trace ended'),
});

const device = z.strictObject({
  id: z.string(),
  host: z.string(),
  verdict,
  kind: z
    .enum(['vhost', 'vhost-user', 'vdpa', 'dirty-log'])
    .optional()
    .describe('what it is, when it is no VFIO device'),
  state: z
    .string()
    .nullable()
    .optional()
    .describe('how far a back end was at the end; null: more than one is possible'),
  role: z.enum(['source', 'destination', 'none']),
  capabilities: z.array(z.string()).describe('empty when the trace does not show them'),
  finalState: migState.nullable().describe('null: more than one is possible'),
  transitions: count.describe('successful changes of state that were seen'),
  bytesRead: count,
  bytesWritten: count,
  states: z.array(span).describe('empty when the input has no times'),
});

const migration = z.strictObject({
  host: z.string(),
  role: z.enum(['source', 'destination']),
  outcome: z.enum(['completed', 'failed', 'cancelled', 'unfinished']),
  start: time.nullable(),
  total: z.number().nullable().describe('microseconds'),
  downtime: z.number().nullable().describe('microseconds'),
  bytes: z.strictObject({ precopy: count, stopcopy: count }).describe('device state by phase'),
  rounds: count,
});

const host = z.strictObject({
  id: z.string(),
  role: z.enum(['source', 'destination', 'both', 'none']),
  version: z.string().nullable(),
  statuses: z.array(span),
  runStates: z.array(span),
  curves: z.array(
    z.strictObject({
      name: z.string(),
      unit: z.enum(['bytes', 'pages']),
      points: z.array(z.tuple([z.number(), z.number()])),
    }),
  ),
});

const events = { lines: count, decoded: count, ignored: count, malformed: count, unknown: tally };

const input = z.strictObject({
  file: z.string(),
  format: z.string(),
  host: z.string(),
  bytes: count,
  cut: z.boolean().describe('the last line or record was incomplete'),
  counts: z.strictObject(events),
  remarks: z.array(z.string()),
});

/** The JSON that `stopcopy validate --json` prints. */
export const reportSchema = z.strictObject({
  schema: z.literal(REPORT_SCHEMA),
  verdict,
  reason: z.string().nullable().describe('why the verdict is inconclusive, else null'),
  devices: z.array(device),
  hosts: z.array(host),
  violations: z.array(finding),
  suppressed: tally.describe('findings beyond the bound, by rule'),
  rules: z.strictObject({
    checked: z.array(z.string()),
    notObservable: z.array(z.strictObject({ rule: z.string(), needs: z.array(z.string()) })),
    notApplicable: z.array(z.string()),
  }),
  events: z.strictObject(events).describe('unknown: names that no reader knows, with their number'),
  inputs: z.array(input),
  measurements: z.strictObject({
    migrations: z.array(migration),
    timeInState: z
      .record(z.string(), z.partialRecord(migState, z.number()))
      .describe('microseconds in each state, by host/device'),
  }),
});

/** The report as JSON Schema (draft 2020-12). */
export function reportJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(reportSchema, { target: 'draft-2020-12' });
  return { ...schema, title: `Report of stopcopy validate (${REPORT_SCHEMA})` };
}
