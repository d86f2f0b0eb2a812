import type { ModelEntry } from '../model.js';
import { buildMailbox } from './mailbox-model.js';
import { modelOptions } from './options.js';

/** A VF whose configuration comes by messages, moved in both published generations of its state. */
export const mailbox: ModelEntry = {
  name: 'mailbox',
  title: 'The mailbox of an E810-like VF: requests in flight, saved, replayed, answered once',
  words:
    "A guest's driver configures its VF by virtchnl requests in the mailbox, one at a time; the PF's driver handles " +
    'and answers them. A migration moves the VF with what is in the mailbox. In generation A the image is the log of ' +
    'the requests, which the destination replays in their order, without answers; in generation B it is the state ' +
    'itself. An image of the other generation is refused when it is written, and the VM goes on at the source. ' +
    '`devices` are VFs of one VM; `pages` is how many requests the log holds (one more is refused); `faults` is how ' +
    'often VFs are reset, and how often the connection breaks. The device is as the uAPI wants it: a stopped VF ' +
    'handles nothing, and a save ends with a reset. Variants published-a and published-b are the posted drivers as ' +
    'far as their texts are certain. Left out: rings of packets, what a generation does not carry (promiscuous mode, ' +
    'RSS hash fields, filters of flows), VERSION, events of the PF, resets by the administrator of a VF that is ' +
    'stopped, truncated images, failures of the destination after the source has completed.',
  ranges: {
    devices: { least: 1, most: 2, usual: 1 },
    pages: { least: 2, most: 4, usual: 4 },
    faults: { least: 0, most: 2, usual: 2 },
  },
  capabilities: [],
  variants: [
    {
      name: 'replies-not-swallowed',
      title: 'The destination answers the requests that it replays.',
      kind: 'mutant',
      breaks: ['answered-once', 'configured-as-seen'],
    },
    {
      name: 'head-not-saved',
      title: 'The head of the mailbox is not in the image: the request of the last answer is handled again.',
      kind: 'mutant',
      breaks: ['answered-once', 'configured-as-seen'],
    },
    {
      name: 'tail-not-written',
      title:
        'The tail of the mailbox is not written at the destination: a request in flight is not seen there.',
      kind: 'mutant',
      breaks: ['request-not-lost', 'request-is-answered', 'request-in-flight'],
    },
    {
      name: 'handler-hangs',
      title: 'The PF may leave a request where it is.',
      kind: 'mutant',
      breaks: ['request-is-answered'],
    },
    {
      name: 'replay-last-first',
      title: 'The destination replays the log from its end.',
      kind: 'mutant',
      breaks: ['configured-as-seen', 'moved-by-replay'],
    },
    {
      name: 'refused-stay-logged',
      title: 'A request that was refused stays in the log.',
      kind: 'mutant',
      breaks: ['configured-as-seen'],
    },
    {
      name: 'replay-late',
      title: 'The VF runs at the destination before all is replayed.',
      kind: 'mutant',
      breaks: ['replayed-before-run', 'no-replay-after-guest', 'configured-as-seen'],
    },
    {
      name: 'mismatch-accepted',
      title: 'An image of the other generation is taken, and nothing comes of it.',
      kind: 'mutant',
      breaks: ['other-generation-refused', 'replayed-before-run', 'configured-as-seen', 'refused'],
    },
    {
      name: 'half-loaded',
      title: 'An image of the other generation is refused when its first record was loaded.',
      kind: 'mutant',
      breaks: ['nothing-half-loaded'],
    },
    {
      name: 'reset-unnoticed',
      title: 'A save goes on with what it has read when the VF is reset.',
      kind: 'mutant',
      breaks: ['reset-ends-save', 'reset-in-save', 'configured-as-seen'],
    },
    {
      name: 'mail-goes-on',
      title: 'The PF handles requests of a VF that is stopped.',
      kind: 'mutant',
      breaks: ['quiet-when-stopped', 'answered-once', 'configured-as-seen'],
    },
    {
      name: 'unlogged-when-full',
      title: 'A request is handled though the log is full, and is not in it.',
      kind: 'mutant',
      breaks: ['configured-as-seen'],
    },
    {
      name: 'asks-little',
      title: 'The guest asks for nothing but its resources and a filter.',
      kind: 'mutant',
      breaks: ['log-full', 'every-event-happens'],
    },
    {
      name: 'drained',
      title: 'The VM stops only when no request is in the mailbox.',
      kind: 'mutant',
      breaks: ['request-in-flight', 'answer-in-flight'],
    },
    {
      name: 'no-rollback',
      title: 'A migration that fails leaves the VF stopped.',
      kind: 'mutant',
      breaks: ['vm-runs-again', 'request-is-answered', 'no-deadlock'],
    },
    {
      name: 'never-completes',
      title: 'The source never completes.',
      kind: 'mutant',
      breaks: [
        'moved-by-replay',
        'moved-by-records',
        'request-in-flight',
        'answer-in-flight',
        'vm-runs-again',
        'request-is-answered',
        'no-deadlock',
        'every-event-happens',
      ],
    },
    {
      name: 'published-a',
      title:
        'As generation A was posted: an image is looked at when the VM starts; the tail of the mailbox is not written; a cancelled source stays stopped inside.',
      kind: 'implementation',
      breaks: [
        'configured-as-seen',
        'request-not-lost',
        'request-is-answered',
        'request-in-flight',
        'vm-runs-again',
        'no-deadlock',
      ],
    },
    {
      name: 'published-b',
      title:
        'As generation B was posted: an image is looked at when the VM starts; a cancelled source stays stopped inside.',
      kind: 'implementation',
      breaks: ['configured-as-seen', 'request-is-answered', 'vm-runs-again', 'no-deadlock'],
    },
  ],
  make: (options) => buildMailbox(modelOptions(mailbox, options), mailbox.title),
};
