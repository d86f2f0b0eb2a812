import { from as clause } from './clauses.js';
import { callEvent } from './vmm-set-state.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * The VMM as destination of a migration, for one device.
 *
 * Events: `LOAD.setup` load_setup of all entries begins; `CALL.RESUMING.RUNNING`; `LOAD.record` a tag
 * was read; `LOAD.config_start`, `LOAD.config_end`; `VM.start`; `LOAD.failed` the stream could not be
 * loaded; `LOAD.cleanup` load_cleanup has ended.
 */
export function vmmDestination(): Machine {
  const order = { meta: clause('qemu/load-order') };
  const step = (target?: string) => (target ? { target, ...order } : { ...order });
  const failed = { 'LOAD.failed': step('failed'), 'LOAD.cleanup': step('idle') };
  return createMachine({
    id: 'vmm-destination',
    description: 'The VMM as destination of a migration, for one device.',
    initial: 'idle',
    states: {
      idle: {
        description: 'No incoming migration.',
        ...order,
        on: {
          'LOAD.setup': step('setup'),
          'VM.start': step(),
          'LOAD.failed': step(),
          'LOAD.cleanup': step(),
        },
      },
      setup: {
        description: 'load_setup runs; the device is not in RESUMING yet.',
        ...order,
        on: { [callEvent('RESUMING', 'RUNNING')]: step('loading'), ...failed },
      },
      loading: {
        description: 'Device data is taken from the stream.',
        ...order,
        on: { 'LOAD.record': step(), 'LOAD.config_start': step('config'), ...failed },
      },
      config: {
        description: 'The config vmstate is loaded.',
        ...order,
        on: { 'LOAD.record': step(), 'LOAD.config_end': step('loaded'), ...failed },
      },
      loaded: {
        description: 'All is loaded; the VM may start.',
        ...order,
        on: { 'LOAD.record': step(), 'VM.start': step(), ...failed },
      },
      failed: {
        description: 'The load has failed.',
        ...order,
        on: { 'LOAD.cleanup': step('idle'), 'LOAD.failed': step(), 'LOAD.setup': step('setup') },
      },
    },
  });
}
