/**
 * Arguments of the trace events that the qemu-log reader knows, by the format texts of QEMU 8.0 to
 * 11.1 on 64-bit hosts (`hw/vfio/trace-events`, `migration/trace-events`, `system/trace-events`), and of 7.2 to
 * 11.1 for vhost (`hw/virtio/trace-events`).
 * A simpletrace record has values without types; the format says how many there are, which of them
 * are text, and how the log back end would have printed them. Newest first: where an event has
 * changed, the first format that a record fits is taken.
 */
const DEVICE = ' (%s)';

export const FORMATS: Readonly<Record<string, readonly string[]>> = {
  // Protocol v1, for which the log reader refuses an input.
  vfio_save_buffer: [' (%s) Offset 0x%lx size 0x%lx pending 0x%lx'],
  vfio_save_pending: [' (%s) precopy 0x%lx postcopy 0x%lx compatible 0x%lx'],
  vfio_update_pending: [' (%s) pending 0x%lx'],

  vfio_migration_probe: [DEVICE, ' (%s) Region %d'],
  vfio_migration_init: [' (%s) mig_flags 0x%lx, precopy_info_v2_used %d, dirty_pages_supported %d'],
  vfio_migration_realize: [DEVICE],
  vfio_device_get: ['Device %s flags: %u, regions: %u, irqs: %u'],
  vfio_get_device: ['Device %s flags: %u, regions: %u, irqs: %u'],
  iommufd_cdev_device_info: [' %s (%d) num_irqs=%d num_regions=%d flags=%d'],
  vfio_migration_set_state: [
    ' (%s) new state %s, recover state %s',
    ' (%s) state %s',
    ' (%s) state %d', // 7.2
  ],
  vfio_migration_set_device_state: [' (%s) state %s'],
  vfio_migration_state_notifier: [' (%s) state %s', ' (%s) state %d'],
  vfio_vmstate_change_prepare: [' (%s) running %d reason %s device state %s'],
  vfio_vmstate_change: [
    ' (%s) running %d reason %s device state %s',
    ' (%s) running %d reason %s device state %d', // 7.2
  ],

  vfio_save_setup: [' (%s) data buffer size %lu', DEVICE],
  vfio_save_iterate: [' (%s) precopy initial size %lu precopy dirty size %lu', ' (%s) data_size %d', DEVICE],
  vfio_save_block: [' (%s) data_size %d'],
  vfio_save_block_precopy_empty_hit: [DEVICE],
  vfio_send_init_data_flag: [DEVICE],
  vfio_query_precopy_size: [' (%s) init %lu, dirty %lu, reinit %d, ret %d'],
  vfio_query_stop_copy_size: [' (%s) stopcopy size %lu ret %d'],
  vfio_state_pending: [
    ' (%s) stopcopy size %lu, precopy initial size %lu, precopy dirty size %lu, request switchover ack %d, exact %d, final %d',
  ],
  vfio_state_pending_estimate: [
    ' (%s) precopy %lu postcopy %lu precopy initial size %lu precopy dirty size %lu',
  ],
  vfio_state_pending_exact: [
    ' (%s) precopy %lu postcopy %lu stopcopy size %lu precopy initial size %lu precopy dirty size %lu',
    ' (%s) precopy 0x%lx postcopy 0x%lx stopcopy size 0x%lx', // 8.0
  ],
  vfio_save_complete_precopy_start: [DEVICE],
  vfio_save_complete_precopy: [' (%s) ret %d', DEVICE],
  vfio_save_complete_precopy_thread_start: [' (%s) idstr %s instance %u'],
  vfio_save_complete_precopy_thread_end: [' (%s) ret %d'],
  vfio_save_device_config_state: [DEVICE],
  vfio_save_cleanup: [DEVICE],

  vfio_load_state: [' (%s) data 0x%lx'],
  vfio_load_state_device_data: [' (%s) size %lu ret %d'],
  vfio_load_device_config_state: [DEVICE],
  vfio_load_device_config_state_start: [DEVICE],
  vfio_load_device_config_state_end: [DEVICE],
  vfio_load_state_device_buffer_incoming: [' (%s) idx %u'],
  vfio_load_bufs_thread_start: [DEVICE],
  vfio_load_state_device_buffer_load_start: [' (%s) idx %u'],
  vfio_load_state_device_buffer_load_end: [' (%s) idx %u'],
  vfio_load_state_device_buffer_end: [DEVICE],
  vfio_load_bufs_thread_end: [DEVICE],
  vfio_load_cleanup: [DEVICE],

  vfio_pci_reset: [DEVICE],
  vfio_reset_handler: [''],
  vfio_device_reset_handler: [''],
  vfio_device_dirty_tracking_start: [
    'nr_ranges %d 32:[0x%lx - 0x%lx], 64:[0x%lx - 0x%lx], pci64:[0x%lx - 0x%lx]',
    'nr_ranges %d 32:[0x%lx - 0x%lx], 64:[0x%lx - 0x%lx]', // 8.1
  ],
  vfio_get_dirty_bitmap: [
    'iova=0x%lx size= 0x%lx bitmap_size=0x%lx start=0x%lx dirty_pages=%lu',
    'container fd=%d, iova=0x%lx size= 0x%lx bitmap_size=0x%lx start=0x%lx dirty_pages=%lu', // 8.1 to 8.2
  ],
  vfio_container_query_dirty_bitmap: [
    'iova=0x%lx size=0x%lx backend_flag=0x%lx bitmap_size=0x%lx gpa=0x%lx dirty_pages=%lu',
  ],

  // Pointers are numbers of 64 bits, printed in hexadecimal.
  vhost_dev_init_in: ['0x%lx'],
  vhost_dev_init_out: ['0x%lx'],
  vhost_dev_cleanup: ['0x%lx'],
  vhost_user_event: ['chr: %s got event: %d'],
  vhost_dev_start: ['0x%lx:%s vrings:%d'],
  vhost_dev_start_in: ['0x%lx:%s vrings:%d'],
  vhost_dev_start_out: ['0x%lx:%s'],
  vhost_dev_stop: ['0x%lx:%s vrings:%d'],
  vhost_dev_stop_in: ['0x%lx:%s vrings:%d'],
  vhost_dev_stop_out: ['0x%lx:%s'],
  vhost_virtqueue_start_in: ['0x%lx:%s %d'],
  vhost_virtqueue_start_out: ['0x%lx:%s %d'],
  vhost_virtqueue_stop_in: ['0x%lx:%s %d'],
  vhost_virtqueue_stop_out: ['0x%lx:%s %d'],
  vhost_user_write: ['req:%d (%s) flags:0x%x', 'req:%d flags:0x%x'],
  vhost_user_read: ['req:%d (%s) flags:0x%x', 'req:%d flags:0x%x'],

  vhost_vdpa_init: [
    'dev: 0x%lx, common dev: 0x%lx vdpa: 0x%lx',
    'dev: 0x%lx vdpa: 0x%lx', // 7.2
  ],
  vhost_vdpa_cleanup: ['dev: 0x%lx vdpa: 0x%lx'],
  vhost_vdpa_set_owner: ['dev: 0x%lx'],
  vhost_vdpa_get_features: ['dev: 0x%lx features: 0x%lx'],
  vhost_vdpa_set_features: ['dev: 0x%lx features: 0x%lx'],
  vhost_vdpa_get_config: ['dev: 0x%lx config: 0x%lx config_len: %u'],
  vhost_vdpa_set_config: ['dev: 0x%lx offset: %u size: %u flags: 0x%x'],
  vhost_vdpa_add_status: ['dev: 0x%lx status: 0x%x'],
  vhost_vdpa_reset_device: ['dev: 0x%lx', 'dev: 0x%lx status: 0x%x'],
  vhost_vdpa_suspend: ['dev: 0x%lx'],
  vhost_vdpa_set_vring_num: ['dev: 0x%lx index: %u num: %u'],
  vhost_vdpa_set_dev_vring_base: ['dev: 0x%lx index: %u num: %u svq: %d'],
  vhost_vdpa_set_vring_base: ['dev: 0x%lx index: %u num: %u'],
  vhost_vdpa_get_vring_base: ['dev: 0x%lx index: %u num: %u svq: %d', 'dev: 0x%lx index: %u num: %u'],
  vhost_vdpa_set_vring_addr: [
    'dev: 0x%lx index: %u flags: 0x%x desc_user_addr: 0x%lx used_user_addr: 0x%lx avail_user_addr: 0x%lx log_guest_addr: 0x%lx',
  ],
  vhost_vdpa_set_vring_kick: ['dev: 0x%lx index: %u fd: %d'],
  vhost_vdpa_set_vring_call: ['dev: 0x%lx index: %u fd: %d'],
  vhost_vdpa_set_vring_enable_one: ['dev: 0x%lx, idx: %u, enable: %u, r: %d'],
  vhost_vdpa_set_log_base: ['dev: 0x%lx base: 0x%lx size: %lu refcnt: %d fd: %d log: 0x%lx'],
  vhost_vdpa_set_address_space_id: ['vhost_vdpa: 0x%lx vq_group: %u asid: %u'],
  vhost_vdpa_dma_map: [
    'vdpa_shared:0x%lx fd: %d msg_type: %u asid: %u iova: 0x%lx size: 0x%lx uaddr: 0x%lx perm: 0x%x type: %u',
    'vdpa:0x%lx fd: %d msg_type: %u iova: 0x%lx size: 0x%lx uaddr: 0x%lx perm: 0x%x type: %u', // 7.2
  ],
  vhost_vdpa_dma_unmap: [
    'vdpa_shared:0x%lx fd: %d msg_type: %u asid: %u iova: 0x%lx size: 0x%lx type: %u',
    'vdpa:0x%lx fd: %d msg_type: %u iova: 0x%lx size: 0x%lx type: %u', // 7.2
  ],
  // Since 8.2 the pointer is that of what the vhost_devs share; a record does not tell which it is.
  vhost_vdpa_listener_begin_batch: ['vdpa_shared:0x%lx fd: %d msg_type: %u type: %u'],
  vhost_vdpa_listener_commit: ['vdpa_shared:0x%lx fd: %d msg_type: %u type: %u'],
  vhost_vdpa_net_load_cmd: ['vdpa state: 0x%lx class: %u cmd: %u sg_num: %d size: %d'],

  iommufd_backend_set_dirty: [' iommufd=%d hwpt=%u enable=%d (%d)'],
  iommufd_backend_get_dirty_bitmap: [
    ' iommufd=%d hwpt=%u iova=0x%lx size=0x%lx flags=0x%lx page_size=0x%lx (%d)',
    ' iommufd=%d hwpt=%u iova=0x%lx size=0x%lx page_size=0x%lx (%d)', // 10.0
  ],

  migrate_set_state: ['new state %s'],
  runstate_set: ['current_run_state %d (%s) new_state %d (%s)'],
  vm_state_notify: ['running %d reason %d (%s)'],
  migration_completion_vm_stop: ['ret %d'],
  migration_call_notifiers: ['type=%d'],
  migration_cancel: [''],
  migrate_fd_cancel: [''],
  migrate_error: ['error=%s'],
  migrate_fd_error: ['error=%s'],

  savevm_state_setup: [''],
  savevm_send_open_return_path: [''],
  qemu_savevm_query_pending: [
    'exact=%d, final=%d, precopy=%lu, stopcopy=%lu, postcopy=%lu, total=%lu, collected switchover ack pending=%u, total switchover ack pending=%u',
  ],
  migrate_pending_estimate: ['estimate pending size %lu (pre = %lu post=%lu)'],
  migrate_pending_exact: ['exact pending size %lu (pre = %lu post=%lu)'],
  source_return_path_thread_switchover_acked: ['switchover_ack_pending_num %u', ''],
  savevm_send_switchover_start: [''],
  migration_precopy_complete: [''],
  migration_bitmap_sync_end: ['dirty_pages %lu'],
  migration_thread_after_loop: [''],
  savevm_state_cleanup: [''],
  postcopy_start: [''],

  loadvm_state_setup: [''],
  loadvm_state_switchover_ack_needed: ['Switchover ack pending num=%u'],
  migration_request_switchover_ack_legacy: ['Requester %s, switchover_ack_pending_num_legacy %u'],
  loadvm_approve_switchover: ['Approver %s', 'Switchover ack pending num=%u'],
  loadvm_approve_switchover_legacy: ['Approver %s, switchover_ack_pending_num_legacy %u'],
  loadvm_process_command: ['com=%s len=%d'],
  process_incoming_migration_co_end: ['ret=%d', 'ret=%d postcopy-state=%d'],
  loadvm_state_cleanup: [''],
};

