import { VHOST_VRING_F_LOG, VringAddr } from '../../uapi/vhost.js';
import {
  VHOST_USER_TRANSFER,
  VHOST_USER_VRING_FD,
  VhostUserConfig,
  VhostUserInflight,
  VhostUserLog,
  VhostUserMemoryRegion,
  type VhostUserRequest,
  VhostUserTransfer,
} from '../../uapi/vhost-user.js';
import type { TraceEvent } from '../event.js';
import { iotlbType } from './iotlb.js';
import { asAddress, asCount } from './line-parser.js';
import { known } from './uapi-calls.js';

/** What every event of one connection says of its place. */
export interface Place {
  t?: number;
  host: string;
  file: string;
  line: number;
  thread?: number;
  device: string;
}

/** The answer to a request. */
export interface Answer {
  payload: Payload;
  /** 0 for success; absent where the answer was not seen. */
  errno: number | undefined;
}

/** Bytes of a message as far as they were seen. Fields that lie beyond them are not known. Little endian. */
export class Payload {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  u8(at: number): number | undefined {
    return at + 1 <= this.length ? this.#view.getUint8(at) : undefined;
  }

  u16(at: number): number | undefined {
    return at + 2 <= this.length ? this.#view.getUint16(at, true) : undefined;
  }

  u32(at: number): number | undefined {
    return at + 4 <= this.length ? this.#view.getUint32(at, true) : undefined;
  }

  u64(at: number): bigint | undefined {
    return at + 8 <= this.length ? this.#view.getBigUint64(at, true) : undefined;
  }

  /** 64 bits as events carry an address. */
  address(at: number): number | string | undefined {
    const value = this.u64(at);
    return value === undefined ? undefined : asAddress(value);
  }
}

const user = { interface: 'user' } as const;

/**
 * The events of a request of the front end.
 * @param asked its payload
 * @param at where it is told: at the answer, if there is one
 * @param answer absent for a request without one, or whose answer was not seen
 */
export function requestEvents(
  request: VhostUserRequest,
  asked: Payload,
  at: Place,
  answer: Answer | undefined,
): TraceEvent[] {
  const on = { ...at, ...user };
  const result = known('errno', answer?.errno);
  const reply = answer?.payload;
  switch (request) {
    case 'GET_FEATURES':
      return [{ kind: 'vhost_offered', ...on, ...known('features', reply?.address(0)), ...result }];
    case 'GET_PROTOCOL_FEATURES':
      return [{ kind: 'vhost_offered', ...on, ...known('protocolFeatures', reply?.address(0)), ...result }];
    case 'SET_FEATURES':
      return [{ kind: 'vhost_set_features', ...on, ...known('features', asked.address(0)), ...result }];
    case 'SET_PROTOCOL_FEATURES':
      return [
        { kind: 'vhost_set_protocol_features', ...on, ...known('features', asked.address(0)), ...result },
      ];
    case 'SET_OWNER':
      return [{ kind: 'vhost_set_owner', ...on, ...result }];
    case 'RESET_OWNER':
      return [{ kind: 'vhost_reset_owner', ...on, ...result }];
    case 'RESET_DEVICE':
      return [{ kind: 'vhost_reset_device', ...on, ...result }];
    case 'SET_MEM_TABLE':
      return [{ kind: 'vhost_mem_table', ...on, ...known('regions', table(asked)), ...result }];
    case 'ADD_MEM_REG':
      return [
        { kind: 'vhost_mem_table', ...on, change: 'add', ...known('regions', regions(asked, 1)), ...result },
      ];
    case 'REM_MEM_REG':
      return [
        {
          kind: 'vhost_mem_table',
          ...on,
          change: 'remove',
          ...known('regions', regions(asked, 1)),
          ...result,
        },
      ];
    case 'SET_LOG_BASE':
      return [
        {
          kind: 'vhost_log_base',
          ...on,
          ...known('size', asked.address(VhostUserLog.offsets.mmap_size)),
          ...result,
        },
      ];
    case 'SET_LOG_FD':
      return [{ kind: 'vhost_log_fd', ...on, ...result }];
    case 'IOTLB_MSG':
      return iotlb(asked, on, result);
    case 'GET_CONFIG':
    case 'SET_CONFIG':
      return config(request === 'SET_CONFIG', asked, on, result);
    case 'GET_INFLIGHT_FD':
    case 'SET_INFLIGHT_FD':
      return [
        {
          kind: 'vhost_inflight',
          ...on,
          set: request === 'SET_INFLIGHT_FD',
          ...known('queues', asked.u16(VhostUserInflight.offsets.num_queues)),
          ...known('queueSize', asked.u16(VhostUserInflight.offsets.queue_size)),
          ...result,
        },
      ];
    case 'SET_DEVICE_STATE_FD':
      return [{ kind: 'vhost_state_fd', ...on, ...known('direction', direction(asked)), ...result }];
    case 'CHECK_DEVICE_STATE':
      return [{ kind: 'vhost_state_check', ...on, ...result }];
    case 'POSTCOPY_ADVISE':
      return [{ kind: 'vhost_postcopy', ...on, step: 'advise', ...result }];
    case 'POSTCOPY_LISTEN':
      return [{ kind: 'vhost_postcopy', ...on, step: 'listen', ...result }];
    case 'POSTCOPY_END':
      return [{ kind: 'vhost_postcopy', ...on, step: 'end', ...result }];
    case 'SEND_RARP':
      return [{ kind: 'vhost_rarp', ...on, ...result }];
    default:
      return ring(request, asked, on, answer);
  }
}

