import type { ModelEntry, Variant } from '../model.js';
import { modelOptions } from './options.js';
import { buildPostcopy } from './postcopy-model.js';

const VARIANTS: readonly Variant[] = [
  {
    name: 'vfio-not-refused',
    title: 'Post-copy begins with a VFIO device in the VM.',
    kind: 'mutant',
    breaks: ['refused-with-vfio'],
  },
  {
    name: 'no-discard',
    title: 'The destination keeps pages that are dirty at the stop.',
    kind: 'mutant',
    breaks: ['no-stale-page', 'no-older-copy'],
  },
  {
    name: 'discard-overtakes',
    title: 'RAM_DISCARD overtakes pages of pre-copy, which come on other channels.',
    kind: 'mutant',
    breaks: ['no-stale-page', 'no-older-copy'],
  },
  {
    name: 'pages-before-package',
    title: 'The source pushes pages before it has sent LISTEN.',
    kind: 'mutant',
    breaks: ['no-page-before-listen'],
  },
  {
    name: 'request-resends',
    title: 'A page that is asked for is sent, also when it was sent before.',
    kind: 'mutant',
    breaks: ['no-older-copy'],
  },
  {
    name: 'requests-ignored',
    title: 'The source pushes pages in its own order, whatever is asked for.',
    kind: 'mutant',
    breaks: ['fault-served', 'every-event-happens'],
  },
  {
    name: 'requests-not-repeated',
    title: 'After a recovery the destination does not ask again for pages that are waited for.',
    kind: 'mutant',
    breaks: ['fault-served'],
  },
  {
    name: 'bitmap-not-asked',
    title: 'A recovery goes on from what the source has sent, not from what has come.',
    kind: 'mutant',
    breaks: ['complete-means-all', 'fault-served'],
  },
  {
    name: 'completes-early',
    title: 'The source ends with pages that it has not sent.',
    kind: 'mutant',
    breaks: ['complete-means-all', 'fault-served'],
  },
  {
    name: 'end-forgotten',
    title: 'The source never says that all pages are sent.',
    kind: 'mutant',
    breaks: ['migration-ends', 'completed', 'recovered', 'every-event-happens'],
  },
  {
    name: 'cancel-accepted',
    title: 'migrate_cancel starts the VM of the source in post-copy too.',
    kind: 'mutant',
    breaks: ['one-vm', 'source-never-again', 'cancel-is-refused', 'migration-ends'],
  },
  {
    name: 'no-pause',
    title: 'A connection that breaks in post-copy ends the migration, and nothing is recovered.',
    kind: 'mutant',
    breaks: ['fault-served', 'migration-ends', 'waits-through-a-cut', 'recovered', 'every-event-happens'],
  },
  {
    name: 'listen-after-load',
    title: 'Device state is loaded before faults are heard of, so that its load waits for no page.',
    kind: 'mutant',
    breaks: ['load-waits'],
  },
  {
    name: 'blocks-in-postcopy-device',
    title: 'The source sends no page in postcopy-device, and the load of device state waits for one.',
    kind: 'mutant',
    breaks: ['fault-served', 'switch-ends'],
  },
  {
    name: 'stuck-after-failure',
    title: 'After a failure or a cancel nobody starts the VM of the source.',
    kind: 'mutant',
    breaks: ['failure-goes-back', 'switch-ends', 'resumed-from-device', 'no-deadlock', 'every-event-happens'],
  },
  {
    name: 'pong-lost',
    title: 'A cut may lose the PONG that says that the device state is loaded: the window that is left.',
    kind: 'mutant',
    breaks: ['one-vm', 'source-never-again', 'fault-served', 'migration-ends', 'no-deadlock'],
  },
  {
    name: 'qemu-10.1',
    title:
      'As QEMU before 10.2: postcopy-active from the package on, so that nobody runs when its load fails.',
    kind: 'implementation',
    breaks: ['failure-goes-back', 'switch-ends', 'resumed-from-device'],
  },
];

/** Post-copy as QEMU 11.1 has it: the switch, pages on demand, pause and recovery. */
export const postcopy: ModelEntry = {
  name: 'postcopy',
  title: 'Post-copy: the switch, pages on demand, a pause and its recovery',
  words:
    'Pages are copied while the VM runs; then the VM is stopped, the pages that are dirty are discarded at the ' +
    'destination, and LISTEN, the device state and RUN follow in one package. Pages come by a push in the background ' +
    'and by requests of vCPUs that wait for one; the load of the device state may wait for one too. The channel is ' +
    'ordered and has at most one copy of each page. It may be cut, and the device state may be refused: before ' +
    'RUN the source runs again, after it both sides pause and recover. A PONG that was sent before a cut arrives, and ' +
    'what both sides know at the end is not cut off. `pages` are pages of RAM, `faults` cuts and refused loads. ' +
    'With a VFIO device in the VM the migration is refused. A vhost-user back end is told of the steps; its ' +
    'faults are those of a vCPU. Left out: completion without post-copy, the preempt channel, dirty bitmaps of ' +
    'block devices, the death of a host, a destination that fails between its PONG and RUN.',
  ranges: { pages: { least: 1, most: 4, usual: 2 }, faults: { least: 1, most: 3, usual: 2 } },
  capabilities: [],
  variants: VARIANTS,
  make: (options) => buildPostcopy(postcopy, modelOptions(postcopy, options)),
};
