import { ERRNO } from '../../uapi/errno.js';
import type { NotifierEvent } from '../../uapi/qemu.js';
import { VFIO_STREAM_TAGS, type VfioStreamTag } from '../../uapi/qemu.js';
import { DEVICE_FLAGS_RESET } from '../../uapi/vfio.js';
import type { LogLine } from './qemu-log-line.js';
import { type Bare, deviceRow, type LogMemory, type Row, row } from './qemu-log-row.js';

/** Trace events of QEMU's `hw/vfio`, with the formats of 8.0 to 11.1. One row an event. */
export const VFIO_ROWS: readonly Row[] = [
  // Events that only protocol v1 has.
  row('vfio_save_buffer', [], (_line, log) => log.refuse(), { always: true }),
  row('vfio_save_pending', [], (_line, log) => log.refuse(), { always: true }),
  row('vfio_update_pending', [], (_line, log) => log.refuse(), { always: true }),

  // Set-up of a device. 8.0 prints probe, later versions realize, 11.1 init and realize.
  row('vfio_migration_probe', ['device_open'], (line, log) => {
    const device = line.device();
    return line.has(' Region ') ? log.refuse() : { kind: 'device_open', device };
  }),
  row('vfio_migration_init', ['device_open', 'capabilities'], migrationInit, { always: true }),
  row(
    'vfio_migration_realize',
    ['device_open'],
    (line, log) => {
      const device = line.device();
      return log.open(device, true) ? { kind: 'device_open', device } : [];
    },
    { always: true },
  ),
  row('vfio_device_get', ['capabilities'], deviceFlags, { always: true }),
  row('vfio_get_device', ['capabilities'], deviceFlags, { always: true }),
  row('iommufd_cdev_device_info', ['capabilities'], cdevFlags, { always: true }),

  // Device states.
  row('vfio_migration_set_state', ['set_state', 'set_state_result'], setState),
  row('vfio_migration_set_device_state', ['set_state_result'], (line) => ({
    kind: 'set_state_result',
    device: line.device(),
    state: line.skip(' state ').state(),
  })),
  row('vfio_migration_state_notifier', ['notifier'], notifier),
  row('vfio_vmstate_change_prepare', ['vmstate_prepare'], (line, log) => ({
    kind: 'vmstate_prepare',
    ...vmstate(line, log),
  })),
  row('vfio_vmstate_change', ['vmstate_change'], (line, log) => ({
    kind: 'vmstate_change',
    ...vmstate(line, log),
  })),

  // Saving.
  row('vfio_save_setup', ['save_setup'], (line) => {
    const device = line.device();
    return line.has(' data buffer size ')
      ? { kind: 'save_setup', device, bufferSize: line.count() }
      : { kind: 'save_setup', device };
  }),
  row('vfio_save_iterate', ['save_iterate'], (line) => {
    const device = line.device();
    if (!line.has(' precopy initial size ')) return { kind: 'save_iterate', device };
    const initial = line.count();
    return { kind: 'save_iterate', device, initial, dirty: line.skip(' precopy dirty size ').count() };
  }),
  row('vfio_save_block', ['data_read'], (line) => ({
    kind: 'data_read',
    device: line.device(),
    result: line.skip(' data_size ').int(),
  })),
  row('vfio_save_block_precopy_empty_hit', ['data_read'], (line) => ({
    kind: 'data_read',
    device: line.device(),
    result: -ERRNO.ENOMSG!,
  })),
  deviceRow('vfio_send_init_data_flag', 'init_data_sent'),
  row('vfio_query_precopy_size', ['precopy_info'], precopyInfo),
  row('vfio_query_stop_copy_size', ['data_size'], (line) => {
    const device = line.device();
    const bytes = line.skip(' stopcopy size ').count();
    const errno = line.skip(' ret ').errno();
    return errno === 0 ? { kind: 'data_size', device, bytes, errno } : { kind: 'data_size', device, errno };
  }),
  row('vfio_state_pending', ['state_pending'], statePending),
  row('vfio_state_pending_estimate', ['state_pending'], (line) => oldStatePending(line, false)),
  row('vfio_state_pending_exact', ['state_pending'], (line) => oldStatePending(line, true)),
  row('vfio_save_complete_precopy_start', ['save_complete_start'], (line) => ({
    kind: 'save_complete_start',
    device: line.device(),
  })),
  row('vfio_save_complete_precopy', ['save_complete'], (line) => {
    const device = line.device();
    return line.has(' ret ')
      ? { kind: 'save_complete', device, errno: line.errno() }
      : { kind: 'save_complete', device };
  }),
  row('vfio_save_complete_precopy_thread_start', ['save_complete_start'], (line) => ({
    kind: 'save_complete_start',
    device: line.device(),
    multifd: true,
  })),
  row('vfio_save_complete_precopy_thread_end', ['save_complete'], threadEnd),
  deviceRow('vfio_save_device_config_state', 'save_config'),
  deviceRow('vfio_save_cleanup', 'save_cleanup'),

  // Loading. Up to 9.2 there is one event for the config, at its end.
  row('vfio_load_state', ['load_record'], loadRecord),
  row('vfio_load_state_device_data', ['data_write'], dataWrite),
  deviceRow('vfio_load_device_config_state', 'load_config_end'),
  deviceRow('vfio_load_device_config_state_start', 'load_config_start'),
  deviceRow('vfio_load_device_config_state_end', 'load_config_end'),
  row('vfio_load_state_device_buffer_incoming', ['load_buffer_queued'], (line) => ({
    kind: 'load_buffer_queued',
    device: line.device(),
    index: line.skip(' idx ').int(),
  })),
  deviceRow('vfio_load_bufs_thread_start', 'load_thread_start'),
  row('vfio_load_state_device_buffer_load_start', ['load_buffer_start'], (line) => ({
    kind: 'load_buffer_start',
    device: line.device(),
    index: line.skip(' idx ').int(),
  })),
  row('vfio_load_state_device_buffer_load_end', ['load_buffer_end'], (line) => ({
    kind: 'load_buffer_end',
    device: line.device(),
    index: line.skip(' idx ').int(),
  })),
  deviceRow('vfio_load_state_device_buffer_end', 'load_buffers_done'),
  deviceRow('vfio_load_bufs_thread_end', 'load_thread_end'),
  deviceRow('vfio_load_cleanup', 'load_cleanup'),

  // Reset and dirty tracking.
  row('vfio_pci_reset', ['reset'], (line, log) => {
    const device = line.device();
    const flags = log.flags(device);
    return flags === undefined || flags & DEVICE_FLAGS_RESET
      ? { kind: 'reset', device }
      : { kind: 'reset', device, offered: false };
  }),
  row('vfio_reset_handler', ['vm_reset'], () => ({ kind: 'vm_reset' })),
  row('vfio_device_reset_handler', ['vm_reset'], () => ({ kind: 'vm_reset' })),
  row('vfio_device_dirty_tracking_start', ['dirty_tracking_start'], (line) => ({
    kind: 'dirty_tracking_start',
    ranges: line.skip('nr_ranges ').count(),
  })),
  row('vfio_get_dirty_bitmap', ['dirty_bitmap'], dirtyBitmap),
  row('vfio_container_query_dirty_bitmap', ['dirty_bitmap'], dirtyBitmap),
];