/** One conversion of a format, with the text before it. */
export interface Conversion {
  before: string;
  /** Text, or a number in the given base; signed as the format says. */
  type: 'text' | 'signed' | 'unsigned' | 'hex';
  /** Width that the format prints; a record always holds 64 bits. */
  bits: 32 | 64;
}

/** A format, taken apart. */
export interface Format {
  conversions: readonly Conversion[];
  /** Text behind the last conversion. */
  after: string;
}

const TYPES: Readonly<Record<string, Conversion['type']>> = {
  s: 'text',
  d: 'signed',
  u: 'unsigned',
  x: 'hex',
};

/** Takes a format apart; it knows the conversions that `FORMATS` has. */
export function parseFormat(text: string): Format {
  const conversions: Conversion[] = [];
  let at = 0;
  for (const match of text.matchAll(/%(l?)([sdux])/g)) {
    const bits = match[1] === 'l' ? 64 : 32;
    conversions.push({ before: text.slice(at, match.index), type: TYPES[match[2]!]!, bits });
    at = match.index + match[0].length;
  }
  return { conversions, after: text.slice(at) };
}

const PARSED = new Map<string, readonly Format[]>();

/** The formats that an event may have, or `undefined` for an event that gives nothing. */
export function formatsOf(name: string): readonly Format[] | undefined {
  const known = PARSED.get(name);
  if (known !== undefined || !Object.hasOwn(FORMATS, name)) return known;
  const formats = FORMATS[name]!.map(parseFormat);
  PARSED.set(name, formats);
  return formats;
}

