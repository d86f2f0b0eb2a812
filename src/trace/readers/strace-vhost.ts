import {
  VHOST_IOCTLS,
  VHOST_IOTLB_MSG_V2,
  VHOST_VDPA_IOCTLS,
  VHOST_VRING_F_LOG,
  VhostMsgV2,
} from '../../uapi/vhost.js';
import type { VhostInterface } from '../../uapi/vhost-backend.js';
import type { TraceEvent } from '../event.js';
import { iotlbType } from './iotlb.js';
import { asAddress, asCount, kinds } from './line-parser.js';
import {
  type At,
  ioctlOf,
  pointedAt,
  type StraceCall,
  type StraceIoctl,
  structField,
} from './strace-line.js';
import { straceTransfer } from './strace-text.js';
import { known } from './uapi-calls.js';

const IOCTLS = { ...VHOST_IOCTLS, ...VHOST_VDPA_IOCTLS };

/** What strace shows of a vhost back end although it prints no structs of it: that a request was made, and its result. */
export const VHOST_KINDS = kinds(
  'vhost_open',
  'vhost_close',
  'vhost_offered',
  'vhost_set_owner',
  'vhost_reset_owner',
  'vhost_set_features',
  'vhost_set_backend_features',
  'vhost_mem_table',
  'vhost_log_base',
  'vhost_log_fd',
  'vdpa_status',
  'vdpa_status_read',
  'vdpa_suspend',
  'vdpa_resume',
);

/** Whether an ioctl is of vhost, and whether only vhost-vdpa has it. */
export function isVhost(request: StraceIoctl): { vdpa: boolean } | undefined {
  const name = ioctlOf(request, IOCTLS);
  return name === undefined ? undefined : { vdpa: Object.hasOwn(VHOST_VDPA_IOCTLS, name) };
}

type On = At & { device: string };

/** The events of an ioctl on a vhost descriptor. What is behind a pointer that strace has not followed is left out. */
export function vhostIoctl(
  call: StraceCall & { request: StraceIoctl },
  via: VhostInterface,
  at: On,
): TraceEvent[] {
  const { argument } = call.request;
  const on = { ...at, interface: via };
  const { errno } = call;
  const pointed = pointedAt(argument);
  const features = known('features', pointed === undefined ? undefined : asAddress(pointed));
  switch (ioctlOf(call.request, IOCTLS)) {
    case 'VHOST_GET_FEATURES':
      return [{ kind: 'vhost_offered', ...on, ...features, errno }];
    case 'VHOST_GET_FEATURES_ARRAY':
      return [{ kind: 'vhost_offered', ...on, errno }];
    case 'VHOST_GET_BACKEND_FEATURES':
      return [
        {
          kind: 'vhost_offered',
          ...on,
          ...known('backendFeatures', pointed === undefined ? undefined : asAddress(pointed)),
          errno,
        },
      ];
    case 'VHOST_SET_FEATURES':
      return [{ kind: 'vhost_set_features', ...on, ...features, errno }];
    case 'VHOST_SET_FEATURES_ARRAY':
      return [{ kind: 'vhost_set_features', ...on, errno }];
    case 'VHOST_SET_BACKEND_FEATURES':
      return [{ kind: 'vhost_set_backend_features', ...on, ...features, errno }];
    case 'VHOST_SET_OWNER':
      return [{ kind: 'vhost_set_owner', ...on, errno }];
    case 'VHOST_RESET_OWNER':
      return [{ kind: 'vhost_reset_owner', ...on, errno }];
    case 'VHOST_SET_MEM_TABLE':
      return [{ kind: 'vhost_mem_table', ...on, errno }];
    case 'VHOST_SET_LOG_BASE':
      return [
        {
          kind: 'vhost_log_base',
          ...on,
          ...known('none', pointed === undefined ? undefined : pointed === 0n),
          errno,
        },
      ];
    case 'VHOST_SET_LOG_FD':
      return [{ kind: 'vhost_log_fd', ...on, errno }];
    case 'VHOST_VDPA_SET_STATUS':
      return [{ kind: 'vdpa_status', ...at, ...known('status', asCount(pointed)), errno }];
    case 'VHOST_VDPA_GET_STATUS':
      return [{ kind: 'vdpa_status_read', ...at, ...known('status', asCount(pointed)), errno }];
    case 'VHOST_VDPA_SUSPEND':
      return [{ kind: 'vdpa_suspend', ...at, errno }];
    case 'VHOST_VDPA_RESUME':
      return [{ kind: 'vdpa_resume', ...at, errno }];
    case 'VHOST_VDPA_GET_CONFIG':
      return [{ kind: 'vhost_config', ...on, write: false, errno }];
    case 'VHOST_VDPA_SET_CONFIG':
      return [{ kind: 'vhost_config', ...on, write: true, errno }];
    default:
      return ring(call, on);
  }
}