function migrationInit(line: LogLine, log: LogMemory): Bare<'device_open' | 'capabilities'>[] {
  const device = line.device();
  const flags = line.skip(' mig_flags ').count();
  const precopyInfoV2 = line.skip(', precopy_info_v2_used ').flag();
  const dmaLogging = line.skip(', dirty_pages_supported ').flag();
  log.isNew();
  log.open(device, false);
  return [
    { kind: 'device_open', device },
    { kind: 'capabilities', device, flags, precopyInfoV2, dmaLogging },
  ];
}

/** `Device NAME flags: 2, regions: 9, irqs: 5` */
function deviceFlags(line: LogLine, log: LogMemory): Bare<'capabilities'> {
  const device = line.skip('Device ').until(' flags: ');
  return resetFlag(device, line.int(), log);
}

/** ` NAME (31) num_irqs=5 num_regions=9 flags=2` */
function cdevFlags(line: LogLine, log: LogMemory): Bare<'capabilities'> {
  const device = line.skip(' ').until(' (');
  if (!line.seek(' flags=')) line.fail();
  return resetFlag(device, line.int(), log);
}

function resetFlag(device: string, flags: number, log: LogMemory): Bare<'capabilities'> {
  log.setFlags(device, flags);
  return { kind: 'capabilities', device, reset: (flags & DEVICE_FLAGS_RESET) !== 0 };
}

