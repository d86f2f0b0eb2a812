import { from as clause } from '../../src/machines/clauses.js';
import type { MachineEntry } from '../../src/machines/index.js';
import { createMachine, type Machine } from '../../src/machines/xstate.js';

/**
 * The two forms of the precopy info.
 *
 * Events: `OPT_IN.ok`, `OPT_IN.error` a SET of MIG_PRECOPY_INFOv2; `INFO.plain`, `INFO.reinit` precopy
 * info without and with VFIO_PRECOPY_INFO_REINIT.
 */
export function precopyInfoVersion(): Machine {
  const info = { meta: clause('uapi/precopy-info') };
  const v2 = { meta: clause('uapi/precopy-v2') };
  return createMachine({
    id: 'precopy-info-version',
    description: 'Which form of the precopy info a device gives.',
    initial: 'v1',
    states: {
      v1: {
        description: 'Nobody opted in: no flags.',
        ...info,
        on: { 'INFO.plain': info, 'OPT_IN.ok': { target: 'v2', ...v2 }, 'OPT_IN.error': v2 },
      },
      v2: {
        description: 'Opted in: REINIT may be set.',
        ...v2,
        on: { 'INFO.plain': info, 'INFO.reinit': v2, 'OPT_IN.ok': v2, 'OPT_IN.error': v2 },
      },
    },
  });
}

/** The entry for `MACHINES`. */
export const entry: MachineEntry = {
  name: 'precopy-info-version',
  title: 'Precopy info, with and without the opt-in',
  party: 'driver',
  make: precopyInfoVersion,
  capabilitySets: [{ p2p: true, preCopy: true }],
};
