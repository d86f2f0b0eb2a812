import { CAPABILITY_SETS } from '../../machines/index.js';
import type { ModelEntry, Variant } from '../model.js';
import { modelOptions } from './options.js';
import { buildSwitchoverAck } from './switchover-ack-model.js';

const VARIANTS: readonly Variant[] = [
  {
    name: 'gate-ignored',
    title: 'The switchover does not wait for acknowledgements.',
    kind: 'mutant',
    breaks: ['no-early-switchover', 'initial-data-loaded'],
  },
  {
    name: 'final-query-ignored',
    title: 'A request that the final query finds is ignored.',
    kind: 'mutant',
    breaks: ['initial-data-loaded', 'late-request-fails', 'late-request', 'every-event-happens'],
  },
  {
    name: 'no-last-look',
    title: 'Nobody looks at the precopy info once more before the device leaves PRE_COPY.',
    kind: 'mutant',
    breaks: ['initial-data-loaded', 'late-request-fails', 'late-request', 'every-event-happens'],
  },
  {
    name: 'request-not-collected',
    title: 'A query does not count the requests of REINIT, and the device announces all the same.',
    kind: 'mutant',
    breaks: ['initial-data-loaded', 'no-underflow', 'one-ack-per-request', 'every-event-happens'],
  },
  {
    name: 'ack-lost',
    title: 'An acknowledgement may be lost on the return path.',
    kind: 'mutant',
    breaks: ['one-ack-per-request', 'request-is-answered'],
  },
  {
    name: 'ack-early',
    title: 'The destination acknowledges before it has loaded the data.',
    kind: 'mutant',
    breaks: ['initial-data-loaded'],
  },
  {
    name: 'ack-twice',
    title: 'The destination acknowledges twice.',
    kind: 'mutant',
    breaks: ['no-underflow', 'one-ack-per-request', 'initial-data-loaded'],
  },
  {
    name: 'stop-waits',
    title: 'A VM that is stopped by its user waits for acknowledgements too.',
    kind: 'mutant',
    breaks: ['gate-not-asked', 'stopped-vm-moves', 'no-deadlock'],
  },
  {
    name: 'no-rollback',
    title: 'A migration that fails at the final query stays where it is.',
    kind: 'mutant',
    breaks: ['switchover-ends', 'late-request', 'no-deadlock', 'every-event-happens'],
  },
  {
    name: 'never-done',
    title: 'A device never comes to the end of its initial data.',
    kind: 'mutant',
    breaks: [
      'request-is-answered',
      'completed',
      'reinit-acknowledged',
      'late-request',
      'every-event-happens',
    ],
  },
  {
    name: 'qemu-11.0',
    title: 'As QEMU 8.1 to 11.0: the destination counts each device once, and REINIT is not looked at.',
    kind: 'implementation',
    breaks: ['initial-data-loaded', 'late-request-fails', 'one-ack-per-request', 'late-request'],
  },
];

/** Switchover-ack as QEMU 11.1 has it, with REINIT. */
export const switchoverAck: ModelEntry = {
  name: 'switchover-ack',
  title: 'Acknowledgement of initial data before the switchover, with REINIT',
  words:
    'Devices in PRE_COPY ask for an acknowledgement when their initial data is to be loaded before the switchover. ' +
    'The source collects the requests in its pending queries, sends the data with INIT_DATA_SENT, and stops the VM ' +
    'only when no acknowledgement is outstanding, unless the VM was stopped already. A device may have new initial ' +
    'data (REINIT) as long as it is in PRE_COPY, also after the decision: the last look at its precopy info sees ' +
    'it, the final query finds the request, and the migration fails. `faults` is how often devices do so. Variant ' +
    'qemu-11.0 is the protocol before: the destination counts the devices, acknowledges once, and REINIT is not ' +
    'looked at. Left out: RAM, sizes, dirty device data, the start of a VM that its user has stopped.',
  ranges: { devices: { least: 1, most: 3, usual: 2 }, faults: { least: 1, most: 3, usual: 1 } },
  capabilities: CAPABILITY_SETS.slice(-1),
  variants: VARIANTS,
  make: (options) => buildSwitchoverAck(switchoverAck, modelOptions(switchoverAck, options)),
};
