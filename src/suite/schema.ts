import { z } from 'zod';
import { MIG_STATES } from '../uapi/vfio.js';

/**
 * The form of a test suite: what generators make, emitters write and runners run. One schema, from which
 * come the types (`suite.ts`) and the checks of a suite that is read from a file.
 */

/** Name and version of the form. */
export const SUITE_SCHEMA = 'stopcopy-suite-1';

const count = z.number().int().nonnegative();
const address = z.string().regex(/^0x[0-9a-f]{1,16}$/);
const state = z
  .union([z.enum(MIG_STATES), count])
  .describe('requested state; a number where the header has none');
const fd = count.describe('which data_fd: the n-th one that the case was given, from 0');

/**
 * Bytes to write: a part of the device's own image, perhaps with some of them changed. Both ends are cut to
 * the image; a flip outside the part changes nothing.
 */
const data = z.strictObject({
  of: fd.optional().describe('the image is all that the case has read from this data_fd so far'),
  from: z.number().int().describe('first byte of the image; below zero it counts from the end').default(0),
  to: z
    .number()
    .int()
    .nullable()
    .describe('byte behind the last one; below zero from the end, null: the end')
    .default(null),
  flip: z
    .strictObject({ at: z.number().int(), mask: z.number().int().min(1).max(255) })
    .optional()
    .describe('a byte of the part (below zero: from its end) that is changed by exclusive or'),
  extra: count.optional().describe('so many zero bytes behind it'),
});

const step = <K extends string, S extends z.ZodRawShape>(call: K, words: string, shape: S) =>
  z
    .strictObject({
      do: z.literal(call),
      ...shape,
      expect: z
        .array(z.string())
        .min(1)
        .describe('outcomes that the uAPI allows here, in the words of the vfio-device machine'),
      rule: z.string().describe('the rule that another outcome breaks, where the validator names none'),
      at: z
        .enum(MIG_STATES)
        .describe('state in which the device is before the step, if it is as the model is'),
    })
    .describe(words);

/** One call and the outcomes that are allowed. */
export const stepSchema = z.discriminatedUnion('do', [
  step('set', 'SET of MIG_DEVICE_STATE; outcomes SET.X, SET.X.data_fd, FAIL.X.Y', { state }),
  step('get', 'GET of MIG_DEVICE_STATE; outcomes GET.X', {}),
  step('reset', 'VFIO_DEVICE_RESET; outcomes RESET.ok, RESET.error', {}),
  step('reopen', 'close of the device and open; outcomes OPEN.X with the state after it', {}),
  step(
    'read',
    'read() of a data_fd; outcomes READ.data, READ.end, READ.ENOMSG, READ.error; a read to the end gives what ended it',
    {
      fd,
      size: count.min(1).describe('bytes of one read()'),
      until: z.enum(['once', 'end']),
    },
  ),
  step('write', 'write() of all the bytes to a data_fd; outcomes WRITE.ok, WRITE.error', {
    fd,
    data,
    piece: count.min(1).nullable().describe('bytes of one write(); null: all at once'),
  }),
  step(
    'precopy_info',
    'VFIO_MIG_GET_PRECOPY_INFO; outcomes PRECOPY_INFO.ok, .refused (EINVAL, ENOTTY), .error',
    { fd },
  ),
  step('close', 'close() of a data_fd; outcomes CLOSE.ok, CLOSE.error', { fd }),
  step('data_size', 'GET of MIG_DATA_SIZE; outcomes DATA_SIZE.ok, DATA_SIZE.error', {}),
  step('precopy_info_v2', 'SET of MIG_PRECOPY_INFOv2; outcomes OPT_IN.ok, OPT_IN.error', {}),
  step('read_region', 'a read of a device region; outcomes REGION.ok, REGION.error', {
    region: count,
    offset: count,
    size: count,
  }),
  step('log_start', 'DMA_LOGGING_START; outcomes START.ok, START.error', {
    pageSize: count,
    ranges: z.array(z.strictObject({ iova: address, length: address })),
  }),
  step('log_stop', 'DMA_LOGGING_STOP; outcomes STOP.ok, STOP.error', {}),
  step('log_report', 'DMA_LOGGING_REPORT; outcomes REPORT.ok, REPORT.error', {
    iova: address,
    length: address,
    pageSize: count,
  }),
  step('scenario', 'a whole migration with a guest, by name; outcomes SCENARIO.ok, SCENARIO.broken', {
    name: z.string(),
  }),
]);

/** A case begins with a device in RUNNING and no session. */
export const caseSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-zA-Z0-9+.>_/-]{0,199}$/)
    .describe('stable: of the same content, the same id'),
  title: z.string(),
  criterion: z.string(),
  steps: z.array(stepSchema).min(1),
});

/** The JSON of a suite; a test holds it equal to the type. */
export const suiteSchema = z.strictObject({
  schema: z.literal(SUITE_SCHEMA),
  model: z.string(),
  capabilities: z.array(z.string()).describe('capability names of the device that the suite is for'),
  coverage: z.array(z.string()).describe('the criteria'),
  guarantee: z.string().nullable().describe('what a device that passes is known to do, in words'),
  cases: z.array(caseSchema),
});
