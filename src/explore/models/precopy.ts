import { CAPABILITY_SETS } from '../../machines/index.js';
import type { ModelEntry } from '../model.js';
import { modelOptions } from './options.js';
import { PrecopyModel } from './precopy-model.js';

/** A whole pre-copy migration. */
export const precopy: ModelEntry = {
  name: 'precopy',
  title: 'A whole pre-copy migration: two VMMs, devices, dirty log, channel, faults',
  words:
    'The source sets up, sends pages and device data while the VM runs, stops the VM in two phases, syncs the dirty ' +
    'log for the last time, reads each device to its end and sends the end; the destination loads, starts its ' +
    'devices and the VM, and says so. The VMM of each device is its chart (vmm-source, vmm-destination), a device ' +
    'is vfio-device on each host, the dirty log is dma-logging. It can be cancelled until the end is sent. A fault ' +
    '(`faults` of them) is a request that ends in ERROR, a channel that is cut, or the death of a VMM. What has ' +
    'failed may be tried once more, with a new destination VMM that resets its devices first. When the ' +
    'channel is lost after the end was sent the source cannot know whether the destination runs: it stays stopped, ' +
    'and somebody has to decide (the ambiguous window). Left out: sizes and bandwidth, config space, switchover-ack.',
  ranges: {
    devices: { least: 1, most: 4, usual: 1 },
    pages: { least: 1, most: 3, usual: 1 },
    faults: { least: 1, most: 2, usual: 1 },
  },
  capabilities: CAPABILITY_SETS.slice(-1),
  variants: [
    {
      name: 'last-sync-before-stop',
      title: 'The last report of dirty pages is asked for before the devices stop.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'cleared-unsent',
      title: 'A report clears dirty pages that are not sent again.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'log-late',
      title: 'The dirty log is started after the first pages were sent.',
      kind: 'mutant',
      breaks: ['no-page-lost', 'migration-ends'],
    },
    {
      name: 'dma-after-stop',
      title: 'A device that was stopped writes on.',
      kind: 'mutant',
      breaks: ['no-dma-when-stopped', 'no-page-lost'],
    },
    {
      name: 'not-drained',
      title: 'The end is sent before the devices are read to their end.',
      kind: 'mutant',
      breaks: ['drained-before-end', 'state-complete'],
    },
    {
      name: 'resumes-early',
      title: 'The destination starts its devices when the first device data has come.',
      kind: 'mutant',
      breaks: ['no-page-lost', 'never-two-running', 'migration-ends', 'no-deadlock'],
    },
    {
      name: 'restart-after-end',
      title: 'The source starts the VM again when the channel is lost after the end was sent.',
      kind: 'mutant',
      breaks: ['never-two-running', 'no-page-lost', 'ambiguous-window'],
    },
    {
      name: 'answer-lost',
      title: 'The answer of the destination may be lost, and the channel still looks whole.',
      kind: 'mutant',
      breaks: ['migration-ends', 'no-deadlock'],
    },
    {
      name: 'restart-without-rollback',
      title: 'After a failure the vCPUs run at once, and the devices are left as they are.',
      kind: 'mutant',
      breaks: ['devices-run-first', 'cancelled-after-stop', 'every-event-happens'],
    },
    {
      name: 'stays-stopped',
      title: 'After a failure that came when the VM was stopped nobody starts it again.',
      kind: 'mutant',
      breaks: [
        'failure-recovers',
        'migration-ends',
        'no-deadlock',
        'cancelled-after-stop',
        'every-event-happens',
      ],
    },
    {
      name: 'cancel-unheard',
      title: 'A cancel is never heard while the VM runs.',
      kind: 'mutant',
      breaks: ['cancelled-in-precopy', 'every-event-happens'],
    },
    {
      name: 'end-refused',
      title: 'The destination refuses every stream at its end.',
      kind: 'mutant',
      breaks: [
        'ambiguous-window',
        'completed',
        'every-event-happens',
        'loads-without-fault',
        'second-attempt-completes',
      ],
    },
    {
      name: 'stale-resuming',
      title:
        'As QEMU 11.1.2 with a driver that offers no reset: the destination of a second attempt opens a device that ' +
        'is still in RESUMING; its request for RESUMING does nothing, there is no data_fd, and each write fails.',
      kind: 'implementation',
      breaks: ['loads-without-fault', 'state-of-this-attempt'],
      seen: 'qemu-11.1/stale-resuming-device',
    },
  ],
  make: (options) => new PrecopyModel(modelOptions(precopy, options)).build(),
};
