import { FEATURE_FLAGS, FEATURES, migStateOf } from '../../uapi/vfio.js';
import {
  VfioUserDeviceFeature,
  VfioUserLoggingControl,
  VfioUserLoggingReport,
  VfioUserMigration,
  VfioUserMigState,
} from '../../uapi/vfio-user.js';
import type { TraceEvent } from '../event.js';
import { asAddress, asCount } from './line-parser.js';

/** Fields that every event of one device starts with. */
export type OnDevice = { t?: number; host: string; file: string; line: number; device: string };

/** Payload of a DEVICE_FEATURE message, taken apart. */
export interface Feature {
  index: number;
  get: boolean;
  set: boolean;
  probe: boolean;
  data: Uint8Array;
}

/** @throws RangeError when the payload is too short */
export function decodeFeature(payload: Uint8Array): Feature {
  const { flags } = VfioUserDeviceFeature.decode(payload);
  return {
    index: flags & FEATURE_FLAGS.MASK,
    get: (flags & FEATURE_FLAGS.GET) !== 0,
    set: (flags & FEATURE_FLAGS.SET) !== 0,
    probe: (flags & FEATURE_FLAGS.PROBE) !== 0,
    data: payload.subarray(VfioUserDeviceFeature.size),
  };
}

/** Whether this is a plain SET of the device state. */
export function isSetState(feature: Feature): boolean {
  return feature.index === FEATURES.MIG_DEVICE_STATE && feature.set && !feature.get && !feature.probe;
}

/** The state that a MIG_DEVICE_STATE payload names: a number when the header has none. */
export function stateIn(data: Uint8Array): ReturnType<typeof migStateOf> | number {
  // libvfio-user takes the state alone, without the descriptor behind it.
  const bytes = data.length === 4 ? Buffer.concat([data, Buffer.alloc(4)]) : data;
  const { device_state: state } = VfioUserMigState.decode(bytes);
  return migStateOf(state) ?? state;
}

/**
 * The event of an answered DEVICE_FEATURE.
 * @param request the request's payload
 * @param reply data of the reply behind its feature header, absent when the reply has none
 * @param errno 0 for success
 * @throws RangeError when a payload is too short for what it claims to be
 */
export function featureEvents(
  request: Feature,
  reply: Uint8Array | undefined,
  errno: number,
  at: OnDevice,
): readonly TraceEvent[] {
  if (request.probe) return [{ kind: 'feature_probe', ...at, feature: request.index, errno }];
  if (request.get === request.set) return [];
  return request.set ? setEvents(request, errno, at) : getEvents(request, reply, errno, at);
}

function setEvents(request: Feature, errno: number, at: OnDevice): readonly TraceEvent[] {
  switch (request.index) {
    case FEATURES.MIG_DEVICE_STATE: {
      const state = errno === 0 ? stateIn(request.data) : undefined;
      return [{ kind: 'set_state_result', ...at, ...(typeof state === 'string' ? { state } : {}), errno }];
    }
    case FEATURES.DMA_LOGGING_START: {
      const control = VfioUserLoggingControl.decode(request.data);
      const pageSize = asCount(control.page_size);
      const size = pageSize === undefined ? {} : { pageSize };
      return [{ kind: 'dma_logging_start', ...at, ranges: control.num_ranges, ...size, errno }];
    }
    case FEATURES.DMA_LOGGING_STOP:
      return [{ kind: 'dma_logging_stop', ...at, errno }];
    case FEATURES.MIG_PRECOPY_INFOv2:
      return [{ kind: 'precopy_info_v2', ...at, errno }];
    default:
      return [];
  }
}

function getEvents(
  request: Feature,
  reply: Uint8Array | undefined,
  errno: number,
  at: OnDevice,
): readonly TraceEvent[] {
  const data = errno === 0 ? (reply ?? new Uint8Array()) : undefined;
  switch (request.index) {
    case FEATURES.MIGRATION: {
      if (data === undefined) return [];
      const flags = asCount(VfioUserMigration.decode(data).flags);
      return flags === undefined ? [] : [{ kind: 'capabilities', ...at, flags }];
    }
    case FEATURES.MIG_DEVICE_STATE: {
      const state = data === undefined ? undefined : stateIn(data);
      return [{ kind: 'get_state', ...at, ...(typeof state === 'string' ? { state } : {}), errno }];
    }
    case FEATURES.DMA_LOGGING_REPORT:
      return [reportEvent(request.data, errno, at)];
    case FEATURES.MIG_DATA_SIZE: {
      const bytes = data === undefined ? undefined : asCount(VfioUserMigration.decode(data).flags);
      return [{ kind: 'data_size', ...at, ...(bytes === undefined ? {} : { bytes }), errno }];
    }
    default:
      return [];
  }
}

function reportEvent(data: Uint8Array, errno: number, at: OnDevice): TraceEvent {
  const asked = VfioUserLoggingReport.decode(data);
  const pageSize = asCount(asked.page_size);
  return {
    kind: 'dma_logging_report',
    ...at,
    iova: asAddress(asked.iova),
    length: asAddress(asked.length),
    ...(pageSize === undefined ? {} : { pageSize }),
    errno,
  };
}
