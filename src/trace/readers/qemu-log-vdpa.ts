import { VHOST_VRING_F_LOG } from '../../uapi/vhost.js';
import type { LogMemory } from './qemu-log-memory.js';
import { type Bare, type Row, row } from './qemu-log-row.js';
import { known } from './uapi-calls.js';

const vdpa = { interface: 'vdpa' } as const;

/**
 * Trace events of QEMU's `hw/virtio/vhost-vdpa.c` and `net/vhost-vdpa.c`, with the formats of 7.2 to 11.1. Most
 * are printed before the ioctl, so that its result does not show. SET_MEM_TABLE is none here: QEMU prints it and
 * asks nothing of the device.
 */
export const VDPA_ROWS: readonly Row[] = [
  row('vhost_vdpa_init', 'vhost_open')
    .as('dev: %w, common dev: %w vdpa: %w', (log, dev, shared, pointer) => opened(log, dev, pointer, shared))
    .as('dev: %w vdpa: %w', (log, dev, pointer) => opened(log, dev, pointer))
    .alwaysRead(),
  row('vhost_vdpa_cleanup', 'vhost_close')
    .as('dev: %w vdpa: %w', (log, dev, pointer) => {
      const device = log.vhost.vdpaCleanup(dev, pointer);
      return device === undefined ? [] : { kind: 'vhost_close', device, ...vdpa };
    })
    .alwaysRead(),
  row('vhost_vdpa_set_owner', 'vhost_set_owner').as('dev: %w', (log, dev) => ({
    kind: 'vhost_set_owner',
    device: log.vhost.dev(dev),
    ...vdpa,
  })),
  row('vhost_vdpa_get_features', 'vhost_offered').as('dev: %w features: %a', (log, dev, features) => ({
    kind: 'vhost_offered',
    device: log.vhost.dev(dev),
    ...vdpa,
    features,
  })),
  row('vhost_vdpa_set_features', 'vhost_set_features').as('dev: %w features: %a', (log, dev, features) => ({
    kind: 'vhost_set_features',
    device: log.vhost.dev(dev),
    ...vdpa,
    features,
  })),
  row('vhost_vdpa_get_config', 'vhost_config').as(
    'dev: %w config: %w config_len: %u',
    (log, dev, _, size) => ({
      kind: 'vhost_config',
      device: log.vhost.dev(dev),
      ...vdpa,
      write: false,
      ...known('size', size),
    }),
  ),
  row('vhost_vdpa_set_config', 'vhost_config').as(
    'dev: %w offset: %u size: %u flags: %u',
    (log, dev, offset, size, flags) => ({
      kind: 'vhost_config',
      device: log.vhost.dev(dev),
      ...vdpa,
      write: true,
      ...known('offset', offset),
      ...known('size', size),
      migration: flags === CONFIG_OF_MIGRATION,
    }),
  ),

  // Status and life.
  row('vhost_vdpa_add_status', 'vdpa_status').as('dev: %w status: %u', (log, dev, bits) => {
    const { name, status } = log.vhost.addStatus(dev, bits ?? 0);
    return { kind: 'vdpa_status', device: name, ...known('status', status) };
  }),
  row('vhost_vdpa_reset_device', 'vdpa_status').as('dev: %w', (log, dev) => ({
    kind: 'vdpa_status',
    device: log.vhost.reset(dev),
    status: 0,
  })),
  row('vhost_vdpa_suspend', 'vdpa_suspend').as('dev: %w', (log, dev) => ({
    kind: 'vdpa_suspend',
    device: log.vhost.dev(dev),
  })),

  // Rings.
  row('vhost_vdpa_set_vring_num', 'vring_num').as('dev: %w index: %d num: %u', (log, dev, index, num) => ({
    kind: 'vring_num',
    device: log.vhost.dev(dev),
    ...vdpa,
    index,
    ...known('num', num),
  })),
  row('vhost_vdpa_set_dev_vring_base', 'vring_base', 'shadow_virtqueues').as(
    'dev: %w index: %d num: %u svq: %b',
    (log, dev, index, num, shadow) => {
      const { name: device, changed } = log.vhost.shadow(dev, shadow);
      const base: Bare<'vring_base'> = {
        kind: 'vring_base',
        device,
        ...vdpa,
        index,
        ...known('num', num),
        shadow,
      };
      return changed ? [{ kind: 'shadow_virtqueues', device, on: shadow }, base] : base;
    },
  ),
  row('vhost_vdpa_set_vring_base', 'vring_base').as('dev: %w index: %d num: %u', (log, dev, index, num) => ({
    kind: 'vring_base',
    device: log.vhost.dev(dev),
    ...vdpa,
    index,
    ...known('num', num),
  })),
  row('vhost_vdpa_get_vring_base', 'vring_base_read')
    .as('dev: %w index: %d num: %u svq: %b', (log, dev, index, num, shadow) =>
      baseRead(log, dev, index, num, shadow),
    )
    .as('dev: %w index: %d num: %u', (log, dev, index, num) => baseRead(log, dev, index, num)),
  row('vhost_vdpa_set_vring_addr', 'vring_addr').as(
    'dev: %w index: %d flags: %u desc_user_addr: %a used_user_addr: %a avail_user_addr: %a log_guest_addr: %a',
    (log, dev, index, flags, desc, used, avail, logGuestAddr) => ({
      kind: 'vring_addr',
      device: log.vhost.dev(dev),
      ...vdpa,
      index,
      ...known('log', flags === undefined ? undefined : (flags & VHOST_VRING_F_LOG) !== 0),
      desc,
      used,
      avail,
      logGuestAddr,
    }),
  ),
  row('vhost_vdpa_set_vring_kick', 'vring_kick_fd').as('dev: %w index: %d fd: %d', (log, dev, index, fd) => ({
    kind: 'vring_kick_fd',
    device: log.vhost.dev(dev),
    ...vdpa,
    index,
    attached: fd >= 0,
  })),
  row('vhost_vdpa_set_vring_call', 'vring_call_fd').as('dev: %w index: %d fd: %d', (log, dev, index, fd) => ({
    kind: 'vring_call_fd',
    device: log.vhost.dev(dev),
    ...vdpa,
    index,
    attached: fd >= 0,
  })),
  row('vhost_vdpa_set_vring_enable_one', 'vring_enable').as(
    'dev: %w, idx: %d, enable: %b, r: %d',
    (log, dev, index, on, result) => ({
      kind: 'vring_enable',
      device: log.vhost.dev(dev),
      ...vdpa,
      index,
      on,
      ...known('errno', resultErrno(result)),
    }),
  ),

  // Log, address spaces, IOTLB, control queue.
  row('vhost_vdpa_set_log_base', 'vhost_log_base').as('dev: %w base: %a size: %u', (log, dev, _, size) => ({
    kind: 'vhost_log_base',
    device: log.vhost.dev(dev),
    ...vdpa,
    ...known('size', size),
  })),
  row('vhost_vdpa_set_address_space_id', 'vdpa_group_asid').as(
    'vhost_vdpa: %w vq_group: %d asid: %d',
    (log, pointer, group, asid) => ({
      kind: 'vdpa_group_asid',
      device: log.vhost.vdpa(pointer),
      group,
      asid,
    }),
  ),
  row('vhost_vdpa_dma_map', 'vhost_iotlb')
    .as(
      'vdpa_shared:%w fd: %d msg_type: %d asid: %d iova: %a size: %a',
      (log, of, _fd, _type, asid, iova, size) => iotlb(log, of, { type: 'update', asid, iova, size }),
    )
    .as('vdpa:%w fd: %d msg_type: %d iova: %a size: %a', (log, of, _fd, _type, iova, size) =>
      iotlb(log, of, { type: 'update', iova, size }),
    ),
  row('vhost_vdpa_dma_unmap', 'vhost_iotlb')
    .as(
      'vdpa_shared:%w fd: %d msg_type: %d asid: %d iova: %a size: %a',
      (log, of, _fd, _type, asid, iova, size) => iotlb(log, of, { type: 'invalidate', asid, iova, size }),
    )
    .as('vdpa:%w fd: %d msg_type: %d iova: %a size: %a', (log, of, _fd, _type, iova, size) =>
      iotlb(log, of, { type: 'invalidate', iova, size }),
    ),
  row('vhost_vdpa_listener_begin_batch', 'vhost_iotlb')
    .as('vdpa_shared:%w', (log, of) => iotlb(log, of, { type: 'batch_begin' }))
    .as('vdpa:%w', (log, of) => iotlb(log, of, { type: 'batch_begin' })),
  row('vhost_vdpa_listener_commit', 'vhost_iotlb')
    .as('vdpa_shared:%w', (log, of) => iotlb(log, of, { type: 'batch_end' }))
    .as('vdpa:%w', (log, of) => iotlb(log, of, { type: 'batch_end' })),
  // Whether the device has acknowledged a command does not show.
  row('vhost_vdpa_net_load_cmd', 'vdpa_cvq_command').as(
    'vdpa state: %w class: %d cmd: %d',
    (log, state, commandClass, command) => ({
      kind: 'vdpa_cvq_command',
      device: log.vhost.vdpaState(state),
      class: commandClass,
      command,
    }),
  ),
];

