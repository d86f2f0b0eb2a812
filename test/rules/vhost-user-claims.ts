import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import type { VhostUserRequest } from '../../src/uapi/vhost-user.js';

const onDevice = (kind: string, fields: object = {}): TraceEvent =>
  traceEventSchema.parse({ kind, host: 'host', device: 'vf0', file: 'log', line: 7, ...fields });
const user = (kind: string, fields: object = {}): TraceEvent =>
  onDevice(kind, { interface: 'user', ...fields });
const message = (request: VhostUserRequest): TraceEvent =>
  onDevice('vhost_message', { request, from: 'front_end', reply: false });
const write = (fields: object): TraceEvent =>
  onDevice('vhost_write', { what: 'buffer', address: 0, length: 1, ...fields });
const ring = { index: 0 };
const kickFd = user('vring_kick_fd', { ...ring, attached: true });
const features = user('vhost_set_features', { features: 0 });

/** The trace events behind the events of the machines of vhost-user, by machine and first word. */
const MAKERS: Readonly<Record<string, Readonly<Record<string, () => TraceEvent[]>>>> = {
  'vhost-user': {
    OWNER: () => [user('vhost_set_owner'), message('SET_OWNER')],
    OFFER: () => [user('vhost_offered', { features: 0 }), message('GET_FEATURES')],
    ACK: () => [features, message('SET_FEATURES')],
    PROTOCOL: () => [
      user('vhost_offered', { protocolFeatures: 0 }),
      user('vhost_set_protocol_features', { features: 0 }),
      message('SET_PROTOCOL_FEATURES'),
    ],
    ENABLE: () => [user('vring_enable', { ...ring, on: true }), message('SET_VRING_ENABLE')],
    MEM: () => [user('vhost_mem_table'), message('SET_MEM_TABLE')],
    ADDR: () => [user('vring_addr', ring), message('SET_VRING_ADDR')],
    LOG: () => [user('vhost_log_base'), message('SET_LOG_BASE')],
    RUN: () => [kickFd, features, user('vring_addr', ring), user('vring_enable', { ...ring, on: true })],
    RINGS: () => [kickFd, user('vring_base_read', ring), message('GET_VRING_BASE')],
    WRITE: () => [write({}), write(ring)],
    MESSAGE: () => [
      user('vhost_iotlb', { type: 'miss' }),
      onDevice('vhost_message', { request: 2, from: 'back_end', reply: false }),
    ],
  },
  'vhost-user-vring': {
    NUM: () => [user('vring_num', ring), message('SET_VRING_NUM')],
    BASE: () => [user('vring_base', ring), message('SET_VRING_BASE')],
    ADDR: () => [user('vring_addr', ring)],
    KICK: () => [kickFd, message('SET_VRING_KICK')],
    KICKED: () => [user('vring_kick', ring)],
    INBAND: () => [user('vring_kick', ring)],
    STOP: () => [user('vring_base_read', ring), message('GET_VRING_BASE')],
    ENABLE: () => [user('vring_enable', { ...ring, on: true })],
    AUTO: () => [features],
    RESET: () => [user('vhost_reset_device')],
    WORK: () => [write(ring), onDevice('vring_progress', { ...ring, avail: 1, used: 1 })],
    EFFECT: () => [write(ring)],
  },
  'vhost-user-transfer': {
    BEGIN: () => [user('vhost_state_fd'), message('SET_DEVICE_STATE_FD')],
    REFUSED: () => [user('vhost_state_fd', { errno: 5 }), message('SET_DEVICE_STATE_FD')],
    END: () => [user('vhost_state_end')],
    CHECK: () => [user('vhost_state_check'), message('CHECK_DEVICE_STATE')],
    RINGS: () => [kickFd, user('vring_base_read', ring), message('SET_VRING_KICK')],
  },
  'vhost-user-postcopy': {
    ADVISE: () => [user('vhost_postcopy', { step: 'advise' }), message('POSTCOPY_ADVISE')],
    LISTEN: () => [user('vhost_postcopy', { step: 'listen' }), message('POSTCOPY_LISTEN')],
    END: () => [user('vhost_postcopy', { step: 'end' }), message('POSTCOPY_END')],
  },
};

/** The trace events that may stand behind an event of a machine of vhost-user; undefined: it is another machine. */
export function vhostUserTraceEvents(machine: string, name: string): TraceEvent[] | undefined {
  const makers = MAKERS[machine];
  if (!makers) return undefined;
  const make = makers[name.split('.')[0]!];
  if (!make) throw new Error(`${machine} has the event ${name}, for which this test makes no trace event`);
  return make();
}

/** Machine events that one trace event may have been, where its words leave it open. */
export const VHOST_USER_TOGETHER: readonly string[][] = [
  ['ACK.protocol', 'ACK.protocol.log', 'ACK.plain', 'ACK.plain.log'],
  ['ADDR', 'ADDR.log'],
  ['RINGS.stopped', 'RINGS.armed', 'RINGS.started'],
  ['RINGS.armed', 'RINGS.started'],
  ['BEGIN.save', 'BEGIN.load', 'REFUSED.save', 'REFUSED.load'],
  ['CHECK.ok', 'CHECK.error'],
];
