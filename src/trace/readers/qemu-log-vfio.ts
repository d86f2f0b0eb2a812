import { ERRNO } from '../../uapi/errno.js';
import { type NotifierEvent, VFIO_STREAM_TAGS, type VfioStreamTag } from '../../uapi/qemu.js';
import { DEVICE_FLAGS_RESET } from '../../uapi/vfio.js';
import type { LogMemory } from './qemu-log-memory.js';
import { type Bare, deviceRow, hostRow, type Row, row } from './qemu-log-row.js';

/**
 * Trace events of QEMU's `hw/vfio`, with the formats of 8.0 to 11.1. One row an event.
 * Up to 8.x sizes are hexadecimal, later decimal; `%u` takes both.
 */
export const VFIO_ROWS: readonly Row[] = [
  // Events that only protocol v1 has.
  row('vfio_save_buffer')
    .as('', (log) => log.refuse())
    .alwaysRead(),
  row('vfio_save_pending')
    .as('', (log) => log.refuse())
    .alwaysRead(),
  row('vfio_update_pending')
    .as('', (log) => log.refuse())
    .alwaysRead(),

  // Set-up of a device. 8.0 prints probe, later versions realize, 11.1 init and realize.
  row('vfio_migration_probe', 'device_open')
    .as('%D Region ', (log) => log.refuse())
    .as('%D', (_, device) => ({ kind: 'device_open', device })),
  row('vfio_migration_init', 'device_open', 'capabilities')
    .as(
      '%D mig_flags %u, precopy_info_v2_used %b, dirty_pages_supported %b',
      (log, device, flags, precopyInfoV2, dmaLogging) => {
        log.isNew();
        log.opened(device);
        return [
          { kind: 'device_open', device },
          { kind: 'capabilities', device, flags, precopyInfoV2, dmaLogging },
        ];
      },
    )
    .alwaysRead(),
  row('vfio_migration_realize', 'device_open')
    .as('%D', (log, device) => (log.wasOpened(device) ? [] : { kind: 'device_open', device }))
    .alwaysRead(),
  row('vfio_device_get', 'capabilities').as('Device %t flags: %d,', resetFlag).alwaysRead(),
  row('vfio_get_device', 'capabilities').as('Device %t flags: %d,', resetFlag).alwaysRead(),
  row('iommufd_cdev_device_info', 'capabilities')
    .as(' %t (%d) num_irqs=%d num_regions=%d flags=%d', (log, device, _fd, _irqs, _regions, flags) =>
      resetFlag(log, device, flags),
    )
    .alwaysRead(),

  // Device states. From 10.0 on set_state is the request, printed before the call, and set_device_state
  // the result; before, set_state is printed when the state was reached.
  row('vfio_migration_set_state', 'set_state', 'set_state_result')
    .as('%D new state %s, recover state %s', (_, device, state, recover) => ({
      kind: 'set_state',
      device,
      state,
      recover,
    }))
    .as('%D state %s', (_, device, state) => ({ kind: 'set_state_result', device, state, errno: 0 }))
    .as('%D state %d', (log) => log.refuse()),
  row('vfio_migration_set_device_state', 'set_state_result').as('%D state %s', (_, device, state) => ({
    kind: 'set_state_result',
    device,
    state,
  })),
  row('vfio_migration_state_notifier', 'notifier')
    .as('%D state %d', (log, device, number) => {
      const event = log.notifier(number);
      return event ? { kind: 'notifier', device, event, number } : { kind: 'notifier', device, number };
    })
    .as('%D state %m', (_, device, status) => {
      const event = STATUS_NOTIFIERS[status];
      return event ? { kind: 'notifier', device, event } : { kind: 'notifier', device };
    }),
  row('vfio_vmstate_change_prepare', 'vmstate_prepare').as(
    '%D running %b reason %w device state %s',
    (_, device, running, reason, state) => ({ kind: 'vmstate_prepare', device, running, reason, state }),
  ),
  row('vfio_vmstate_change', 'vmstate_change')
    .as('%D running %b reason %w device state %s', (_, device, running, reason, state) => ({
      kind: 'vmstate_change',
      device,
      running,
      reason,
      state,
    }))
    .as('%D running %b reason %w device state %d', (log) => log.refuse()),

  // Saving.
  row('vfio_save_setup', 'save_setup')
    .as('%D data buffer size %u', (_, device, bufferSize) => ({ kind: 'save_setup', device, bufferSize }))
    .as('%D', (_, device) => ({ kind: 'save_setup', device })),
  row('vfio_save_iterate', 'save_iterate')
    .as('%D precopy initial size %u precopy dirty size %u', (_, device, initial, dirty) => ({
      kind: 'save_iterate',
      device,
      initial,
      dirty,
    }))
    .as('%D', (_, device) => ({ kind: 'save_iterate', device })),
  row('vfio_save_block', 'data_read').as('%D data_size %d', (_, device, result) => ({
    kind: 'data_read',
    device,
    result,
  })),
  row('vfio_save_block_precopy_empty_hit', 'data_read').as('%D', (_, device) => ({
    kind: 'data_read',
    device,
    result: -ERRNO.ENOMSG!,
  })),
  deviceRow('vfio_send_init_data_flag', 'init_data_sent'),
  row('vfio_query_precopy_size', 'precopy_info').as(
    '%D init %u, dirty %u, reinit %b, ret %e',
    (_, device, initial, dirty, reinit, errno) =>
      errno === 0
        ? { kind: 'precopy_info', device, initial, dirty, reinit, errno }
        : { kind: 'precopy_info', device, errno },
  ),
  row('vfio_query_stop_copy_size', 'data_size').as('%D stopcopy size %u ret %e', (_, device, bytes, errno) =>
    // On failure QEMU prints a size that it made up.
    errno === 0 ? { kind: 'data_size', device, bytes, errno } : { kind: 'data_size', device, errno },
  ),
  row('vfio_state_pending', 'state_pending').as(
    '%D stopcopy size %u, precopy initial size %u, precopy dirty size %u, request switchover ack %b, exact %b, final %b',
    (_, device, stopcopy, initial, dirty, ack, exact, final) => ({
      kind: 'state_pending',
      device,
      stopcopy,
      initial,
      dirty,
      ack,
      exact,
      final,
    }),
  ),
  row('vfio_state_pending_estimate', 'state_pending').as(
    '%D precopy %u postcopy %u precopy initial size %u precopy dirty size %u',
    (_, device, _precopy, _postcopy, initial, dirty) => ({
      kind: 'state_pending',
      device,
      initial,
      dirty,
      exact: false,
    }),
  ),
  row('vfio_state_pending_exact', 'state_pending')
    .as(
      '%D precopy %u postcopy %u stopcopy size %u precopy initial size %u precopy dirty size %u',
      (_, device, _precopy, _postcopy, stopcopy, initial, dirty) => ({
        kind: 'state_pending',
        device,
        stopcopy,
        initial,
        dirty,
        exact: true,
      }),
    )
    .as('%D precopy %u postcopy %u stopcopy size %u', (_, device, _precopy, _postcopy, stopcopy) => ({
      kind: 'state_pending',
      device,
      stopcopy,
      exact: true,
    })),
  row('vfio_save_complete_precopy_start', 'save_complete_start').as('%D', (_, device) => ({
    kind: 'save_complete_start',
    device,
  })),
  row('vfio_save_complete_precopy', 'save_complete')
    .as('%D ret %e', (_, device, errno) => ({ kind: 'save_complete', device, errno }))
    .as('%D', (_, device) => ({ kind: 'save_complete', device })),
  row('vfio_save_complete_precopy_thread_start', 'save_complete_start').as('%D', (_, device) => ({
    kind: 'save_complete_start',
    device,
    multifd: true,
  })),
  // Here `ret` is a bool: 1 is success. What went wrong is not shown.
  row('vfio_save_complete_precopy_thread_end', 'save_complete').as('%D ret %b', (_, device, ok) =>
    ok
      ? { kind: 'save_complete', device, multifd: true, errno: 0 }
      : { kind: 'save_complete', device, multifd: true },
  ),
  deviceRow('vfio_save_device_config_state', 'save_config'),
  deviceRow('vfio_save_cleanup', 'save_cleanup'),

  // Loading. Up to 9.2 there is one event for the config, at its end.
  row('vfio_load_state', 'load_record').as('%D data %w', (_, device, word) => {
    const tag = TAGS.get(word);
    return tag ? { kind: 'load_record', device, tag } : { kind: 'load_record', device, value: word };
  }),
  row('vfio_load_state_device_data', 'data_write').as('%D size %d ret %d', (_, device, size, ret) => ({
    kind: 'data_write',
    device,
    size,
    result: ret === 0 ? size : ret,
  })),
  deviceRow('vfio_load_device_config_state', 'load_config_end'),
  deviceRow('vfio_load_device_config_state_start', 'load_config_start'),
  deviceRow('vfio_load_device_config_state_end', 'load_config_end'),
  row('vfio_load_state_device_buffer_incoming', 'load_buffer_queued').as('%D idx %d', (_, device, index) => ({
    kind: 'load_buffer_queued',
    device,
    index,
  })),
  deviceRow('vfio_load_bufs_thread_start', 'load_thread_start'),
  row('vfio_load_state_device_buffer_load_start', 'load_buffer_start').as(
    '%D idx %d',
    (_, device, index) => ({
      kind: 'load_buffer_start',
      device,
      index,
    }),
  ),
  row('vfio_load_state_device_buffer_load_end', 'load_buffer_end').as('%D idx %d', (_, device, index) => ({
    kind: 'load_buffer_end',
    device,
    index,
  })),
  deviceRow('vfio_load_state_device_buffer_end', 'load_buffers_done'),
  deviceRow('vfio_load_bufs_thread_end', 'load_thread_end'),
  deviceRow('vfio_load_cleanup', 'load_cleanup'),

  // Reset.
  row('vfio_pci_reset', 'reset').as('%D', (log, device) => {
    const flags = log.flags(device);
    return flags === undefined || flags & DEVICE_FLAGS_RESET
      ? { kind: 'reset', device }
      : { kind: 'reset', device, offered: false };
  }),
  hostRow('vfio_reset_handler', 'vm_reset'),
  hostRow('vfio_device_reset_handler', 'vm_reset'),

  // Dirty tracking.
  row('vfio_device_dirty_tracking_start', 'dirty_tracking_start').as('nr_ranges %u ', (_, ranges) => ({
    kind: 'dirty_tracking_start',
    ranges,
  })),
  row('vfio_get_dirty_bitmap', 'dirty_bitmap')
    .as(
      'iova=%a size=%a bitmap_size=%u start=%u dirty_pages=%u',
      (_, iova, length, _size, _start, dirtyPages) => ({
        kind: 'dirty_bitmap',
        iova,
        length,
        dirtyPages,
      }),
    )
    .as('container fd=%d, iova=%a size=%a', (_, _fd, iova, length) => ({
      kind: 'dirty_bitmap',
      iova,
      length,
    })),
  row('vfio_container_query_dirty_bitmap', 'dirty_bitmap')
    .as(
      'iova=%a size=%a backend_flag=%u bitmap_size=%u gpa=%u dirty_pages=%u',
      (_, iova, length, _flag, _size, _gpa, dirtyPages) => ({
        kind: 'dirty_bitmap',
        iova,
        length,
        dirtyPages,
      }),
    )
    .as(
      'iova=%a size=%a bitmap_size=%u gpa=%u dirty_pages=%u',
      (_, iova, length, _size, _gpa, dirtyPages) => ({
        kind: 'dirty_bitmap',
        iova,
        length,
        dirtyPages,
      }),
    ),
];

function resetFlag(log: LogMemory, device: string, flags: number): Bare<'capabilities'> {
  log.setFlags(device, flags);
  return { kind: 'capabilities', device, reset: (flags & DEVICE_FLAGS_RESET) !== 0 };
}

/** What the 8.x notifier gets: a migration status. The VFIO notifier of those versions acts on failures only. */
const STATUS_NOTIFIERS: Readonly<Record<string, NotifierEvent>> = {
  setup: 'setup',
  completed: 'done',
  cancelling: 'failed',
  cancelled: 'failed',
  failed: 'failed',
};

/** Stream tags as the log prints them. */
const TAGS = new Map(
  Object.entries(VFIO_STREAM_TAGS).map(([name, value]) => [`0x${value.toString(16)}`, name as VfioStreamTag]),
);
