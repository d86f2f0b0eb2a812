import { CAPABILITY_SETS } from '../../machines/index.js';
import type { ModelEntry, Variant } from '../model.js';
import { buildMultifd } from './multifd-model.js';
import { modelOptions } from './options.js';

const VARIANTS: readonly Variant[] = [
  {
    name: 'no-sync',
    title: 'No SYNC stands between two rounds of RAM.',
    kind: 'mutant',
    breaks: ['no-older-page', 'memory-equal'],
  },
  {
    name: 'no-last-sync',
    title: 'No SYNC stands behind the last round of RAM.',
    kind: 'mutant',
    breaks: ['memory-equal', 'drained'],
  },
  {
    name: 'sync-ignored',
    title: 'The destination does not hold a channel at SYNC until the others are there.',
    kind: 'mutant',
    breaks: ['no-older-page', 'memory-equal', 'drained', 'no-packet-before-setup'],
  },
  {
    name: 'sync-lost',
    title: 'A SYNC may be lost.',
    kind: 'mutant',
    breaks: ['no-older-page', 'no-packet-before-setup', 'migration-ends'],
  },
  {
    name: 'takes-what-is-there',
    title: 'The load thread takes any data packet that has come.',
    kind: 'mutant',
    breaks: ['in-order'],
  },
  {
    name: 'written-twice',
    title: 'The load thread leaves a packet in its queue, and may write it again.',
    kind: 'mutant',
    breaks: ['once'],
  },
  {
    name: 'config-when-it-comes',
    title: 'The config state is loaded when it comes.',
    kind: 'mutant',
    breaks: ['config-last'],
  },
  {
    name: 'setup-not-awaited',
    title: 'The stream is read before load_setup of all devices has ended.',
    kind: 'mutant',
    breaks: ['written-in-resuming', 'no-packet-before-setup'],
  },
  {
    name: 'thread-early',
    title: 'The load thread of a device begins before SWITCHOVER_START.',
    kind: 'mutant',
    breaks: ['loads-after-switchover'],
  },
  {
    name: 'runs-before-loaded',
    title: 'The VM starts when the main channel has ended, whatever load threads do.',
    kind: 'mutant',
    breaks: ['loaded-before-run', 'drained'],
  },
  {
    name: 'closed-is-end',
    title: 'The destination takes a channel that is closed for one that has ended.',
    kind: 'mutant',
    breaks: ['closed-fails', 'memory-equal', 'one-vm', 'no-deadlock', 'every-event-happens'],
  },
  {
    name: 'stuck-after-failure',
    title: 'After a failure nobody starts the VM of the source.',
    kind: 'mutant',
    breaks: ['failed-and-back', 'migration-ends', 'no-deadlock', 'every-event-happens'],
  },
  {
    name: 'never-ends',
    title: 'The source never says that it has sent all.',
    kind: 'mutant',
    breaks: ['completed', 'migration-ends', 'every-event-happens'],
  },
  {
    name: 'one-lane',
    title: 'Each packet waits until the one before it has come.',
    kind: 'mutant',
    breaks: ['overtaken'],
  },
  {
    name: 'one-round',
    title: 'RAM is sent once, and nothing is written meanwhile.',
    kind: 'mutant',
    breaks: ['sent-again', 'every-event-happens'],
  },
];

/** RAM and device state over multifd channels, as QEMU 10.0 and later do it. */
export const multifd: ModelEntry = {
  name: 'multifd',
  title: 'RAM and device state over several channels that overtake each other',
  words:
    'A main channel in order, and multifd channels that hold a packet each and overtake each other. Rounds of RAM ' +
    'end with a SYNC on each channel, at which the destination holds it until all are there and the main channel ' +
    'says so. After the stop of the VM, SWITCHOVER_START starts the load thread of each device; its state comes as ' +
    'numbered packets over any channel, two of data and the config state. `pages` are the pages of RAM; there is one ' +
    'channel more than pages, at most three. `faults` are channels that break: the load fails, and the source runs ' +
    'again. The guest writes each page once at most. A round is not ' +
    'broken off by the stop. Left out: PRE_COPY, the states of the source devices, errors of writes.',
  ranges: {
    devices: { least: 1, most: 3, usual: 2 },
    pages: { least: 1, most: 3, usual: 1 },
    faults: { least: 1, most: 2, usual: 1 },
  },
  capabilities: CAPABILITY_SETS.slice(-1),
  variants: VARIANTS,
  make: (options) => buildMultifd(multifd, modelOptions(multifd, options)),
};
