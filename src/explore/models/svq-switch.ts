import type { ModelEntry } from '../model.js';
import { modelOptions } from './options.js';
import { buildSvqSwitch } from './svq-switch-model.js';

/** A vDPA device that is switched to shadow virtqueues for a migration, and back. */
export const svqSwitch: ModelEntry = {
  name: 'svq-switch',
  title: 'Shadow virtqueues of a vDPA device: put in for a migration, taken away when it comes to nothing',
  words:
    'A vDPA device has no dirty log, so a VMM puts rings of its own between guest and device while it migrates: ' +
    'suspend, read the indices, reset, set up, DRIVER_OK; what the guest has set by the control queue is set again ' +
    'before the data rings are enabled. `devices` are virtqueues, of three or more the last one is the control ' +
    'queue; `pages` is how many buffers the guest may have in a ring. The guest may start the device at any time; ' +
    'the migration may be cancelled, or fail after the VM has stopped; `faults` is how often the device refuses a ' +
    'command of the control queue on its way to shadow virtqueues. Buffers are used in order; what a suspended device ' +
    'has not finished is shown to it again. Left out: the guest stopping or resetting the device, commands of the ' +
    'guest meanwhile, the content of buffers that nobody has got back, the destination, packed rings.',
  ranges: {
    devices: { least: 1, most: 4, usual: 3 },
    pages: { least: 1, most: 2, usual: 2 },
    faults: { least: 0, most: 2, usual: 1 },
  },
  capabilities: [],
  variants: [
    {
      name: 'in-flight-skipped',
      title: 'The index that is read of a suspended device is behind the buffers that it has not finished.',
      kind: 'mutant',
      breaks: ['no-buffer-lost'],
    },
    {
      name: 'index-not-read',
      title: 'The device is reset without its indices being read.',
      kind: 'mutant',
      breaks: ['no-buffer-twice'],
    },
    {
      name: 'used-not-flushed',
      title: 'What the device has used in a shadow ring is dropped when the device stops.',
      kind: 'mutant',
      breaks: ['no-buffer-twice', 'writes-are-marked', 'no-page-lost'],
    },
    {
      name: 'not-marked',
      title: 'A buffer goes back to the guest without its page being marked.',
      kind: 'mutant',
      breaks: ['writes-are-marked', 'no-page-lost'],
    },
    {
      name: 'no-switch',
      title: "The migration goes on with the device on the guest's rings.",
      kind: 'mutant',
      breaks: [
        'writes-are-marked',
        'no-page-lost',
        'taken-back',
        'flushed',
        'goes-back',
        'every-event-happens',
      ],
    },
    {
      name: 'pages-left',
      title: 'The migration completes with pages that are marked and were not sent.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'shadow-kept',
      title: 'A cancelled or failed migration leaves the shadow virtqueues where they are.',
      kind: 'mutant',
      breaks: ['shadow-off', 'works-again', 'goes-back'],
    },
    {
      name: 'rings-before-acks',
      title:
        'The data rings are enabled before the device has acknowledged the commands of the control queue.',
      kind: 'mutant',
      breaks: ['control-queue-first'],
    },
    {
      name: 'switch-without-stop',
      title: 'The shadow rings are set up while the device works.',
      kind: 'mutant',
      breaks: ['no-change-while-working', 'shown-again', 'every-event-happens'],
    },
    {
      name: 'works-while-suspended',
      title: 'A suspended device goes on with the buffers that it has.',
      kind: 'mutant',
      breaks: ['quiet-when-suspended', 'no-buffer-twice'],
    },
    {
      name: 'suspend-hangs',
      title: 'SUSPEND may never return.',
      kind: 'mutant',
      breaks: ['migration-ends', 'works-again'],
    },
    {
      name: 'stays-stopped',
      title: 'After a cancel or a failure nobody starts the device again.',
      kind: 'mutant',
      breaks: ['migration-ends', 'works-again', 'goes-back', 'no-deadlock'],
    },
    {
      name: 'never-completes',
      title: 'A migration that has stopped the VM always fails.',
      kind: 'mutant',
      breaks: ['migrated', 'migration-ends'],
    },
    {
      name: 'device-never-finishes',
      title: 'The device never finishes a buffer of a shadow ring.',
      kind: 'mutant',
      breaks: ['flushed', 'every-event-happens'],
    },
    {
      name: 'qemu-11.1',
      title: 'As QEMU 11.1.2: after a cancel the device is started with shadow virtqueues again.',
      kind: 'implementation',
      breaks: ['shadow-off', 'works-again', 'goes-back'],
      options: { devices: 2, pages: 1, faults: 0 },
      seen: 'vdpa-vhost-net/vdpa-cancel',
    },
  ],
  make: (options) => buildSvqSwitch(modelOptions(svqSwitch, options), svqSwitch.title),
};
