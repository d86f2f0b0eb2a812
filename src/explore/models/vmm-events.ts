import type { TraceEvent } from '../../trace/event.js';
import type { MigrationStatus } from '../../uapi/qemu.js';
import type { Side } from './vfio-parts.js';

/** What a recording has of a change of the migration status. */
export function statusEvent(host: Side, to: MigrationStatus): TraceEvent {
  return { kind: 'migration_status', host, status: to };
}

/** What a recording has of a change of the run state, with the stop or start of the VM. */
export function runEvents(host: Side, from: string, to: string): TraceEvent[] {
  const running = to === 'running';
  const change: TraceEvent = { kind: 'run_state', host, from, to };
  if (!running && from !== 'running') return [change];
  return [change, { kind: 'vm_state', host, running, reason: to }];
}