/** VHOST_SET_CONFIG_TYPE_MIGRATION of QEMU. */
const CONFIG_OF_MIGRATION = 1;

function opened(log: LogMemory, dev: string, pointer: string, shared?: string): Bare<'vhost_open'> | [] {
  const { name, first } = log.vhost.vdpaInit(dev, pointer, shared);
  return first ? { kind: 'vhost_open', device: name, ...vdpa } : [];
}

function baseRead(
  log: LogMemory,
  dev: string,
  index: number,
  num: number | undefined,
  shadow?: boolean,
): Bare<'vring_base_read'> {
  return {
    kind: 'vring_base_read',
    device: log.vhost.dev(dev),
    ...vdpa,
    index,
    ...known('num', num),
    ...known('shadow', shadow),
  };
}

function iotlb(
  log: LogMemory,
  pointer: string,
  fields: Omit<Bare<'vhost_iotlb'>, 'kind' | 'device' | 'interface'>,
): Bare<'vhost_iotlb'> {
  return { kind: 'vhost_iotlb', device: log.vhost.vdpa(pointer), ...vdpa, ...fields };
}

/** A return value as an errno; of a bare -1 the number is not known. */
function resultErrno(result: number): number | undefined {
  return result === -1 ? undefined : Math.max(0, -result);
}