/** From 10.0 on the request, printed before the call; before, the state that was reached. */
function setState(line: LogLine, log: LogMemory): Bare<'set_state' | 'set_state_result'> {
  const device = line.device();
  if (line.has(' new state ')) {
    const state = line.state();
    return { kind: 'set_state', device, state, recover: line.skip(', recover state ').state() };
  }
  line.skip(' state ');
  if (line.atNumber) log.refuse();
  return { kind: 'set_state_result', device, state: line.state(), errno: 0 };
}

/** What the 8.x notifier gets: a migration status. The VFIO notifier of those versions acts on failures only. */
const STATUS_NOTIFIERS: Readonly<Record<string, NotifierEvent>> = {
  setup: 'setup',
  completed: 'done',
  cancelling: 'failed',
  cancelled: 'failed',
  failed: 'failed',
};

function notifier(line: LogLine, log: LogMemory): Bare<'notifier'> {
  const device = line.device();
  line.skip(' state ');
  if (line.atNumber) {
    const number = line.int();
    const event = log.notifier(number);
    return event ? { kind: 'notifier', device, event, number } : { kind: 'notifier', device, number };
  }
  const event = STATUS_NOTIFIERS[line.word()];
  return event ? { kind: 'notifier', device, event } : { kind: 'notifier', device };
}

function vmstate(line: LogLine, log: LogMemory) {
  const device = line.device();
  const running = line.skip(' running ').flag();
  const reason = line.skip(' reason ').word();
  line.skip(' device state ');
  if (line.atNumber) log.refuse();
  return { device, running, reason, state: line.state() };
}

function precopyInfo(line: LogLine): Bare<'precopy_info'> {
  const device = line.device();
  const initial = line.skip(' init ').count();
  const dirty = line.skip(', dirty ').count();
  const reinit = line.skip(', reinit ').flag();
  const errno = line.skip(', ret ').errno();
  return errno === 0
    ? { kind: 'precopy_info', device, initial, dirty, reinit, errno }
    : { kind: 'precopy_info', device, errno };
}

function statePending(line: LogLine): Bare<'state_pending'> {
  const device = line.device();
  const stopcopy = line.skip(' stopcopy size ').count();
  const initial = line.skip(', precopy initial size ').count();
  const dirty = line.skip(', precopy dirty size ').count();
  const ack = line.skip(', request switchover ack ').flag();
  const exact = line.skip(', exact ').flag();
  const final = line.skip(', final ').flag();
  return { kind: 'state_pending', device, stopcopy, initial, dirty, ack, exact, final };
}

/** Up to 11.0. 8.0 has no pre-copy sizes. */
function oldStatePending(line: LogLine, exact: boolean): Bare<'state_pending'> {
  const device = line.device();
  line.skip(' precopy ').count();
  line.skip(' postcopy ').count();
  const event: Bare<'state_pending'> = { kind: 'state_pending', device, exact };
  if (line.seek(' stopcopy size ')) event.stopcopy = line.count();
  if (!line.has(' precopy initial size ')) return event;
  event.initial = line.count();
  event.dirty = line.skip(' precopy dirty size ').count();
  return event;
}

/** `ret` is a bool here: 1 is success. What went wrong is not shown. */
function threadEnd(line: LogLine): Bare<'save_complete'> {
  const device = line.device();
  return line.skip(' ret ').flag()
    ? { kind: 'save_complete', device, multifd: true, errno: 0 }
    : { kind: 'save_complete', device, multifd: true };
}

function loadRecord(line: LogLine): Bare<'load_record'> {
  const device = line.device();
  const tag = line.skip(' data ').tag();
  return isTag(tag) ? { kind: 'load_record', device, tag } : { kind: 'load_record', device, value: tag };
}

function isTag(tag: string): tag is VfioStreamTag {
  return tag in VFIO_STREAM_TAGS;
}

function dataWrite(line: LogLine): Bare<'data_write'> {
  const device = line.device();
  const size = line.skip(' size ').int();
  const ret = line.skip(' ret ').int();
  return { kind: 'data_write', device, size, result: ret === 0 ? size : ret };
}

/** The fields differ by version; these are in all that have them. */
function dirtyBitmap(line: LogLine): Bare<'dirty_bitmap'> {
  if (!line.seek('iova=')) line.fail();
  const iova = line.address();
  const length = line.skip(' size=').address();
  return line.seek(' dirty_pages=')
    ? { kind: 'dirty_bitmap', iova, length, dirtyPages: line.count() }
    : { kind: 'dirty_bitmap', iova, length };
}
