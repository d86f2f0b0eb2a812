import { MIG_STATES } from '../uapi/vfio.js';
import type { CapabilitySet } from './capabilities.js';
import { from as clause } from './clauses.js';
import { arcsOf, opensSession } from './vfio-arcs.js';
import { statesOf } from './vfio-device.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * The device as its variant driver implements it (the arc view): one event an arc, in the words of
 * `vfio_mig_get_next_state()`.
 *
 * Events: `ARC.X.Y` the driver walks from X to Y (a new data_fd where the description says so),
 * `RESET.ok`.
 */
export function vfioDriver(caps: CapabilitySet): Machine {
  const arcs = arcsOf(caps);
  return createMachine({
    id: 'vfio-driver',
    description: 'The arcs that a vfio-pci variant driver implements.',
    initial: 'RUNNING',
    states: Object.fromEntries(
      statesOf(caps).map((state) => [
        state,
        {
          meta: clause(state === 'ERROR' ? 'uapi/error' : 'core/next-state'),
          on: {
            'RESET.ok': { target: 'RUNNING', meta: clause('uapi/reset') },
            ...Object.fromEntries(
              arcs
                .filter((arc) => arc.from === state)
                .map((arc) => [
                  `ARC.${arc.from}.${arc.to}`,
                  {
                    target: arc.to,
                    meta: clause(arc.clause),
                    description: opensSession(arc.from, arc.to) ? 'returns a new data_fd' : '',
                  },
                ]),
            ),
          },
        },
      ]),
    ),
  });
}

/** Every `ARC.X.Y` that can be written, legal or not: what a driver may be seen to do. */
export const ARC_EVENTS: readonly string[] = MIG_STATES.flatMap((from) =>
  MIG_STATES.map((to) => `ARC.${from}.${to}`),
);
