import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * Dirty pages of a type1 container.
 *
 * Events: `START.ok`, `STOP.ok`, `GET.ok` VFIO_IOMMU_DIRTY_PAGES with this flag, `START.error` and so on when it
 * failed; `UNMAP.bitmap` VFIO_IOMMU_UNMAP_DMA with GET_DIRTY_BITMAP, `UNMAP.plain` without, `UNMAP.error`.
 */
export function type1Dirty(): Machine {
  const pages = { meta: clause('type1/dirty-pages') };
  const unmap = { meta: clause('type1/unmap') };
  const always = {
    'START.ok': { target: 'on', ...pages },
    'STOP.ok': { target: 'off', ...pages },
    'START.error': pages,
    'STOP.error': pages,
    'GET.error': pages,
    'UNMAP.plain': unmap,
    'UNMAP.error': unmap,
  };
  return createMachine({
    id: 'type1-dirty',
    description: 'Dirty pages of a type1 container.',
    initial: 'off',
    states: {
      off: { description: 'Nothing is tracked.', ...pages, on: always },
      on: {
        description: 'Pages are tracked.',
        ...pages,
        on: { ...always, 'GET.ok': pages, 'UNMAP.bitmap': unmap },
      },
    },
  });
}
