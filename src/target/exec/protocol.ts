import { z } from 'zod';
import { OPTIONAL_CALLS } from '../../uapi/optional-call.js';
import { MIG_STATES } from '../../uapi/vfio.js';

/**
 * The messages between an `exec:` target and the command that is the device: one JSON object a line,
 * requests on the command's standard input, answers on its standard output. One schema, from which come
 * the checks of what the command says, the types, and the published JSON Schema.
 */

/** Version of the protocol, which `hello` tells. */
export const EXEC_VERSION = 1;
/** Most bytes of data in one message; longer reads and writes are made short. */
export const MAX_DATA = 1 << 20;
/** Longest line of the command, in characters: room for `MAX_DATA` in base64. */
export const MAX_LINE = 1 << 21;

const count = z.number().int().nonnegative();
const address = z.string().regex(/^0x[0-9a-f]{1,16}$/);
const state = z.enum(MIG_STATES);
const fd = count.describe('number of a data_fd, as the device has given it out');
const data = z
  .string()
  .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/)
  .describe('bytes in base64');
const none = z.strictObject({});

/** Every call: what its request holds, and what an answer of success gives. */
const CALLS = {
  hello: {
    about: 'the first request: who is there, and what can it do',
    request: { version: z.literal(EXEC_VERSION) },
    ok: z.strictObject({
      version: z.literal(EXEC_VERSION),
      name: z.string().min(1).max(200).describe('as reports shall name the device'),
      flags: count.max(0xffff_ffff).describe('flags of VFIO_DEVICE_FEATURE_MIGRATION'),
      calls: z
        .array(z.enum(OPTIONAL_CALLS))
        .describe('the optional calls that the device has; reopen: ending and starting the command counts'),
    }),
  },
  set_state: {
    about: 'SET of MIG_DEVICE_STATE; a number where the header has no state',
    request: { state: z.union([state, count]) },
    ok: z.strictObject({ data_fd: fd.nullable().describe('of a session that begins with it, else null') }),
  },
  get_state: { about: 'GET of MIG_DEVICE_STATE', request: {}, ok: z.strictObject({ state }) },
  read: {
    about: 'read() of a data_fd; no bytes are the permanent end of the stream',
    request: { fd, size: count.max(MAX_DATA) },
    ok: z.strictObject({ data }),
  },
  write: {
    about: 'write() to a data_fd',
    request: { fd, data },
    ok: z.strictObject({ count: count.describe('bytes that were taken, from the first on') }),
  },
  close: { about: 'close() of a data_fd', request: { fd }, ok: none },
  reset: { about: 'VFIO_DEVICE_RESET', request: {}, ok: none },
  data_size: { about: 'GET of MIG_DATA_SIZE', request: {}, ok: z.strictObject({ bytes: count }) },
  precopy_info: {
    about: 'VFIO_MIG_GET_PRECOPY_INFO; reinit only after precopy_info_v2',
    request: { fd },
    ok: z.strictObject({ initial: count, dirty: count, reinit: z.boolean().optional() }),
  },
  precopy_info_v2: { about: 'SET of MIG_PRECOPY_INFOv2', request: {}, ok: none },
  read_region: {
    about: 'read of a VFIO region: a BAR, or PCI config space',
    request: { region: count, offset: count, size: count.max(MAX_DATA) },
    ok: z.strictObject({ data }),
  },
  write_region: {
    about: 'write to a VFIO region',
    request: { region: count, offset: count, data },
    ok: none,
  },
  log_start: {
    about: 'DMA_LOGGING_START; gives the page size that the device logs by',
    request: {
      page_size: count,
      ranges: z.array(z.strictObject({ iova: address, length: address })),
    },
    ok: z.strictObject({ page_size: count }),
  },
  log_stop: { about: 'DMA_LOGGING_STOP', request: {}, ok: none },
  log_report: {
    about: 'DMA_LOGGING_REPORT; gives the bitmap, bit k of byte n for page 8n+k of the range',
    request: { iova: address, length: address, page_size: count },
    ok: z.strictObject({ bitmap: data.describe('in base64; zero bytes at its end may be left out') }),
  },
} as const;

export type Call = keyof typeof CALLS;
export const CALL_NAMES = Object.keys(CALLS) as Call[];
/** What an answer of success to a call gives. */
export type Answer<C extends Call> = z.output<(typeof CALLS)[C]['ok']>;
/** What the request of a call holds beside its name and id. */
export type Arguments<C extends Call> = {
  [K in keyof (typeof CALLS)[C]['request']]: (typeof CALLS)[C]['request'][K] extends z.ZodType
    ? z.input<(typeof CALLS)[C]['request'][K]>
    : never;
};

const id = count.describe('of the request');

/** What the command may write, with the answer of success still to be checked by its call. */
export const messageSchema = z.union([
  z.strictObject({ id, ok: z.record(z.string(), z.unknown()) }).describe('the call has succeeded'),
  z
    .strictObject({
      id,
      error: z
        .string()
        .regex(/^E[A-Z0-9]{1,20}$/)
        .describe('name of the errno'),
      message: z.string().optional().describe('for people'),
    })
    .describe('the call has failed, as one that gives -1 and errno'),
  z
    .strictObject({ event: z.literal('dma_write'), iova: address, length: count })
    .describe('the device has written guest memory; may come at any time'),
]);

/**
 * Checks an answer of success.
 * @returns the answer, or in words what is wrong with it
 */
export function checkAnswer<C extends Call>(call: C, ok: unknown): Answer<C> | string {
  const { success, data: answer, error } = CALLS[call].ok.safeParse(ok);
  return success ? (answer as Answer<C>) : issues(error);
}

/** The first things that are wrong, in words. */
function issues(error: z.ZodError): string {
  const words = error.issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '));
  return words.slice(0, 3).join('; ');
}

/** The JSON Schema of all messages, published as `docs/schema/exec-protocol.schema.json`. */
export function execProtocolJsonSchema(): Record<string, unknown> {
  const calls = Object.entries(CALLS).map(([call, { about, request, ok }]) => ({
    request: z.strictObject({ id, call: z.literal(call), ...request }).describe(about),
    answer: z.strictObject({ id, ok }).describe(`${call} has succeeded`),
  }));
  const [, ...others] = messageSchema.options;
  const all = z.union([
    ...calls.map(({ request }) => request),
    ...calls.map(({ answer }) => answer),
    ...others,
  ]);
  const { $schema, ...schema } = z.toJSONSchema(all, { target: 'draft-2020-12' });
  return {
    $schema,
    $id: `urn:stopcopy-exec-${EXEC_VERSION}:message`,
    title: `Messages of an exec: target (version ${EXEC_VERSION})`,
    description: 'One line of the standard input (requests) or output (answers and events) of the command.',
    ...schema,
  };
}
