import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * Dirty tracking of one I/O page table of iommufd.
 *
 * Events: `ALLOC.dirty`, `ALLOC.plain` IOMMU_HWPT_ALLOC with and without DIRTY_TRACKING; `ENABLE.ok`, `DISABLE.ok`,
 * `SET.error` IOMMU_HWPT_SET_DIRTY_TRACKING; `READ.clear`, `READ.keep`, `READ.error`
 * IOMMU_HWPT_GET_DIRTY_BITMAP, the second one with NO_CLEAR.
 */
export function iommufdDirty(): Machine {
  const alloc = { meta: clause('iommufd/hwpt-alloc') };
  const set = { meta: clause('iommufd/set-dirty') };
  const get = { meta: clause('iommufd/get-dirty') };
  const always = {
    'ALLOC.dirty': { target: 'off', ...alloc },
    'ALLOC.plain': { target: 'untracked', ...alloc },
    'SET.error': set,
    'READ.error': get,
  };
  const tracked = {
    ...always,
    'ENABLE.ok': { target: 'on', ...set },
    'DISABLE.ok': { target: 'off', ...set },
    'READ.clear': get,
    'READ.keep': { meta: clause('iommufd/no-clear') },
  };
  return createMachine({
    id: 'iommufd-dirty',
    description: 'Dirty tracking of an I/O page table.',
    initial: 'off',
    states: {
      untracked: { description: 'Made without dirty tracking: it has none.', ...alloc, on: always },
      off: { description: 'Tracking is off: a bitmap has no bits.', ...set, on: tracked },
      on: { description: 'Tracking is on.', ...set, on: tracked },
    },
  });
}
