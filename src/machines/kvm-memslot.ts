import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * A memory slot of KVM and its dirty log. Whether GET clears stands in `kvm-vm`, and so does what rings change.
 *
 * Events: `SET.no_log`, `SET.log`, `SET.log_all` KVM_SET_USER_MEMORY_REGION without the flag of the log, with it,
 * and with it while INITIALLY_SET is on; `DELETE.ok` one of size 0; `SET.error` one that failed; `GET.ok`,
 * `GET.ENOENT`, `GET.error` KVM_GET_DIRTY_LOG; `CLEAR.ok`, `CLEAR.ENOENT`, `CLEAR.error` KVM_CLEAR_DIRTY_LOG.
 */
export function kvmMemslot(): Machine {
  const slot = { meta: clause('kvm/memslot') };
  const get = { meta: clause('kvm/get-dirty-log') };
  const clear = { meta: clause('kvm/clear-dirty-log') };
  const failures = { 'SET.error': slot, 'GET.error': get, 'CLEAR.error': clear };
  const create = {
    'SET.no_log': { target: 'no_log', ...slot },
    'SET.log': { target: 'logging', ...slot },
    'SET.log_all': { target: 'initially_set', meta: clause('kvm/manual-protect') },
  };
  const withoutLog = { ...failures, ...create, 'GET.ENOENT': get, 'CLEAR.ENOENT': clear };
  const withLog = {
    ...failures,
    'SET.no_log': { target: 'no_log', ...slot },
    'SET.log': slot,
    'SET.log_all': slot,
    'DELETE.ok': { target: 'absent', ...slot },
    'GET.ok': get,
    'CLEAR.ok': clear,
  };
  return createMachine({
    id: 'kvm-memslot',
    description: 'The dirty log of a memory slot.',
    initial: 'absent',
    states: {
      absent: { description: 'There is no such slot.', ...slot, on: withoutLog },
      no_log: {
        description: 'The slot does not log.',
        ...slot,
        on: { ...withoutLog, 'DELETE.ok': { target: 'absent', ...slot } },
      },
      logging: { description: 'The slot logs; its log began clean.', ...get, on: withLog },
      initially_set: {
        description:
          'The slot logs; its log began with every page dirty, and none is protected before CLEAR.',
        meta: clause('kvm/manual-protect'),
        on: withLog,
      },
    },
  });
}
