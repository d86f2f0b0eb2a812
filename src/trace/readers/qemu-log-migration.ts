import type { LogMemory } from './qemu-log-memory.js';
import { type Bare, hostRow, type Row, row } from './qemu-log-row.js';

/** Trace events of QEMU's migration core and run states, with the formats of 8.0 to 11.1. One row an event. */
export const MIGRATION_ROWS: readonly Row[] = [
  // Statuses.
  row('migrate_set_state', 'migration_status').as('new state %m', (_, status) => ({
    kind: 'migration_status',
    status,
  })),
  row('runstate_set', 'run_state').as(
    'current_run_state %d (%w) new_state %d (%w)',
    (_, _from, from, _to, to) => ({ kind: 'run_state', from, to }),
  ),
  row('vm_state_notify', 'vm_state').as('running %b reason %d (%w)', (_, running, _number, reason) => ({
    kind: 'vm_state',
    running,
    reason,
  })),
  row('migration_completion_vm_stop', 'vm_stopped').as('ret %e', (_, errno) => ({
    kind: 'vm_stopped',
    errno,
  })),
  // Only versions with the new numbers have this event.
  row('migration_call_notifiers', 'notifiers').as('type=%d', notifiers).alwaysRead(),
  hostRow('migration_cancel', 'migration_cancel'),
  hostRow('migrate_fd_cancel', 'migration_cancel'),
  row('migrate_error', 'migration_error').as('error=%t', (_, text) => ({ kind: 'migration_error', text })),
  row('migrate_fd_error', 'migration_error').as('error=%t', (_, text) => ({ kind: 'migration_error', text })),

  // Source.
  hostRow('savevm_state_setup', 'source_setup'),
  hostRow('savevm_send_open_return_path', 'return_path_opened'),
  row('qemu_savevm_query_pending', 'query_pending').as(
    'exact=%b, final=%b, precopy=%u, stopcopy=%u, postcopy=%u, total=%u, collected switchover ack pending=%u, total switchover ack pending=%u',
    (_, exact, final, precopy, stopcopy, postcopy, total, ackCollected, ackTotal) => ({
      kind: 'query_pending',
      exact,
      final,
      precopy,
      stopcopy,
      postcopy,
      total,
      ackCollected,
      ackTotal,
    }),
  ),
  row('migrate_pending_estimate', 'query_pending').as(
    'estimate pending size %u (pre = %u post=%u)',
    (_, total, precopy, postcopy) => ({ kind: 'query_pending', exact: false, precopy, postcopy, total }),
  ),
  row('migrate_pending_exact', 'query_pending').as(
    'exact pending size %u (pre = %u post=%u)',
    (_, total, precopy, postcopy) => ({ kind: 'query_pending', exact: true, precopy, postcopy, total }),
  ),
  row('source_return_path_thread_switchover_acked', 'switchover_ack')
    .as('switchover_ack_pending_num %u', (_, pending) => ({ kind: 'switchover_ack', pending }))
    .as('', () => ({ kind: 'switchover_ack' })),
  row('savevm_send_switchover_start', 'switchover_start').as('', () => ({
    kind: 'switchover_start',
    sent: true,
  })),
  hostRow('migration_precopy_complete', 'precopy_complete'),
  row('migration_bitmap_sync_end', 'bitmap_sync').as('dirty_pages %u', (_, dirtyPages) => ({
    kind: 'bitmap_sync',
    dirtyPages,
  })),
  hostRow('migration_thread_after_loop', 'source_thread_end'),
  hostRow('savevm_state_cleanup', 'source_cleanup'),
  hostRow('postcopy_start', 'postcopy_start'),

  // Destination.
  hostRow('loadvm_state_setup', 'destination_setup'),
  row('loadvm_state_switchover_ack_needed', 'switchover_ack_needed').as(
    'Switchover ack pending num=%d',
    (_, pending) => ({ kind: 'switchover_ack_needed', pending }),
  ),
  row('migration_request_switchover_ack_legacy', 'switchover_ack_needed').as(
    'Requester %t, switchover_ack_pending_num_legacy %d',
    (_, _requester, pending) => ({ kind: 'switchover_ack_needed', pending }),
  ),
  row('loadvm_approve_switchover', 'switchover_approved')
    .as('Approver %t', (_, approver) => ({ kind: 'switchover_approved', approver }))
    .as('Switchover ack pending num=%u', (_, pending) => ({ kind: 'switchover_approved', pending })),
  row('loadvm_approve_switchover_legacy', 'switchover_approved').as(
    'Approver %t, switchover_ack_pending_num_legacy %u',
    (_, approver, pending) => ({ kind: 'switchover_approved', approver, pending }),
  ),
  row('loadvm_process_command', 'switchover_start')
    .as('com=SWITCHOVER_START ', () => ({ kind: 'switchover_start', sent: false }))
    .as('com=', () => []),
  row('process_incoming_migration_co_end', 'destination_load_end').as('ret=%e', (_, errno) => ({
    kind: 'destination_load_end',
    errno,
  })),
  hostRow('loadvm_state_cleanup', 'destination_cleanup'),
];

function notifiers(log: LogMemory, number: number): Bare<'notifiers'> {
  log.isNew();
  const event = log.notifier(number);
  return event ? { kind: 'notifiers', event, number } : { kind: 'notifiers', number };
}
