import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import type { MigState } from '../uapi/vfio.js';

/** Short words for the example traces of rules. */

type Fields<K extends EventKind> = Omit<EventOf<K>, 'kind' | 'host' | 'device'>;

/** The device of the examples: its events, each with a default host and name. */
export function device(id = 'vf0', host = 'source') {
  const event = <K extends EventKind>(kind: K, fields: object = {}): TraceEvent =>
    ({ kind, host, device: id, ...fields }) as unknown as TraceEvent;
  return {
    event: <K extends EventKind>(kind: K, fields: Partial<Fields<K>> = {}): TraceEvent => event(kind, fields),
    /** The device is opened with these migration flags. */
    open: (flags = 7): TraceEvent[] => [event('device_open'), event('capabilities', { flags })],
    /** A request that succeeds; `dataFd` as the driver returned it. */
    set: (state: MigState, dataFd = false): TraceEvent[] => [
      event('set_state', { state }),
      event('set_state_result', { state, errno: 0, dataFd }),
    ],
    /** A request that fails, and the state that a GET shows then. */
    fail: (state: MigState | number, now: MigState, errno = 'EINVAL'): TraceEvent[] => [
      event('set_state', { state }),
      event('set_state_result', { state: now, errno: ERRNO[errno] }),
    ],
    get: (state: MigState): TraceEvent => event('get_state', { state, errno: 0 }),
    reset: (): TraceEvent => event('reset', { errno: 0 }),
    read: (result: number): TraceEvent => event('data_read', { result }),
    write: (result: number): TraceEvent => event('data_write', { result }),
    close: (): TraceEvent => event('data_close'),
    precopy: (initial: number, dirty: number, reinit = false): TraceEvent =>
      event('precopy_info', { initial, dirty, reinit, errno: 0 }),
    /** A SET_STATE as QEMU's log shows it: the request and what QEMU believes after it. */
    call: (state: MigState, recover: MigState = 'ERROR', now: MigState | null = state): TraceEvent[] => [
      event('set_state', { state, recover }),
      ...(now === null ? [] : [event('set_state_result', { state: now })]),
    ],
    prepare: (running: boolean, reason = running ? 'running' : 'finish-migrate'): TraceEvent =>
      event('vmstate_prepare', { running, reason }),
    change: (running: boolean, reason = running ? 'running' : 'finish-migrate'): TraceEvent =>
      event('vmstate_change', { running, reason }),
  };
}

/** The VMM of the examples. */
export function vmm(host = 'source') {
  return {
    event: <K extends EventKind>(kind: K, fields: object = {}): TraceEvent =>
      ({ kind, host, ...fields }) as unknown as TraceEvent,
    stop: (reason = 'finish-migrate'): TraceEvent => ({ kind: 'vm_state', host, running: false, reason }),
    start: (): TraceEvent => ({ kind: 'vm_state', host, running: true, reason: 'running' }),
    status: (status: EventOf<'migration_status'>['status']): TraceEvent => ({
      kind: 'migration_status',
      host,
      status,
    }),
  };
}