type On = Place & typeof user;
type Result = { errno?: number };

/** Requests of one ring. A ring that was not seen is none that anything can be said of. */
function ring(request: VhostUserRequest, asked: Payload, on: On, answer: Answer | undefined): TraceEvent[] {
  const index = asked.u32(0) ?? (request.startsWith('GET_VRING_BASE') ? answer?.payload.u32(0) : undefined);
  if (index === undefined) return [];
  const result = known('errno', answer?.errno);
  switch (request) {
    case 'SET_VRING_NUM':
      return [{ kind: 'vring_num', ...on, index, ...known('num', asked.u32(4)), ...result }];
    case 'SET_VRING_BASE':
      return [{ kind: 'vring_base', ...on, index, ...known('num', asked.u32(4)), ...result }];
    case 'GET_VRING_BASE':
    case 'GET_VRING_BASE_SKIP_DRAIN': {
      const answered = answer?.payload;
      const ring = answered?.u32(0) ?? index;
      return [{ kind: 'vring_base_read', ...on, index: ring, ...known('num', answered?.u32(4)), ...result }];
    }
    case 'SET_VRING_ADDR':
      return [{ kind: 'vring_addr', ...on, index, ...addresses(asked), ...result }];
    case 'SET_VRING_ENABLE': {
      const enabled = asked.u32(4);
      return enabled === undefined
        ? []
        : [{ kind: 'vring_enable', ...on, index, on: enabled !== 0, ...result }];
    }
    case 'VRING_KICK':
      return [{ kind: 'vring_kick', ...on, index }];
    case 'SET_VRING_KICK':
    case 'SET_VRING_CALL':
      return vringFd(request, asked, on, result);
    default:
      return [];
  }
}

function vringFd(
  request: 'SET_VRING_KICK' | 'SET_VRING_CALL',
  asked: Payload,
  on: On,
  result: Result,
): TraceEvent[] {
  const value = asked.u64(0);
  if (value === undefined) return [];
  const kind = request === 'SET_VRING_KICK' ? 'vring_kick_fd' : 'vring_call_fd';
  const index = Number(value & BigInt(VHOST_USER_VRING_FD.INDEX_MASK));
  const attached = (value & BigInt(VHOST_USER_VRING_FD.NO_FD)) === 0n;
  return [{ kind, ...on, index, attached, ...result }];
}

function addresses(asked: Payload): object {
  const { offsets } = VringAddr;
  const flags = asked.u32(offsets.flags);
  return {
    ...known('log', flags === undefined ? undefined : (flags & VHOST_VRING_F_LOG) !== 0),
    ...known('desc', asked.address(offsets.desc_user_addr)),
    ...known('used', asked.address(offsets.used_user_addr)),
    ...known('avail', asked.address(offsets.avail_user_addr)),
    ...known('logGuestAddr', asked.address(offsets.log_guest_addr)),
  };
}

/** Most regions of a table that are told. */
const MAX_REGIONS = 512;
/** Bytes before the regions: their number and padding, or padding alone. */
const TABLE_HEAD = 8;

interface Region {
  gpa: number | string;
  size: number | string;
}

/** The regions of SET_MEM_TABLE; `undefined` when not all of them were seen. */
function table(asked: Payload): Region[] | undefined {
  const count = asked.u32(0);
  return count === undefined || count > MAX_REGIONS ? undefined : regions(asked, count);
}

function regions(asked: Payload, count: number): Region[] | undefined {
  const { size, offsets } = VhostUserMemoryRegion;
  const found: Region[] = [];
  for (let n = 0; n < count; n++) {
    const at = TABLE_HEAD + n * size;
    const gpa = asked.address(at + offsets.guest_phys_addr);
    const bytes = asked.address(at + offsets.memory_size);
    if (gpa === undefined || bytes === undefined) return undefined;
    found.push({ gpa, size: bytes });
  }
  return found;
}

/** `struct vhost_iotlb_msg`: iova, size, uaddr, perm, type. */
const IOTLB = { iova: 0, size: 8, type: 25 } as const;

function iotlb(asked: Payload, on: On, result: Result): TraceEvent[] {
  const type = iotlbType(asked.u8(IOTLB.type) ?? 0);
  if (type === undefined) return [];
  return [
    {
      kind: 'vhost_iotlb',
      ...on,
      type,
      ...known('iova', asked.address(IOTLB.iova)),
      ...known('size', asked.address(IOTLB.size)),
      ...result,
    },
  ];
}

/** The flag of SET_CONFIG for a write of migration. */
const CONFIG_OF_MIGRATION = 1;

function config(write: boolean, asked: Payload, on: On, result: Result): TraceEvent[] {
  const { offsets } = VhostUserConfig;
  const flags = asked.u32(offsets.flags);
  return [
    {
      kind: 'vhost_config',
      ...on,
      write,
      ...known('offset', asked.u32(offsets.offset)),
      ...known('size', asked.u32(offsets.size)),
      ...known('migration', !write || flags === undefined ? undefined : (flags & CONFIG_OF_MIGRATION) !== 0),
      ...result,
    },
  ];
}

function direction(asked: Payload): 'save' | 'load' | undefined {
  const value = asCount(asked.u32(VhostUserTransfer.offsets.direction));
  if (value === VHOST_USER_TRANSFER.SAVE) return 'save';
  return value === VHOST_USER_TRANSFER.LOAD ? 'load' : undefined;
}
