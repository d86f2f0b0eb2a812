import { z } from 'zod';
import { MIGRATE_SCHEMA } from './report.js';

/**
 * The report as a schema, from which the published JSON Schema is made. `report.ts` has the types and what each
 * field means; a test holds both equal.
 */

const count = z.number().int().nonnegative();
const milliseconds = z.number().nonnegative();

const books = z.strictObject({
  framesAccepted: count.describe('taken over by the device from the wire'),
  framesReceived: count.describe("received by the guest's driver"),
  framesSent: count.describe("handed to the device by the guest's driver"),
  framesOnWire: count,
  framesLost: count.describe(
    'accepted and never received, or sent and never on the wire; in flight does not count',
  ),
  framesDuplicated: count,
  framesReordered: count,
  framesCorrupted: count,
  framesDropped: count.describe('that the wire could not deliver; not lost'),
  interruptsMissed: count,
  mailboxRequests: count,
  mailboxMisanswered: count.describe('answered more or less often than once'),
  complaints: z.array(z.string()),
});

const device = z.strictObject({
  name: z.string(),
  model: z.string(),
  bytes: count.describe('device data in the stream'),
  stateEqual: z.boolean().nullable(),
  works: z.boolean().nullable().describe('the guest has traffic in both directions'),
  books: books.nullable(),
});

/** `migrate --json`. */
export const migrateSchema = z.strictObject({
  schema: z.literal(MIGRATE_SCHEMA),
  outcome: z.enum(['completed', 'cancelled', 'failed', 'ambiguous']),
  running: z
    .enum(['source', 'destination', 'none'])
    .describe('where the VM runs, as far as the reporter can know'),
  error: z.string().nullable(),
  advice: z.string().nullable().describe('what a person has to do'),
  memoryEqual: z.boolean().nullable(),
  deviceStateEqual: z.boolean().nullable(),
  framesLost: count.nullable(),
  framesDuplicated: count.nullable(),
  downtimeMs: milliseconds.nullable(),
  totalMs: milliseconds,
  setupMs: milliseconds.nullable(),
  bytes: z.strictObject({ ram: count.describe('of pages'), device: count, total: count }),
  phases: z.record(z.string(), count).describe('bytes by phase'),
  pages: z.strictObject({ normal: count, zero: count }),
  rounds: count.describe('how often the dirty bitmap was synced'),
  guestSlowdown: z.number().nullable().describe('share of guest time that was lost, 0 to 1'),
  throttle: z.number(),
  prerequisites: z.array(z.strictObject({ what: z.string(), ok: z.boolean(), found: z.string() })),
  devices: z.array(device),
});

/** The report as JSON Schema (draft 2020-12). */
export function migrateJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(migrateSchema, { target: 'draft-2020-12' });
  return { ...schema, title: `Report of stopcopy migrate (${MIGRATE_SCHEMA})` };
}