/**
 * The text that the log back end prints for these arguments, or `undefined` when they are not those
 * of the format: texts must be printable, and the values must take exactly the record.
 */
export function render(format: Format, args: DataView, little: boolean): string | undefined {
  let text = '';
  let at = 0;
  for (const conversion of format.conversions) {
    text += conversion.before;
    if (conversion.type === 'text') {
      const word = readText(args, at, little);
      if (word === undefined) return undefined;
      text += word.text;
      at += word.size;
    } else {
      if (at + 8 > args.byteLength) return undefined;
      text += number(conversion, args.getBigUint64(at, little));
      at += 8;
    }
  }
  return at === args.byteLength ? text + format.after : undefined;
}

/** A text: its length in 4 bytes, then the bytes. Line breaks would end a line; they become blanks. */
function readText(args: DataView, at: number, little: boolean): { text: string; size: number } | undefined {
  if (at + 4 > args.byteLength) return undefined;
  const length = args.getUint32(at, little);
  if (at + 4 + length > args.byteLength) return undefined;
  const text = Buffer.from(args.buffer, args.byteOffset + at + 4, length).toString('utf8');
  return text.includes('\0') ? undefined : { text: text.replaceAll(/[\r\n]/g, ' '), size: 4 + length };
}

/** A record holds every number as 64 bits, sign-extended; the format prints some of them. */
function number({ type, bits }: Conversion, value: bigint): string {
  if (type === 'signed') return BigInt.asIntN(bits, value).toString();
  return BigInt.asUintN(bits, value).toString(type === 'hex' ? 16 : 10);
}
