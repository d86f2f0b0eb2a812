import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';

const MACHINES = new Set(['vhost-device', 'vhost-vring', 'vhost-vmm']);

const request = (kind: string, fields: object = {}): TraceEvent =>
  traceEventSchema.parse({ kind, host: 'host', device: 'net0', interface: 'kernel', ...fields });
const start = (kind: string, begin: boolean): TraceEvent =>
  traceEventSchema.parse({ kind, host: 'host', device: 'net0', begin });
const addr = (log: boolean) => request('vring_addr', { index: 0, log, errno: 0 });
const attach = (attached: boolean) => request('vring_backend', { index: 0, attached, errno: 0 });

/** The trace events that may stand behind an event of a machine of kernel vhost; undefined: it is another machine. */
export function vhostTraceEvents(machine: string, name: string): TraceEvent[] | undefined {
  if (!MACHINES.has(machine)) return undefined;
  const [what, how] = name.split('.');
  const errno = how === 'error' ? 16 : how === 'denied' ? 1 : 0;
  switch (what) {
    case 'OWNER':
      return [request(how === 'reset' ? 'vhost_reset_owner' : 'vhost_set_owner', { errno })];
    case 'RESET':
      return [request('vhost_reset_owner', { errno: 0 })];
    case 'ASK':
      return how === 'base'
        ? [request('vring_base_read', { index: 0, num: 3, errno: 0 })]
        : [request('vhost_mem_table', { errno }), request('vring_num', { index: 0, errno })];
    case 'MEM':
      return [request('vhost_mem_table', { errno: 0 })];
    case 'LOG':
      return [request('vhost_log_base', { errno: 0, none: how === 'none' })];
    case 'LOG_ALL':
      return [request('vhost_set_features', { features: how === 'on' ? '0x4000000' : 0, errno: 0 })];
    case 'NUM':
    case 'BASE':
      return [request(`vring_${what.toLowerCase()}`, { index: 0, num: 8, errno })];
    case 'ADDR':
    case 'FLAG':
      return [addr(how === 'log' || how === 'on')];
    case 'RUN':
      return [attach(true), addr(how === 'log'), request('vhost_set_features', { errno: 0 })];
    case 'ATTACH':
      return [attach(true)];
    case 'DETACH':
    case 'HALT':
      return [attach(false)];
    case 'START':
    case 'STOP':
      return [start(`vhost_dev_${what.toLowerCase()}`, how === 'begin')];
    default:
      throw new Error(`${machine} has the event ${name}, for which this test makes no trace event`);
  }
}

/** Machine events that one trace event may have been. */
export const VHOST_TOGETHER: readonly string[][] = [
  ['OWNER', 'NUM', 'BASE'].map((name) => [`${name}.ok`, `${name}.error`]),
  [
    ['LOG_ALL.on', 'LOG_ALL.off'],
    ['ADDR.log', 'ADDR.plain'],
    ['RUN', 'RUN.log'],
  ],
].flat();
