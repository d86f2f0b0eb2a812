import { z } from 'zod';

/** The parts that the schemas of events are put together from. */

export const count = z.number().int().nonnegative();
export const errno = z.number().int().nonnegative().describe('positive errno, 0 for success');
/** A result in the manner of read(2): bytes, or a negative errno. */
export const transferResult = z.number().int().describe('bytes moved, or a negative errno');
/** An address, a size in bytes, or a word of feature bits; as text where it may be above 2^53. */
export const address = z.union([count, z.string().regex(/^0x[0-9a-f]{1,16}$/)]);

const place = {
  t: z.number().optional().describe('time in microseconds, in the clock of this host'),
  host: z.string().describe('the process or kernel in which this was seen'),
  file: z.string().optional().describe('input file'),
  line: count.optional().describe('line of the file from 1; for binary input the byte offset'),
  thread: count.optional().describe('thread id'),
};

const onDevice = { ...place, device: z.string().describe('device name as the source spells it') };

/** An event of one device. */
export const deviceEvent = <K extends string, S extends z.ZodRawShape>(kind: K, words: string, shape: S) =>
  z.strictObject({ kind: z.literal(kind), ...onDevice, ...shape }).describe(words);

/** An event of a whole host. */
export const hostEvent = <K extends string, S extends z.ZodRawShape>(kind: K, words: string, shape: S) =>
  z.strictObject({ kind: z.literal(kind), ...place, ...shape }).describe(words);
