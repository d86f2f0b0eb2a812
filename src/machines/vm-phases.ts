import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * A VM stop or start over all devices of a VMM: every first phase (P2P states) comes before any last
 * phase. The uAPI asks for it where devices can reach each other; QEMU does it always.
 *
 * Events: `VM.stop`, `VM.start`, `PREPARE` and `CHANGE` of any device.
 */
export function vmPhases(): Machine {
  const meta = clause('qemu/two-phase');
  const begin = { 'VM.stop': { target: 'first', meta }, 'VM.start': { target: 'first', meta } };
  return createMachine({
    id: 'vm-phases',
    description: 'The two phases of a VM stop or start, over all devices.',
    initial: 'quiet',
    states: {
      quiet: { description: 'No stop or start was seen yet.', meta, on: begin },
      first: {
        description: 'Devices go to their P2P states.',
        meta,
        on: { ...begin, PREPARE: { meta }, CHANGE: { target: 'last', meta } },
      },
      last: { description: 'Devices stop or run.', meta, on: { ...begin, CHANGE: { meta } } },
    },
  });
}
