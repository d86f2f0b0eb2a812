import { CAPABILITY_SETS } from '../../machines/index.js';
import type { ModelEntry } from '../model.js';
import { modelOptions } from './options.js';
import { TwoPhaseStop } from './two-phase-stop-model.js';

const P2P_SETS = CAPABILITY_SETS.filter(({ p2p }) => p2p);

/** Several devices that write to each other; the VMM stops and starts the VM in two phases. */
export const twoPhaseStop: ModelEntry = {
  name: 'two-phase-stop',
  title: 'Two-phase VM stop and start of devices that write to each other',
  words:
    'A VM with several devices is stopped and started, by its user or for a migration that completes or fails ' +
    'after the stop. Devices in RUNNING or PRE_COPY may write to each other (peer-to-peer DMA). The requests ' +
    "are those of the VMM's charts, device by device in any order; vm-phases holds that all devices are in " +
    'their P2P states before one goes on. Left out: errors of requests, RAM, the destination.',
  ranges: { devices: { least: 2, most: 4, usual: 2 } },
  capabilities: P2P_SETS.slice(-1),
  variants: [
    {
      name: 'skip-p2p',
      title: 'The first phase is left out: devices go straight to STOP, STOP_COPY or RUNNING.',
      kind: 'mutant',
      breaks: ['no-p2p-to-stopped', 'phases-in-order', 'all-in-p2p'],
    },
    {
      name: 'stop-out-of-order',
      title: 'Devices stop as soon as they are in a P2P state themselves.',
      kind: 'mutant',
      breaks: ['no-p2p-to-stopped', 'phases-in-order'],
    },
    {
      name: 'start-out-of-order',
      title: 'Devices run as soon as they are in a P2P state themselves.',
      kind: 'mutant',
      breaks: ['no-p2p-to-stopped', 'phases-in-order'],
    },
    {
      name: 'vcpus-early',
      title: 'The vCPUs run before the devices do.',
      kind: 'mutant',
      breaks: ['vcpus-run-last'],
    },
    {
      name: 'stop-forgets-one',
      title: 'The VM counts as stopped when one device is.',
      kind: 'mutant',
      breaks: ['stopped-is-stopped'],
    },
    {
      name: 'prepare-hangs',
      title: 'The first phase of a device may wait for ever.',
      kind: 'mutant',
      breaks: ['stop-ends', 'start-ends'],
    },
    {
      name: 'never-fails',
      title: 'A migration that has stopped the VM never fails.',
      kind: 'mutant',
      breaks: ['rolled-back', 'every-event-happens'],
    },
    {
      name: 'never-completes',
      title: 'A migration that has stopped the VM always fails.',
      kind: 'mutant',
      breaks: ['migrated'],
    },
    {
      name: 'stuck-after-failure',
      title: 'After a failure nobody starts the VM again.',
      kind: 'mutant',
      breaks: ['no-deadlock', 'start-ends', 'rolled-back'],
    },
    {
      name: 'qemu-11.1',
      title: 'As QEMU 11.1.2: the FAILED notifier sets each device to RUNNING before the VM starts.',
      kind: 'implementation',
      breaks: ['no-p2p-to-stopped'],
      seen: 'qemu-11.1/cancel-pre-switchover',
    },
  ],
  make: (options) => new TwoPhaseStop(twoPhaseStop, modelOptions(twoPhaseStop, options)).build(),
};
