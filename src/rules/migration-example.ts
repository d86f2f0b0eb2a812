import { device, vmm } from './example.js';

/** The parts of one migration as QEMU 11.1 logs it at the source, for the examples of several rules. */
const d = device();
const v = vmm();

export const begin = [
  ...d.open(),
  v.event('run_state', { from: 'prelaunch', to: 'running' }),
  v.start(),
  ...d.call('RUNNING_P2P'),
  d.prepare(true),
  ...d.call('RUNNING'),
  d.change(true),
  v.status('setup'),
  d.event('notifier', { event: 'setup' }),
  v.event('source_setup'),
  ...d.call('PRE_COPY', 'RUNNING'),
  d.event('save_setup'),
  v.status('active'),
];
export const stop = [
  v.event('run_state', { from: 'running', to: 'finish-migrate' }),
  v.stop(),
  ...d.call('PRE_COPY_P2P'),
  d.prepare(false),
  ...d.call('STOP_COPY'),
  d.change(false),
  v.status('device'),
];
export const drain = [
  v.event('switchover_start', { sent: true }),
  d.event('save_complete_start'),
  ...d.call('STOP_COPY', 'STOP', null),
  d.read(36),
  d.event('save_complete', { errno: 0 }),
  d.event('save_config'),
];
export const cleanup = [
  v.event('source_cleanup'),
  ...d.call('STOP'),
  d.event('save_cleanup'),
  d.event('notifier', { event: 'done' }),
];
export const whole = [...begin, ...stop, ...drain, v.status('completed'), ...cleanup];
export const cancelled = [v.status('cancelling'), d.event('notifier', { event: 'failed' })];
