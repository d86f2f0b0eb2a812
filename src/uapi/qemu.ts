/**
 * Numbers of QEMU that appear in its logs and streams next to the VFIO states.
 * Sources: QEMU 11.1 `migration/migration.h`, `qapi/migration.json`, `qapi/run-state.json`,
 * `hw/vfio/migration.c`.
 */

/** `MigrationStatus` of QAPI, in the numeric order of QEMU 11.1. */
export const MIGRATION_STATUSES = [
  'none',
  'setup',
  'cancelling',
  'cancelled',
  'active',
  'postcopy-device',
  'postcopy-active',
  'postcopy-paused',
  'postcopy-recover-setup',
  'postcopy-recover',
  'completed',
  'failing',
  'failed',
  'colo',
  'pre-switchover',
  'device',
  'wait-unplug',
] as const;

export type MigrationStatus = (typeof MIGRATION_STATUSES)[number];

/** `RunState` of QAPI, as `runstate_set` and `query-status` spell it. */
export const RUN_STATES = [
  'debug',
  'inmigrate',
  'internal-error',
  'io-error',
  'paused',
  'postmigrate',
  'prelaunch',
  'finish-migrate',
  'restore-vm',
  'running',
  'save-vm',
  'shutdown',
  'suspended',
  'watchdog',
  'guest-panicked',
  'colo',
] as const;

export type RunState = (typeof RUN_STATES)[number];

/** Tags of a VFIO section in the migration stream (big-endian u64), `VFIO_MIG_FLAG_*`. */
export const VFIO_STREAM_TAGS = {
  END_OF_STATE: 0xffffffffef100001n,
  DEV_CONFIG_STATE: 0xffffffffef100002n,
  DEV_SETUP_STATE: 0xffffffffef100003n,
  DEV_DATA_STATE: 0xffffffffef100004n,
  DEV_INIT_DATA_SENT: 0xffffffffef100005n,
  DEV_CONFIG_LOAD_READY: 0xffffffffef100006n,
} as const;

export type VfioStreamTag = keyof typeof VFIO_STREAM_TAGS;

/** The tag with this value, or `undefined`. Only the low 32 bits tell tags apart. */
export function vfioStreamTag(value: bigint): VfioStreamTag | undefined {
  return (Object.keys(VFIO_STREAM_TAGS) as VfioStreamTag[]).find((name) => VFIO_STREAM_TAGS[name] === value);
}

/** What a migration notifier is called for (`MigrationEventType`). */
export type NotifierEvent = 'setup' | 'switchover' | 'done' | 'failed';
