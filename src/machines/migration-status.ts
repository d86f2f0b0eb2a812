import { MIGRATION_STATUSES, type MigrationStatus } from '../uapi/qemu.js';
import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

const FAILS: readonly MigrationStatus[] = ['failing', 'failed'];
const CANCELS: readonly MigrationStatus[] = ['cancelling', ...FAILS];

/**
 * Which MigrationStatus may follow which, source and destination, QEMU 8.0 to 11.1. `failing` is new
 * in 11.0, `postcopy-device` in 10.2; before 10.0 `active` may lead to `completed` at once, as it
 * always does at the destination. A new attempt begins from each end by way of `none`, unannounced.
 */
const NEXT: Readonly<Record<MigrationStatus, readonly MigrationStatus[]>> = {
  none: ['setup', ...CANCELS],
  setup: ['active', 'wait-unplug', 'completed', ...CANCELS],
  'wait-unplug': ['active', ...CANCELS],
  active: ['device', 'pre-switchover', 'completed', 'postcopy-device', 'postcopy-active', 'colo', ...CANCELS],
  'pre-switchover': ['device', ...CANCELS],
  device: ['completed', 'postcopy-device', 'postcopy-active', ...CANCELS],
  'postcopy-device': ['postcopy-active', ...FAILS],
  'postcopy-active': ['completed', 'postcopy-paused', ...FAILS],
  'postcopy-paused': ['postcopy-recover-setup', 'postcopy-recover', ...FAILS],
  'postcopy-recover-setup': ['postcopy-recover', 'postcopy-paused', ...FAILS],
  'postcopy-recover': ['postcopy-active', 'postcopy-paused', ...FAILS],
  colo: ['completed', ...CANCELS],
  cancelling: ['cancelled', ...FAILS],
  failing: ['failed'],
  completed: ['setup'],
  failed: ['setup'],
  cancelled: ['setup'],
};

/** The chart of MigrationStatus. Events: `STATUS.x`, the status becomes x. */
export function migrationStatus(): Machine {
  return createMachine({
    id: 'migration-status',
    description: 'MigrationStatus of QEMU, as migrate_set_state and the MIGRATION event show it.',
    initial: 'none',
    states: Object.fromEntries(
      MIGRATION_STATUSES.map((status) => [
        status,
        {
          meta: clause('qemu/status'),
          on: Object.fromEntries(
            NEXT[status].map((next) => [`STATUS.${next}`, { target: next, meta: clause('qemu/status') }]),
          ),
        },
      ]),
    ),
  });
}
