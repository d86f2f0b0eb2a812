import { z } from 'zod';
import { VFIO_STREAM_TAGS, type VfioStreamTag } from '../uapi/qemu.js';
import { SECTION_TYPES } from '../uapi/qemu-stream.js';
import { INSPECT_SCHEMA } from './report.js';

/**
 * The report as a schema, from which the published JSON Schema is made. `report.ts` has the types and
 * what each field means; a test holds both equal.
 */

const count = z.number().int().nonnegative();
const tag = z.enum(Object.keys(VFIO_STREAM_TAGS) as [VfioStreamTag, ...VfioStreamTag[]]);
const subsection = z.strictObject({ name: z.string(), version: count, size: count });

const section = z.strictObject({
  type: z.enum(SECTION_TYPES),
  idstr: z.string(),
  instance: count,
  version: count,
  id: count.describe('section id, by which PART, END and footers refer to their START'),
  offset: count.describe('of the first byte'),
  size: count.describe('bytes with head and footer'),
  bodySize: count,
  complete: z.boolean().describe('its end was reached'),
  records: z
    .array(z.strictObject({ tag, size: count.optional() }))
    .optional()
    .describe('VFIO records, at most the first few'),
  recordsOmitted: count.optional(),
});

const pages = {
  pages: count.describe("sent with all their bytes: QEMU's normal; a page that is sent twice counts twice"),
  zeroPages: count.describe("QEMU's duplicate; a mapped-ram file does not tell them"),
  encodedPages: count.describe('sent as XBZRLE or compressed data'),
  bytes: count.describe('page data, without the heads of the records'),
};

const vfio = z.strictObject({
  idstr: z.string(),
  instance: count,
  records: count.describe('tagged records, or packets of a multifd channel'),
  dataBytes: count.describe('device data without heads'),
  configBytes: count.describe('config state'),
  pci: z.string().nullable().describe('vendor:device of the config space'),
  tags: z.partialRecord(tag, count),
});

const device = z.strictObject({
  name: z.string(),
  instance: count,
  vmsd: z.string().optional(),
  version: count.optional(),
  size: count.describe("bytes of the section's body"),
  fields: count,
  subsections: z.array(subsection),
});

/** The JSON that `stopcopy inspect --json` prints. */
export const inspectSchema = z.strictObject({
  schema: z.literal(INSPECT_SCHEMA),
  format: z.enum(['migration-stream', 'multifd-channel']),
  complete: z.boolean().describe('the stream has its end, and nothing before it is damaged'),
  offset: count.describe('where it begins in its file'),
  bytes: count.describe('read and understood'),
  pageSize: count.nullable(),
  configuration: z
    .strictObject({
      offset: count,
      size: count,
      machine: z.string(),
      subsections: z.array(z.strictObject({ name: z.string(), version: count, value: z.string() })),
    })
    .nullable(),
  sections: z.array(section).describe('in the order of the stream'),
  sectionsOmitted: count.describe('beyond the bound of the list; totals count them'),
  commands: z.array(z.strictObject({ name: z.string(), offset: count, value: z.string() })),
  commandsOmitted: count,
  ram: z.strictObject({
    ...pages,
    blocks: z.array(z.strictObject({ name: z.string(), usedLength: count.nullable(), ...pages })),
  }),
  vfio: z.array(vfio),
  totals: z
    .array(z.strictObject({ idstr: z.string(), instance: count, sections: count, bytes: count }))
    .describe('bytes of all sections by what they belong to'),
  eof: z.strictObject({ offset: count }).nullable(),
  description: z
    .strictObject({ offset: count, size: count, pageSize: count.nullable(), devices: z.array(device) })
    .nullable(),
  multifd: z.strictObject({ channel: count, uuid: z.string(), packets: count, syncs: count }).nullable(),
  trailing: count.describe('bytes behind the end'),
  remarks: z.array(z.string()),
  error: z
    .strictObject({ offset: count, message: z.string() })
    .optional()
    .describe('where the stream is damaged or cut'),
});

/** The report as JSON Schema (draft 2020-12). */
export function inspectJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(inspectSchema, { target: 'draft-2020-12' });
  return { ...schema, title: `Report of stopcopy inspect (${INSPECT_SCHEMA})` };
}
