import type { TraceEvent } from '../../trace/event.js';
import type { MigrationStatus } from '../../uapi/qemu.js';
import type { DeviceHandle, Side } from './vfio-parts.js';

/** What a recording has of a change of the migration status. */
export function statusEvent(host: Side, to: MigrationStatus): TraceEvent {
  return { kind: 'migration_status', host, status: to };
}

/** What a recording has of a change of the run state, with the stop or start of the VM. */
export function runEvents(host: Side, from: string, to: string): TraceEvent[] {
  const running = to === 'running';
  const change: TraceEvent = { kind: 'run_state', host, from, to };
  if (!running && from !== 'running') return [change];
  return [change, vmStateEvent(host, running, to)];
}

/** What a recording has of a stop or a start of the VM, for a switchover unless another reason is given. */
export function vmStateEvent(
  host: Side,
  running: boolean,
  reason = running ? 'running' : 'finish-migrate',
): TraceEvent {
  return { kind: 'vm_state', host, running, reason };
}

/** What a recording has of the migration notifier, for a device. */
export function notifierEvent({ device, side }: DeviceHandle, event: 'setup' | 'failed'): TraceEvent {
  return { kind: 'notifier', host: side, device, event };
}

/** What a recording has of a handler of the source that has ended, for a device. */
export function saveEvent({ device, side }: DeviceHandle, kind: 'save_setup' | 'save_cleanup'): TraceEvent {
  return { kind, host: side, device };
}
