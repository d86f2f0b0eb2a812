import { RUN_STATES } from '../uapi/qemu.js';
import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * RunState of QEMU. Each change names the state it comes from, so the chart holds continuity: a
 * change from a state that QEMU was not in shows that lines are missing.
 *
 * Events: `RUN.x.y`, the run state changes from x to y.
 */
export function runState(): Machine {
  return createMachine({
    id: 'run-state',
    description: 'RunState of QEMU, as runstate_set shows it.',
    initial: 'prelaunch',
    states: Object.fromEntries(
      RUN_STATES.map((state) => [
        state,
        {
          meta: clause('qemu/run-state'),
          on: Object.fromEntries(
            RUN_STATES.filter((next) => next !== state).map((next) => [
              `RUN.${state}.${next}`,
              { target: next, meta: clause('qemu/run-state') },
            ]),
          ),
        },
      ]),
    ),
  });
}
