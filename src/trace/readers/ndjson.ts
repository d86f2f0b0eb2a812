import type { EventKind } from '../event.js';
import { EVENT_KINDS, TRACE_SCHEMA } from '../event-kinds.js';
import type { traceEventSchema } from '../event-schema.js';
import { countUnknown, InputError, type ParseContext, type Parser, type Reader } from '../reader.js';
import { firstLines, type JsonObject, lineParser, parseObject } from './line-parser.js';

/** Every kind of the vocabulary: the canonical trace can show all of them. */
const ALL_KINDS: ReadonlySet<EventKind> = new Set(EVENT_KINDS);

const SCHEMA_PREFIX = 'stopcopy-trace-';
const OPEN_BRACE = 123;
/** Blanks that JSON may begin with. */
const BLANK: ReadonlySet<number> = new Set([9, 10, 13, 32]);

function isKind(value: unknown): value is EventKind {
  return typeof value === 'string' && (ALL_KINDS as ReadonlySet<string>).has(value);
}

function detect(head: Uint8Array): number {
  const [first] = firstLines(head, 1);
  const object = first === undefined ? undefined : parseObject(first);
  if (object === undefined) return 0;
  if (object.schema === TRACE_SCHEMA) return 1;
  if (typeof object.schema === 'string' && object.schema.startsWith(SCHEMA_PREFIX)) {
    throw new InputError(
      `this trace has the schema ${object.schema}; this version reads ${TRACE_SCHEMA}. ` +
        'Read it with the version of stopcopy that wrote it.',
    );
  }
  return isKind(object.kind) ? 0.9 : 0;
}

/** The kinds that a head line says its source could show; every kind when it says nothing. */
function shownBy(head: JsonObject): ReadonlySet<EventKind> {
  return Array.isArray(head.shows) ? new Set(head.shows.filter(isKind)) : ALL_KINDS;
}

/** The check of one event; loaded when an input may be a canonical trace, for it takes a while. */
let schema: typeof traceEventSchema | undefined;

async function prepare(head: Uint8Array | undefined): Promise<void> {
  const first = head?.find((byte) => !BLANK.has(byte));
  if (first === undefined || first === OPEN_BRACE)
    schema ??= (await import('../event-schema.js')).traceEventSchema;
}

/**
 * Reads the canonical trace: events as the schema has them, one JSON object a line, below a head
 * line that may be missing. An event without `host` gets the one of the input; `file` and `line`
 * stay as they are where the trace was made from another log.
 */
function open(context: ParseContext): Parser {
  const eventSchema = schema;
  if (eventSchema === undefined) throw new Error('the reader was not prepared');
  let shows = ALL_KINDS;
  const parser = lineParser(context, (text, place, counts) => {
    if (text.trim() === '') return [];
    const object = parseObject(text);
    if (object === undefined) return undefined;
    if (object.schema === TRACE_SCHEMA) {
      // Traces put behind one another: what holds for all of them.
      const shown = shownBy(object);
      shows = new Set([...shows].filter((kind) => shown.has(kind)));
      return [];
    }
    if (typeof object.kind !== 'string') return undefined;
    if (!isKind(object.kind)) {
      countUnknown(counts, object.kind.slice(0, 64));
      return [];
    }
    if (context.wants !== undefined && !context.wants.has(object.kind)) return [];
    const event = eventSchema.safeParse({ host: place.host, ...object });
    if (!event.success) return undefined;
    return [
      event.data.file === undefined ? { ...event.data, file: place.file, line: place.line } : event.data,
    ];
  });
  return Object.defineProperty(parser, 'shows', { get: () => shows, enumerable: true });
}

export const ndjsonReader: Reader = {
  format: 'ndjson',
  title: 'canonical trace of stopcopy',
  shows: ALL_KINDS,
  prepare,
  detect,
  open,
};
