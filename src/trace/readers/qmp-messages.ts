import { MIGRATION_STATUSES, type MigrationStatus } from '../../uapi/qemu.js';
import { MIG_STATES, type MigState } from '../../uapi/vfio.js';
import type { EventOf, TraceEvent } from '../event.js';
import { asCount, isObject, type JsonObject } from './line-parser.js';

/** Fields that every event of one QMP line starts with. */
export type OnHost = { t?: number; host: string; file: string; line: number };

/** QMP events that a migration log holds and that say nothing in our vocabulary. */
const SILENT = new Set([
  'SHUTDOWN',
  'POWERDOWN',
  'MIGRATION_PASS',
  'UNPLUG_PRIMARY',
  'FAILOVER_NEGOTIATED',
  'NIC_RX_FILTER_CHANGED',
  'RTC_CHANGE',
  'BLOCK_JOB_READY',
  'JOB_STATUS_CHANGE',
]);

/** The state that QEMU 11.0 announces before it asks for PRE_COPY_P2P; the device has not moved. */
const PREPARE = 'pre-copy-p2p-prepare';

/** What a QMP event gives; `'unknown'` when its name is not known, `undefined` when it is malformed. */
export function eventOf(name: string, data: JsonObject, at: OnHost): TraceEvent[] | 'unknown' | undefined {
  switch (name) {
    case 'MIGRATION':
      return statusEvent(data.status, at);
    case 'VFIO_MIGRATION':
      return vfioEvent(data, at);
    case 'STOP':
      return [{ kind: 'qmp_stop', ...at }];
    case 'RESUME':
      return [{ kind: 'qmp_resume', ...at }];
    case 'RESET':
      return [{ kind: 'vm_reset', ...at }];
    default:
      return SILENT.has(name) ? [] : 'unknown';
  }
}

function statusEvent(status: unknown, at: OnHost): TraceEvent[] | undefined {
  if (!(MIGRATION_STATUSES as readonly unknown[]).includes(status)) return undefined;
  return [{ kind: 'migration_status', ...at, status: status as MigrationStatus }];
}

/**
 * `VFIO_MIGRATION` comes when QEMU has changed what it believes of the device: a request has
 * succeeded, the recover state was reached, or a reset led back to RUNNING.
 */
function vfioEvent(data: JsonObject, at: OnHost): TraceEvent[] | undefined {
  const name = data['device-state'];
  const device = data['device-id'] ?? data['qom-path'];
  if (typeof name !== 'string' || typeof device !== 'string') return undefined;
  if (name === PREPARE) return [];
  const state = stateOf(name);
  return state && [{ kind: 'set_state_result', ...at, device, state }];
}

/** A state in QAPI's spelling: `stop-copy` for STOP_COPY. */
function stateOf(name: string): MigState | undefined {
  return MIG_STATES.find((state) => state.toLowerCase().replaceAll('_', '-') === name);
}

/** The greeting names the version; one without a version says nothing. */
export function greetingEvents(greeting: unknown, at: OnHost): TraceEvent[] {
  const version = isObject(greeting) && isObject(greeting.version) ? greeting.version.qemu : undefined;
  if (!isObject(version)) return [];
  const parts = [version.major, version.minor, version.micro];
  if (!parts.every((part) => asCount(part) !== undefined)) return [];
  return [{ kind: 'vmm_version', ...at, name: 'QEMU', version: parts.join('.') }];
}

/** A capability for each that a `migrate-set-capabilities` command names. */
export function capabilityEvents(args: JsonObject, at: OnHost): TraceEvent[] {
  const list = Array.isArray(args.capabilities) ? args.capabilities.filter(isObject) : [];
  return list.flatMap(({ capability, state }): TraceEvent[] =>
    typeof capability === 'string' && typeof state === 'boolean'
      ? [{ kind: 'capability', ...at, name: capability, on: state }]
      : [],
  );
}

/** Whether a reply whose command was not seen can only be that of `query-migrate`. */
export function looksLikeMigrationInfo(reply: unknown): boolean {
  return isObject(reply) && typeof reply.status === 'string' && ('ram' in reply || 'total-time' in reply);
}

/** The reply to `query-migrate`; nothing when it holds no field that we know (no migration yet). */
export function infoEvents(reply: unknown, at: OnHost): TraceEvent[] {
  if (!isObject(reply)) return [];
  const vfio = isObject(reply.vfio) ? reply.vfio : {};
  const ram = isObject(reply.ram) ? reply.ram : {};
  const fields = {
    status: text(reply.status),
    totalTime: number(reply['total-time']),
    downtime: number(reply.downtime),
    setupTime: number(reply['setup-time']),
    vfioTransferred: asCount(vfio.transferred),
    ramTransferred: asCount(ram.transferred),
    blocked: Array.isArray(reply['blocked-reasons']) ? reply['blocked-reasons'].filter(isText) : undefined,
    error: text(reply['error-desc']),
  };
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (known.length === 0) return [];
  const info: Partial<EventOf<'migration_info'>> = Object.fromEntries(known);
  return [{ kind: 'migration_info', ...at, ...info }];
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function text(value: unknown): string | undefined {
  return isText(value) ? value : undefined;
}

/** JSON text such as 1e999 gives infinity, which no field takes. */
function number(value: unknown): number | undefined {
  return Number.isFinite(value) ? (value as number) : undefined;
}
