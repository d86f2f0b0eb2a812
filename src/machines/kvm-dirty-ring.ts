import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * The entries of a VM's dirty rings, as KVM and user space hand them to each other: KVM makes an empty entry
 * dirty, user space harvests it, KVM_RESET_DIRTY_RINGS makes it empty again.
 *
 * Events: `HARVEST.dirty`, `HARVEST.empty` user space takes an entry that KVM had made dirty, or had not;
 * `RESET.taken`, `RESET.none` KVM_RESET_DIRTY_RINGS emptied some entries, or found none; `RESET.error` it failed;
 * `FULL` KVM_RUN returned with KVM_EXIT_DIRTY_RING_FULL.
 */
export function kvmDirtyRing(): Machine {
  const ring = { meta: clause('kvm/dirty-ring') };
  return createMachine({
    id: 'kvm-dirty-ring',
    description: 'Entries of dirty rings, from the write to the reset.',
    initial: 'dirty_or_empty',
    states: {
      dirty_or_empty: {
        description: 'No entry is harvested: all are empty, or dirty and wait.',
        ...ring,
        on: {
          'HARVEST.dirty': { target: 'harvested', ...ring },
          'RESET.none': ring,
          'RESET.error': ring,
          FULL: { target: 'full', ...ring },
        },
      },
      harvested: {
        description: 'Some entries are harvested; their pages are not watched before the reset.',
        ...ring,
        on: {
          'HARVEST.dirty': ring,
          'RESET.taken': { target: 'dirty_or_empty', ...ring },
          'RESET.error': ring,
          FULL: { target: 'full_harvested', ...ring },
        },
      },
      full: {
        description: 'The ring of a vCPU is full, and nothing of it is harvested.',
        ...ring,
        on: {
          'HARVEST.dirty': { target: 'full_harvested', ...ring },
          'RESET.none': ring,
          'RESET.error': ring,
          FULL: ring,
        },
      },
      full_harvested: {
        description: 'The ring of a vCPU is full; the reset makes room.',
        ...ring,
        on: {
          'HARVEST.dirty': ring,
          'RESET.taken': { target: 'dirty_or_empty', ...ring },
          'RESET.error': ring,
          FULL: ring,
        },
      },
    },
  });
}
