/** The recorded runs of `test/traces` whose QEMU logs are conformant. */
export const CONFORMANT_RUNS: readonly string[] = [
  'qemu-11.1/happy-default',
  'qemu-11.1/two-devices',
  'qemu-11.1/switchover-ack',
  'qemu-11.1/file-save-load',
  'qemu-11.1/multifd-transfer',
  'qemu-11.1/stop-cont',
  'qemu-11.1/cancel-precopy',
  'qemu-11.1/dst-killed-precopy',
  'qemu-11.1/incompatible-type',
  'qemu-11.1/corrupt-magic',
  'qemu-11.1/paused-migrate',
  'qemu-11.1/postcopy-cap',
  'qemu-10.0/happy-default',
  'qemu-10.0/two-devices',
  'qemu-10.0/cancel-precopy',
  'qemu-10.0/switchover-ack',
];
