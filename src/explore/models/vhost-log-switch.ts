import type { ModelEntry } from '../model.js';
import { modelOptions } from './options.js';
import { buildVhostLogSwitch } from './vhost-log-switch-model.js';

/** The dirty log of a vhost back end, switched on and off and exchanged while rings run. */
export const vhostLogSwitch: ModelEntry = {
  name: 'vhost-log-switch',
  title: "A vhost back end's dirty log: its gates, its exchange, ring restarts, the last harvest",
  words:
    'A back end writes guest memory: buffers, and the used part of each ring. A migration switches the log on ' +
    '(SET_LOG_BASE, then LOG_ALL, then VHOST_VRING_F_LOG of each ring), sends pages, harvests the log, exchanges it ' +
    'when guest memory grows, stops the device and harvests for the last time; it may be cancelled, and the guest ' +
    'may stop and start the device at any time. `devices` are rings, `pages` are pages of buffers; each ring has a ' +
    'page with its used part beside them. A page is current at the destination, or not; sent pages are current ' +
    'until they are written again. Left out: the content of rings, refusals of requests, post-copy.',
  ranges: { devices: { least: 1, most: 3, usual: 2 }, pages: { least: 1, most: 3, usual: 1 } },
  capabilities: [],
  variants: [
    {
      name: 'ring-flag-forgotten',
      title: 'The log is switched on without the log flag of the rings.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'log-all-forgotten',
      title: 'The log is switched on with the log flag of the rings, and without LOG_ALL.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'base-late',
      title: 'While rings run, LOG_ALL is switched on before SET_LOG_BASE.',
      kind: 'mutant',
      breaks: ['no-run-without-log', 'no-write-to-released-log'],
    },
    {
      name: 'dropped-before-sync',
      title: 'The old log is dropped at an exchange before it was harvested.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'read-then-clear',
      title: 'A harvest reads the log and clears it later, without looking again.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'harvest-before-stop',
      title: 'The last harvest is made while the rings still run.',
      kind: 'mutant',
      breaks: ['no-page-lost', 'last-harvest-after-stop'],
    },
    {
      name: 'put-without-sync',
      title: 'The log is released without a harvest when the guest stops the device.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'released-early',
      title: 'After a cancel the log is released while LOG_ALL is still on.',
      kind: 'mutant',
      breaks: ['no-write-to-released-log'],
    },
    {
      name: 'never-switches-over',
      title: 'The VMM goes on sending for ever.',
      kind: 'mutant',
      breaks: ['migration-ends', 'completed', 'every-event-happens'],
    },
    {
      name: 'no-cancel',
      title: 'A cancel leaves the log on.',
      kind: 'mutant',
      breaks: ['cancelled', 'every-event-happens'],
    },
    {
      name: 'no-exchange',
      title: 'Guest memory never grows in a migration.',
      kind: 'mutant',
      breaks: ['exchanged'],
    },
    {
      name: 'no-start-while-logging',
      title: 'A device cannot be started while a migration is under way.',
      kind: 'mutant',
      breaks: ['started-while-logging', 'every-event-happens'],
    },
    {
      name: 'waits-for-a-bit',
      title: 'The last harvest waits until the log holds a bit, which it may never do.',
      kind: 'mutant',
      breaks: ['migration-ends', 'completed', 'no-deadlock', 'every-event-happens'],
    },
    {
      name: 'qemu-11.1',
      title: 'As QEMU 11.1.2 starts a device while it migrates: the rings are kicked before SET_LOG_BASE.',
      kind: 'implementation',
      breaks: ['no-page-lost', 'no-run-without-log'],
      seen: 'vhost-user/passt-dst-killed',
    },
  ],
  make: (options) => buildVhostLogSwitch(modelOptions(vhostLogSwitch, options), vhostLogSwitch.title),
};
