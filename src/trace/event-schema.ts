import { z } from 'zod';
import { MIGRATION_STATUSES, VFIO_STREAM_TAGS } from '../uapi/qemu.js';
import { MIG_STATES } from '../uapi/vfio.js';
import { dirtyLogEvents } from './dirty-log-events.js';
import { address, count, deviceEvent, errno, hostEvent, transferResult } from './event-shape.js';
import { vhostEvents } from './vhost-events.js';

/**
 * The canonical event vocabulary: one schema, from which come the TypeScript types (`event.ts`),
 * the published JSON Schema and the checks of the NDJSON reader.
 *
 * An event is one observed thing. It says who saw it (`host`, `device`) and where it is written
 * (`file`, `line`), and it says no more than its source showed: a field that the source cannot show
 * is absent, never guessed. `errno` is a positive Linux error number, 0 is success, absent is unknown.
 */

const migState = z.enum(MIG_STATES);

/** Events at the boundary between user space and the driver: ioctls, reads and writes. */
const uapiEvents = [
  deviceEvent('capabilities', 'what the device offers; later ones add to earlier ones', {
    flags: count.optional().describe('VFIO_DEVICE_FEATURE_MIGRATION flags'),
    precopyInfoV2: z.boolean().optional().describe('opted in to MIG_PRECOPY_INFOv2'),
    dmaLogging: z.boolean().optional().describe('DMA_LOGGING_START answered a probe'),
    reset: z.boolean().optional().describe('VFIO_DEVICE_FLAGS_RESET'),
  }),
  deviceEvent('set_state', 'SET of MIG_DEVICE_STATE was called', {
    state: z.union([migState, count]).describe('requested state; a number when the header has none'),
    recover: migState.optional().describe('state that the VMM will ask for when this fails'),
  }),
  deviceEvent('set_state_result', 'the answer to a SET of MIG_DEVICE_STATE', {
    state: migState.optional().describe('state the device is now in, as far as it was seen'),
    errno: errno.optional(),
    dataFd: z.boolean().optional().describe('whether a new data_fd came with it'),
  }),
  deviceEvent('get_state', 'GET of MIG_DEVICE_STATE', {
    state: migState.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('data_read', 'read() on a data_fd', {
    size: count.optional().describe('bytes asked for'),
    result: transferResult,
  }),
  deviceEvent('data_write', 'write() on a data_fd', {
    size: count.optional().describe('bytes offered'),
    result: transferResult,
  }),
  deviceEvent('data_close', 'close() of a data_fd', {}),
  deviceEvent('precopy_info', 'VFIO_MIG_GET_PRECOPY_INFO', {
    initial: count.optional().describe('initial_bytes'),
    dirty: count.optional().describe('dirty_bytes'),
    reinit: z.boolean().optional().describe('VFIO_PRECOPY_INFO_REINIT was set'),
    errno: errno.optional(),
  }),
  deviceEvent('data_size', 'GET of MIG_DATA_SIZE', { bytes: count.optional(), errno: errno.optional() }),
  deviceEvent('dma_logging_start', 'SET of DMA_LOGGING_START', {
    ranges: count.optional().describe('number of IOVA ranges'),
    pageSize: count.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('dma_logging_stop', 'SET of DMA_LOGGING_STOP', { errno: errno.optional() }),
  deviceEvent('dma_logging_report', 'GET of DMA_LOGGING_REPORT', {
    iova: address.optional(),
    length: address.optional(),
    pageSize: count.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('feature_probe', 'PROBE of a VFIO_DEVICE_FEATURE', { feature: count, errno: errno.optional() }),
  deviceEvent('precopy_info_v2', 'SET of MIG_PRECOPY_INFOv2', { errno: errno.optional() }),
  deviceEvent('reset', 'VFIO_DEVICE_RESET or an equal reset was asked for', {
    errno: errno.optional(),
    offered: z.boolean().optional().describe('false: the device has no reset, so nothing happened'),
  }),
  deviceEvent('device_open', 'the device was opened or realized anew', {}),
];

/** What only a run that sees the guest, its memory and the inside of a device can tell. */
const insideEvents = [
  deviceEvent('guest_check', 'the guest driver tried its device', {
    works: z.boolean(),
    what: z.string().optional().describe('what it tried, or what went wrong'),
  }),
  deviceEvent('guest_books', 'what the guest driver counted since its start, on whichever host that was', {
    lost: count,
    duplicated: count,
    reordered: count,
    corrupted: count,
    mailboxMisanswered: count.describe('requests that were answered more or less often than once'),
  }),
  deviceEvent(
    'dma_write',
    'the device wrote guest memory: the first write after each change of its state, and every one in a state that allows none',
    { iova: address, length: address },
  ),
  deviceEvent('state_compare', 'the device state of both sides was compared', {
    equal: z.boolean(),
    what: z.string().optional().describe('what differs'),
  }),
  hostEvent('memory_compare', 'guest memory of both sides was compared after the switchover', {
    equal: z.boolean(),
    pages: count.optional().describe('pages that differ'),
  }),
];

/** Events inside the kernel: what the driver and the VFIO core did to serve a request. */
const kernelEvents = [
  deviceEvent('driver_request', 'a variant driver was asked for a state', {
    state: z.union([migState, count]),
  }),
  deviceEvent('driver_arc', 'a variant driver walks one arc', {
    from: migState,
    to: migState,
    errno: errno.optional(),
  }),
  deviceEvent('next_hop', 'vfio_mig_get_next_state() was asked', {
    from: migState,
    to: z.union([migState, count]).describe('requested state'),
    errno: errno.optional(),
  }),
];

/** What a VMM did for one device. */
const vmmDeviceEvents = [
  deviceEvent('vmstate_prepare', 'first phase of a VM stop or start is done for the device', {
    running: z.boolean(),
    reason: z.string(),
    state: migState.optional(),
  }),
  deviceEvent('vmstate_change', 'last phase of a VM stop or start is done for the device', {
    running: z.boolean(),
    reason: z.string(),
    state: migState.optional(),
  }),
  deviceEvent('notifier', 'the migration notifier ran for the device', {
    event: z.enum(['setup', 'switchover', 'done', 'failed']).optional(),
    number: count.optional(),
  }),
  deviceEvent('save_setup', 'save_setup has ended', { bufferSize: count.optional() }),
  deviceEvent('save_iterate', 'a PART section was written', {
    initial: count.optional(),
    dirty: count.optional(),
  }),
  deviceEvent('init_data_sent', 'INIT_DATA_SENT was put into the stream', {}),
  deviceEvent('state_pending', 'the device answered a pending query', {
    stopcopy: count.optional(),
    initial: count.optional(),
    dirty: count.optional(),
    ack: z.boolean().optional(),
    exact: z.boolean().optional(),
    final: z.boolean().optional(),
  }),
  deviceEvent('save_complete_start', 'the final drain begins', { multifd: z.boolean().optional() }),
  deviceEvent('save_complete', 'the final drain has ended', {
    multifd: z.boolean().optional(),
    errno: errno.optional(),
  }),
  deviceEvent('save_config', 'the config vmstate was written', {}),
  deviceEvent('save_cleanup', 'save_cleanup has closed the data_fd', {}),
  deviceEvent('load_record', 'a tag was read from the stream', {
    tag: z.enum(Object.keys(VFIO_STREAM_TAGS) as [keyof typeof VFIO_STREAM_TAGS]).optional(),
    value: z.string().optional(),
  }),
  deviceEvent('load_config_start', 'loading of the config vmstate begins', {}),
  deviceEvent('load_config_end', 'the config vmstate was loaded', {}),
  deviceEvent('load_cleanup', 'load_cleanup has closed the data_fd', {}),
  deviceEvent('load_buffer_queued', 'a multifd device-state packet came', { index: count }),
  deviceEvent('load_thread_start', 'the multifd load thread begins', {}),
  deviceEvent('load_buffer_start', 'the load thread writes packet `index`', { index: count }),
  deviceEvent('load_buffer_end', 'the load thread has written packet `index`', { index: count }),
  deviceEvent('load_buffers_done', 'the last data packet was written', {}),
  deviceEvent('load_thread_end', 'the multifd load thread ends', {}),
];

/** What a VMM did for the whole VM. */
const vmmEvents = [
  hostEvent('vmm_version', 'the VMM told its version', { name: z.string(), version: z.string() }),
  hostEvent('migration_status', 'MigrationStatus changed', { status: z.enum(MIGRATION_STATUSES) }),
  hostEvent('run_state', 'RunState changed', { from: z.string().optional(), to: z.string() }),
  hostEvent('vm_state', 'VM-state handlers are about to run', { running: z.boolean(), reason: z.string() }),
  hostEvent('vm_stopped', 'stopping the VM for switchover has ended', { errno: errno.optional() }),
  hostEvent('qmp_stop', 'QMP event STOP', {}),
  hostEvent('qmp_resume', 'QMP event RESUME', {}),
  hostEvent('capability', 'a migration capability was set', { name: z.string(), on: z.boolean() }),
  hostEvent('vm_reset', 'the machine was reset (device reset handlers run)', {}),
  hostEvent('source_setup', 'save_setup of all entries begins', {}),
  hostEvent('return_path_opened', 'OPEN_RETURN_PATH was sent', {}),
  hostEvent('query_pending', 'pending bytes of all entries', {
    exact: z.boolean().optional(),
    final: z.boolean().optional(),
    precopy: count.optional(),
    stopcopy: count.optional(),
    postcopy: count.optional(),
    total: count.optional(),
    ackCollected: count.optional(),
    ackTotal: count.optional(),
  }),
  hostEvent('switchover_ack', 'a switchover ACK reached the source', { pending: count.optional() }),
  hostEvent('switchover_ack_needed', 'devices whose approval the destination awaits', { pending: count }),
  hostEvent('switchover_approved', 'the destination approved the switchover', {
    approver: z.string().optional(),
    pending: count.optional(),
  }),
  hostEvent('switchover_start', 'SWITCHOVER_START was sent or received', { sent: z.boolean() }),
  hostEvent('precopy_complete', 'all pre-copy bytes are accounted', {}),
  hostEvent('bitmap_sync', 'a dirty bitmap sync has ended', { dirtyPages: count.optional() }),
  hostEvent('dirty_tracking_start', 'the VMM starts dirty tracking of its VFIO devices', {
    ranges: count.optional(),
  }),
  hostEvent('dirty_bitmap', 'the VMM queried a dirty bitmap of a VFIO container', {
    iova: address.optional(),
    length: address.optional(),
    dirtyPages: count.optional(),
  }),
  hostEvent('migration_cancel', 'migrate_cancel was asked for', {}),
  hostEvent('migration_error', 'the VMM reported an error', { text: z.string() }),
  hostEvent('source_thread_end', 'the migration thread left its loop', {}),
  hostEvent('notifiers', 'migration notifiers are called', {
    event: z.enum(['setup', 'switchover', 'done', 'failed']).optional(),
    number: count.optional(),
  }),
  hostEvent('source_cleanup', 'save_cleanup of all entries begins', {}),
  hostEvent('postcopy_start', 'the source switches to post-copy', {}),
  hostEvent('destination_setup', 'load_setup of all entries begins', {}),
  hostEvent('destination_load_end', 'the incoming stream was loaded', { errno }),
  hostEvent('destination_cleanup', 'load_cleanup of all entries begins', {}),
  hostEvent('migration_info', 'reply to query-migrate', {
    status: z.string().optional(),
    totalTime: z.number().optional().describe('ms'),
    downtime: z.number().optional().describe('ms'),
    setupTime: z.number().optional().describe('ms'),
    vfioTransferred: count.optional().describe('bytes'),
    ramTransferred: count.optional().describe('bytes'),
    blocked: z.array(z.string()).optional(),
    error: z.string().optional(),
  }),
];

/** One canonical event. */
export const traceEventSchema = z.discriminatedUnion('kind', [
  ...(uapiEvents as [(typeof uapiEvents)[number]]),
  ...insideEvents,
  ...kernelEvents,
  ...vmmDeviceEvents,
  ...vmmEvents,
  ...vhostEvents,
  ...dirtyLogEvents,
]);

export { EVENT_KINDS, TRACE_SCHEMA } from './event-kinds.js';
