import { z } from 'zod';
import { VHOST_INTERFACES } from '../uapi/vhost-backend.js';
import { VHOST_WRITES } from '../uapi/vhost-log.js';
import { VHOST_USER_REQUEST_NAMES } from '../uapi/vhost-user.js';
import { address, count, deviceEvent, errno } from './event-shape.js';

/**
 * Events of vhost back ends behind any of their interfaces. A request of vhost-user that has an answer is told
 * when the answer comes; `vhost_message` tells the messages themselves, each at its time.
 */

const index = count.describe('number of the virtqueue');
const via = { interface: z.enum(VHOST_INTERFACES) };
const features = address.describe('feature bits');
const begin = z.boolean().describe('true where it begins, false where it has ended');
/** Runs of pages of 4096 bytes, counted from guest physical address 0: first page and number. */
export const pageRuns = z
  .array(z.tuple([count, count]))
  .max(65_536)
  .describe('runs of pages of 4096 bytes: number of the first one, and how many');

/** Requests of the VMM, and their results. */
const requests = [
  deviceEvent('vhost_open', 'the back end was opened or connected', via),
  deviceEvent('vhost_close', 'the back end was closed, or the connection was lost', {
    ...via,
    lost: z.boolean().optional().describe('the other side ended it'),
  }),
  deviceEvent('vhost_message', 'a message of vhost-user', {
    request: z.union([z.enum(VHOST_USER_REQUEST_NAMES), count]),
    from: z.enum(['front_end', 'back_end']),
    reply: z.boolean(),
    needReply: z.boolean().optional(),
    size: count.optional().describe('bytes of the payload'),
    fds: count.optional().describe('descriptors that came with it'),
    /** The descriptor bit of SET_VRING_KICK and its kind, by which `fds` is judged. */
    noFd: z.boolean().optional().describe('the payload says that no descriptor comes'),
  }),
  deviceEvent('vhost_offered', 'features that the back end offers', {
    ...via,
    features: features.optional(),
    protocolFeatures: features.optional(),
    backendFeatures: features.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_set_owner', 'SET_OWNER', { ...via, errno: errno.optional() }),
  deviceEvent('vhost_reset_owner', 'RESET_OWNER', { ...via, errno: errno.optional() }),
  deviceEvent('vhost_set_features', 'SET_FEATURES', {
    ...via,
    features: features.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_set_protocol_features', 'SET_PROTOCOL_FEATURES', {
    ...via,
    features: features.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_set_backend_features', 'SET_BACKEND_FEATURES', {
    ...via,
    features: features.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_mem_table', 'SET_MEM_TABLE, or a region was added or removed', {
    ...via,
    change: z.enum(['table', 'add', 'remove']).optional().describe('absent: the whole table'),
    regions: z
      .array(z.strictObject({ gpa: address, size: address }))
      .max(512)
      .optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_log_base', 'SET_LOG_BASE', {
    ...via,
    size: address.optional().describe('bytes of the log, where the interface tells them'),
    none: z.boolean().optional().describe('true: a null base'),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_log_fd', 'SET_LOG_FD', { ...via, errno: errno.optional() }),
  deviceEvent('vring_num', 'SET_VRING_NUM', {
    ...via,
    index,
    num: count.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vring_base', 'SET_VRING_BASE', {
    ...via,
    index,
    num: count.optional().describe('next available index, or both indices of a packed ring'),
    shadow: z.boolean().optional().describe('of a shadow virtqueue'),
    errno: errno.optional(),
  }),
  deviceEvent('vring_base_read', 'GET_VRING_BASE', {
    ...via,
    index,
    num: count.optional(),
    shadow: z.boolean().optional().describe('the VMM knew it from its shadow virtqueue, and did not ask'),
    errno: errno.optional(),
  }),
  deviceEvent('vring_addr', 'SET_VRING_ADDR', {
    ...via,
    index,
    log: z.boolean().optional().describe('VHOST_VRING_F_LOG'),
    desc: address.optional(),
    used: address.optional(),
    avail: address.optional(),
    logGuestAddr: address.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vring_kick_fd', 'SET_VRING_KICK', {
    ...via,
    index,
    attached: z.boolean(),
    errno: errno.optional(),
  }),
  deviceEvent('vring_call_fd', 'SET_VRING_CALL', {
    ...via,
    index,
    attached: z.boolean(),
    errno: errno.optional(),
  }),
  deviceEvent('vring_enable', 'SET_VRING_ENABLE', {
    ...via,
    index,
    on: z.boolean(),
    errno: errno.optional(),
  }),
  deviceEvent('vring_backend', 'VHOST_NET_SET_BACKEND', {
    ...via,
    index,
    attached: z.boolean(),
    errno: errno.optional(),
  }),
  deviceEvent('vring_kick', 'the queue was notified, by the guest or in its place', { ...via, index }),
  deviceEvent('vhost_config', 'GET_CONFIG or SET_CONFIG', {
    ...via,
    write: z.boolean(),
    offset: count.optional(),
    size: count.optional(),
    migration: z.boolean().optional().describe('the flag of a write that belongs to migration'),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_iotlb', 'an IOTLB message', {
    ...via,
    type: z.enum(['miss', 'update', 'invalidate', 'access_fail', 'batch_begin', 'batch_end']),
    asid: count.optional(),
    iova: address.optional(),
    size: address.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_reset_device', 'RESET_DEVICE', { ...via, errno: errno.optional() }),
  deviceEvent('vhost_inflight', 'GET_INFLIGHT_FD or SET_INFLIGHT_FD', {
    ...via,
    set: z.boolean(),
    queues: count.optional(),
    queueSize: count.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_state_fd', 'SET_DEVICE_STATE_FD', {
    ...via,
    direction: z.enum(['save', 'load']).optional(),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_state_end', 'the end of a device state transfer was read or written', {
    ...via,
    bytes: count.optional(),
  }),
  deviceEvent('vhost_state_check', 'CHECK_DEVICE_STATE', { ...via, errno: errno.optional() }),
  deviceEvent('vhost_postcopy', 'POSTCOPY_ADVISE, _LISTEN or _END', {
    ...via,
    step: z.enum(['advise', 'listen', 'end']),
    errno: errno.optional(),
  }),
  deviceEvent('vhost_rarp', 'SEND_RARP', { ...via, errno: errno.optional() }),
];

/** What only vhost-vdpa has. */
const vdpa = [
  deviceEvent('vdpa_status', 'SET_STATUS', { status: count.optional(), errno: errno.optional() }),
  deviceEvent('vdpa_status_read', 'GET_STATUS', { status: count.optional(), errno: errno.optional() }),
  deviceEvent('vdpa_suspend', 'VHOST_VDPA_SUSPEND', { errno: errno.optional() }),
  deviceEvent('vdpa_resume', 'VHOST_VDPA_RESUME', { errno: errno.optional() }),
  deviceEvent('vdpa_group_asid', 'VHOST_VDPA_SET_GROUP_ASID', {
    group: count,
    asid: count,
    errno: errno.optional(),
  }),
  deviceEvent('vdpa_cvq_command', 'a command on the control queue, by the VMM in the place of the guest', {
    class: count,
    command: count,
    ok: z.boolean().optional().describe('the ack byte; absent: not seen'),
  }),
];

/** What a VMM does for its back ends beside the requests. */
const vmm = [
  deviceEvent('vhost_dev_start', 'the VMM starts the back end', {
    begin,
    vrings: z.boolean().optional().describe('rings are enabled with it'),
  }),
  deviceEvent('vhost_dev_stop', 'the VMM stops the back end', { begin, vrings: z.boolean().optional() }),
  deviceEvent('vring_start', 'the VMM sets up a virtqueue', { index, begin }),
  deviceEvent('vring_stop', 'the VMM takes down a virtqueue', { index, begin }),
  deviceEvent('vhost_logging', 'the VMM switches the dirty log of a back end on or off', { on: z.boolean() }),
  deviceEvent('shadow_virtqueues', 'the VMM puts shadow virtqueues in, or takes them away', {
    on: z.boolean(),
  }),
];

/** What only a run that sees guest memory can tell. */
const memory = [
  deviceEvent('vhost_write', 'the back end wrote guest memory', {
    index: index.optional(),
    what: z.enum(VHOST_WRITES),
    address: address.describe('guest physical address: the one that it has to be logged by'),
    length: count.describe('bytes'),
  }),
  deviceEvent('vhost_log_read', 'the VMM read the dirty log and cleared what it read', {
    pages: pageRuns,
    final: z
      .boolean()
      .optional()
      .describe('the last reading of a migration: nothing may be missing any more'),
  }),
  deviceEvent('vhost_log_overrun', 'a bit was set that no page of the log stands for', {
    page: count.optional(),
  }),
  deviceEvent(
    'vhost_page_change',
    'pages that changed since the last look, with nobody writing but the back end',
    {
      pages: pageRuns,
    },
  ),
  deviceEvent('vring_progress', 'what the back end has done on a queue by now', {
    index,
    avail: count.describe('buffers taken since the start of the ring'),
    used: count.describe('buffers returned since the start of the ring'),
  }),
];

export const vhostEvents = [...requests, ...vdpa, ...vmm, ...memory] as const;