/** Requests whose struct says which ring they are of. */
function ring(
  call: StraceCall & { request: StraceIoctl },
  on: On & { interface: VhostInterface },
): TraceEvent[] {
  const { argument } = call.request;
  const index = asCount(structField(argument, 'index'));
  if (index === undefined) return [];
  const { errno } = call;
  const num = asCount(structField(argument, 'num'));
  const attached = !/ fd=-1\b/.test(argument);
  switch (ioctlOf(call.request, IOCTLS)) {
    case 'VHOST_SET_VRING_NUM':
      return [{ kind: 'vring_num', ...on, index, ...known('num', num), errno }];
    case 'VHOST_SET_VRING_BASE':
      return [{ kind: 'vring_base', ...on, index, ...known('num', num), errno }];
    case 'VHOST_GET_VRING_BASE':
      return [{ kind: 'vring_base_read', ...on, index, ...known('num', num), errno }];
    case 'VHOST_SET_VRING_ADDR':
      return [{ kind: 'vring_addr', ...on, index, ...addresses(argument), errno }];
    case 'VHOST_SET_VRING_KICK':
      return [{ kind: 'vring_kick_fd', ...on, index, attached, errno }];
    case 'VHOST_SET_VRING_CALL':
      return [{ kind: 'vring_call_fd', ...on, index, attached, errno }];
    case 'VHOST_NET_SET_BACKEND':
      return [{ kind: 'vring_backend', ...on, index, attached, errno }];
    case 'VHOST_VDPA_SET_VRING_ENABLE':
      return num === undefined ? [] : [{ kind: 'vring_enable', ...on, index, on: num !== 0, errno }];
    case 'VHOST_VDPA_SET_GROUP_ASID': {
      const { interface: _, ...at } = on;
      return num === undefined ? [] : [{ kind: 'vdpa_group_asid', ...at, group: index, asid: num, errno }];
    }
    default:
      return [];
  }
}

function addresses(argument: string): object {
  const flags = structField(argument, 'flags');
  const field = (name: string) => {
    const value = structField(argument, name);
    return value === undefined ? undefined : asAddress(value);
  };
  return {
    ...known('log', flags === undefined ? undefined : (Number(flags) & VHOST_VRING_F_LOG) !== 0),
    ...known('desc', field('desc_user_addr')),
    ...known('used', field('used_user_addr')),
    ...known('avail', field('avail_user_addr')),
    ...known('logGuestAddr', field('log_guest_addr')),
  };
}

/** `write` of an IOTLB message, where enough of it was printed (`-s 72`). */
export function vhostWrite(call: StraceCall, via: VhostInterface, at: On): TraceEvent[] {
  const bytes = straceTransfer(call.rest, VhostMsgV2.size)?.bytes;
  if (bytes === undefined || bytes.length < VhostMsgV2.size) return [];
  const message = VhostMsgV2.decode(bytes);
  const type = iotlbType(message.iotlb_type);
  if (message.type !== VHOST_IOTLB_MSG_V2 || type === undefined) return [];
  return [
    {
      kind: 'vhost_iotlb',
      ...at,
      interface: via,
      type,
      asid: message.asid,
      iova: asAddress(message.iova),
      size: asAddress(message.size),
      errno: call.errno,
    },
  ];
}
