import { FEATURE_FLAGS, FEATURES, migStateOf, PRECOPY_INFO_REINIT } from '../../uapi/vfio.js';
import type { TraceEvent } from '../event.js';
import { asAddress, asCount, type JsonObject } from './line-parser.js';

/** What every event of a call says of its place. `begin` and `end` are microseconds. */
export interface CallPlace {
  host: string;
  file: string;
  line: number;
  device: string;
  thread?: number;
}

/** One recorded call: its fields as the recorder wrote them, its times, and where it stands. */
export interface Call {
  readonly fields: JsonObject;
  readonly at: CallPlace;
  /** Microseconds since boot when the call began. */
  readonly begin?: number;
  /** Microseconds since boot when the call had ended. */
  readonly end?: number;
}

/** `{ [key]: value }`, or nothing when the value is not known. */
export function known<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}

/** A field that is 64 bits wide: exact as a number where it fits, else hexadecimal text. */
function addressField(value: unknown): number | string | undefined {
  if (typeof value === 'string' && /^0x[0-9a-f]{1,16}$/.test(value)) return asAddress(BigInt(value));
  return asCount(value);
}

/** The errno of a call: 0 for success, absent when the recorder did not see the result. */
export function errnoOf(fields: JsonObject): number | undefined {
  const { ret } = fields;
  if (typeof ret !== 'number' || !Number.isSafeInteger(ret)) return undefined;
  return ret < 0 ? -ret : 0;
}

/** Whether `flags` is what the kernel lets pass as a plain GET or SET. */
function isPlain(flags: number, direction: number): boolean {
  return (flags & ~FEATURE_FLAGS.MASK) === direction;
}

/**
 * The events of one VFIO_DEVICE_FEATURE call; none when the kernel refuses its flags whatever the
 * device says, or when it is of no concern to migration.
 * @returns `undefined` when fields are missing that every recorder writes
 */
export function featureCall(call: Call): readonly TraceEvent[] | undefined {
  const flags = asCount(call.fields.flags);
  const errno = errnoOf(call.fields);
  if (flags === undefined || errno === undefined) return undefined;
  const feature = flags & FEATURE_FLAGS.MASK;
  const at = { ...call.at, ...known('t', call.end) };
  if ((flags & FEATURE_FLAGS.PROBE) !== 0) return probe(feature, errno, at);
  if (isPlain(flags, FEATURE_FLAGS.SET)) return setCall(feature, errno, call, at);
  if (isPlain(flags, FEATURE_FLAGS.GET)) return getCall(feature, errno, call.fields, at);
  return [];
}

type At = CallPlace & { t?: number };

function probe(feature: number, errno: number, at: At): TraceEvent[] {
  const events: TraceEvent[] = [{ kind: 'feature_probe', ...at, feature, errno }];
  if (feature === FEATURES.DMA_LOGGING_START && errno === 0) {
    events.push({ kind: 'capabilities', ...at, dmaLogging: true });
  }
  return events;
}

function setCall(feature: number, errno: number, call: Call, at: At): TraceEvent[] | undefined {
  switch (feature) {
    case FEATURES.MIG_DEVICE_STATE:
      return setState(errno, call, at);
    case FEATURES.DMA_LOGGING_START:
      return [
        {
          kind: 'dma_logging_start',
          ...at,
          ...known('ranges', asCount(call.fields.num_ranges)),
          ...known('pageSize', asCount(call.fields.page_size)),
          errno,
        },
      ];
    case FEATURES.DMA_LOGGING_STOP:
      return [{ kind: 'dma_logging_stop', ...at, errno }];
    case FEATURES.MIG_PRECOPY_INFOv2: {
      const events: TraceEvent[] = [{ kind: 'precopy_info_v2', ...at, errno }];
      if (errno === 0) events.push({ kind: 'capabilities', ...at, precopyInfoV2: true });
      return events;
    }
    default:
      return [];
  }
}

/** The request and its answer. The kernel writes the state back only when the call succeeds. */
function setState(errno: number, call: Call, at: At): TraceEvent[] | undefined {
  const asked = asCount(call.fields.in);
  if (asked === undefined) return undefined;
  const fd = call.fields.data_fd;
  const dataFd = errno === 0 ? (typeof fd === 'number' ? fd >= 0 : undefined) : false;
  const state = errno === 0 ? migStateOf(asCount(call.fields.out) ?? -1) : undefined;
  return [
    { kind: 'set_state', ...call.at, ...known('t', call.begin), state: migStateOf(asked) ?? asked },
    { kind: 'set_state_result', ...at, ...known('state', state), errno, ...known('dataFd', dataFd) },
  ];
}

function getCall(feature: number, errno: number, fields: JsonObject, at: At): TraceEvent[] {
  const out = errno === 0 ? asCount(fields.out) : undefined;
  switch (feature) {
    case FEATURES.MIGRATION:
      return out === undefined ? [] : [{ kind: 'capabilities', ...at, flags: out }];
    case FEATURES.MIG_DEVICE_STATE:
      return [{ kind: 'get_state', ...at, ...known('state', migStateOf(out ?? -1)), errno }];
    case FEATURES.MIG_DATA_SIZE:
      return [{ kind: 'data_size', ...at, ...known('bytes', out), errno }];
    case FEATURES.DMA_LOGGING_REPORT:
      return [
        {
          kind: 'dma_logging_report',
          ...at,
          ...known('iova', addressField(fields.iova)),
          ...known('length', addressField(fields.length)),
          ...known('pageSize', asCount(fields.page_size)),
          errno,
        },
      ];
    default:
      return [];
  }
}

/** VFIO_MIG_GET_PRECOPY_INFO; the sizes count only when the call succeeded. */
export function precopyInfo(call: Call): readonly TraceEvent[] | undefined {
  const errno = errnoOf(call.fields);
  if (errno === undefined) return undefined;
  const at = { ...call.at, ...known('t', call.end) };
  if (errno !== 0) return [{ kind: 'precopy_info', ...at, errno }];
  const flags = asCount(call.fields.flags);
  return [
    {
      kind: 'precopy_info',
      ...at,
      ...known('initial', asCount(call.fields.initial)),
      ...known('dirty', asCount(call.fields.dirty)),
      ...known('reinit', flags === undefined ? undefined : (flags & PRECOPY_INFO_REINIT) !== 0),
      errno,
    },
  ];
}

/** read() or write() on a data_fd. */
export function transfer(kind: 'data_read' | 'data_write', call: Call): readonly TraceEvent[] | undefined {
  const { ret } = call.fields;
  if (typeof ret !== 'number' || !Number.isSafeInteger(ret)) return undefined;
  const at = { ...call.at, ...known('t', call.end) };
  return [{ kind, ...at, ...known('size', asCount(call.fields.count)), result: ret }];
}
