import { MIGRATION_STATUSES, type MigrationStatus } from '../../uapi/qemu.js';
import type { LogLine } from './qemu-log-line.js';
import { type Bare, hostRow, type LogMemory, type Row, row } from './qemu-log-row.js';

/** Trace events of QEMU's migration core and run states, with the formats of 8.0 to 11.1. One row an event. */
export const MIGRATION_ROWS: readonly Row[] = [
  // Statuses.
  row('migrate_set_state', ['migration_status'], (line) => ({
    kind: 'migration_status',
    status: status(line.skip('new state ').word(), line),
  })),
  row('runstate_set', ['run_state'], (line) => {
    line.skip('current_run_state ').int();
    const from = line.skip(' ').bracketed();
    line.skip(' new_state ').int();
    return { kind: 'run_state', from, to: line.skip(' ').bracketed() };
  }),
  row('vm_state_notify', ['vm_state'], (line) => {
    const running = line.skip('running ').flag();
    line.skip(' reason ').int();
    return { kind: 'vm_state', running, reason: line.skip(' ').bracketed() };
  }),
  row('migration_completion_vm_stop', ['vm_stopped'], (line) => ({
    kind: 'vm_stopped',
    errno: line.skip('ret ').errno(),
  })),
  row('migration_call_notifiers', ['notifiers'], notifiers, { always: true }),
  hostRow('migration_cancel', 'migration_cancel'),
  hostRow('migrate_fd_cancel', 'migration_cancel'),
  row('migrate_error', ['migration_error'], error),
  row('migrate_fd_error', ['migration_error'], error),

  // Source.
  hostRow('savevm_state_setup', 'source_setup'),
  hostRow('savevm_send_open_return_path', 'return_path_opened'),
  row('qemu_savevm_query_pending', ['query_pending'], queryPending),
  row('migrate_pending_estimate', ['query_pending'], (line) => oldPending(line, false)),
  row('migrate_pending_exact', ['query_pending'], (line) => oldPending(line, true)),
  row('source_return_path_thread_switchover_acked', ['switchover_ack'], (line) =>
    line.has('switchover_ack_pending_num ')
      ? { kind: 'switchover_ack', pending: line.count() }
      : { kind: 'switchover_ack' },
  ),
  row('savevm_send_switchover_start', ['switchover_start'], () => ({ kind: 'switchover_start', sent: true })),
  hostRow('migration_precopy_complete', 'precopy_complete'),
  row('migration_bitmap_sync_end', ['bitmap_sync'], (line) =>
    line.has('dirty_pages ') ? { kind: 'bitmap_sync', dirtyPages: line.count() } : { kind: 'bitmap_sync' },
  ),
  hostRow('migration_thread_after_loop', 'source_thread_end'),
  hostRow('migration_cleanup', 'source_cleanup'),
  hostRow('migrate_fd_cleanup', 'source_cleanup'),
  hostRow('postcopy_start', 'postcopy_start'),

  // Destination.
  hostRow('loadvm_state_setup', 'destination_setup'),
  row('loadvm_state_switchover_ack_needed', ['switchover_ack_needed'], (line) => ({
    kind: 'switchover_ack_needed',
    pending: line.skip('Switchover ack pending num=').int(),
  })),
  row('migration_request_switchover_ack_legacy', ['switchover_ack_needed'], (line) => {
    line.skip('Requester ').until(', switchover_ack_pending_num_legacy ');
    return { kind: 'switchover_ack_needed', pending: line.int() };
  }),
  row('loadvm_approve_switchover', ['switchover_approved'], (line) =>
    line.has('Approver ')
      ? { kind: 'switchover_approved', approver: line.rest() }
      : { kind: 'switchover_approved', pending: line.skip('Switchover ack pending num=').count() },
  ),
  row('loadvm_approve_switchover_legacy', ['switchover_approved'], (line) => ({
    kind: 'switchover_approved',
    approver: line.skip('Approver ').until(', switchover_ack_pending_num_legacy '),
    pending: line.count(),
  })),
  row('loadvm_process_command', ['switchover_start'], (line) =>
    line.skip('com=').has('SWITCHOVER_START ') ? { kind: 'switchover_start', sent: false } : [],
  ),
  row('process_incoming_migration_co_end', ['destination_load_end'], (line) => ({
    kind: 'destination_load_end',
    errno: line.skip('ret=').errno(),
  })),
  hostRow('loadvm_state_cleanup', 'destination_cleanup'),
];

const STATUSES: ReadonlySet<string> = new Set(MIGRATION_STATUSES);

function status(word: string, line: LogLine): MigrationStatus {
  if (!STATUSES.has(word)) line.fail();
  return word as MigrationStatus;
}

/** Only versions with the new numbers have this event. */
function notifiers(line: LogLine, log: LogMemory): Bare<'notifiers'> {
  const number = line.skip('type=').int();
  log.isNew();
  const event = log.notifier(number);
  return event ? { kind: 'notifiers', event, number } : { kind: 'notifiers', number };
}

function error(line: LogLine): Bare<'migration_error'> {
  return { kind: 'migration_error', text: line.skip('error=').rest() };
}

function queryPending(line: LogLine): Bare<'query_pending'> {
  const exact = line.skip('exact=').flag();
  const final = line.skip(', final=').flag();
  const precopy = line.skip(', precopy=').count();
  const stopcopy = line.skip(', stopcopy=').count();
  const postcopy = line.skip(', postcopy=').count();
  const total = line.skip(', total=').count();
  const ackCollected = line.skip(', collected switchover ack pending=').count();
  const ackTotal = line.skip(', total switchover ack pending=').count();
  return { kind: 'query_pending', exact, final, precopy, stopcopy, postcopy, total, ackCollected, ackTotal };
}

/** Up to 11.0: `exact pending size 12408 (pre = 12408 post=0)`. */
function oldPending(line: LogLine, exact: boolean): Bare<'query_pending'> {
  if (!line.seek('pending size ')) line.fail();
  const total = line.count();
  const precopy = line.skip(' (pre = ').count();
  if (!line.seek(' post=')) line.fail();
  return { kind: 'query_pending', exact, precopy, postcopy: line.count(), total };
}
