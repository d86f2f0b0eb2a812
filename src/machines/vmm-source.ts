import { from as clause } from './clauses.js';
import { callEvent } from './vmm-set-state.js';
import { createMachine, type Machine, stateIn } from './xstate.js';

/**
 * What QEMU does for one device in VM stops and starts (region `vm`) and as the source of a migration
 * (region `outgoing`).
 *
 * Events: `VM.stop`, `VM.start` VM-state handlers are about to run; `PREPARE`, `CHANGE` the first and
 * the last phase is done for the device; `CALL.X.R` (see vmm-set-state); `NOTIFIER.setup`,
 * `.switchover`, `.done`, `.failed`; `SAVE.setup`, `.iterate`, `.drain` (the final drain begins),
 * `.drained`, `.config`, `.cleanup`; `CLEANUP` the outgoing migration is cleaned up.
 *
 * Rollback differs by version: up to 10.x the VM starts and cleanup runs before the FAILED notifier,
 * in 11.1 the notifier comes first. Both orders are in the chart.
 * @param p2p whether the device has the P2P states: without them there is no first phase
 */
export function vmmSource(p2p: boolean): Machine {
  return createMachine({
    id: 'vmm-source',
    description: 'The VMM as source of a migration, for one device.',
    type: 'parallel',
    states: { vm: vmRegion(p2p), outgoing: outgoingRegion() },
  });
}

const twoPhase = { meta: clause('qemu/two-phase') };
const to = (target: string) => ({ target, ...twoPhase });

function vmRegion(p2p: boolean) {
  const first = p2p ? 'first' : 'last';
  const callsP2p = (target: string) => ({
    [callEvent('RUNNING_P2P', 'ERROR')]: to(target),
    [callEvent('PRE_COPY_P2P', 'ERROR')]: to(target),
  });
  const callsStop = {
    [callEvent('STOP', 'ERROR')]: to('stop_last_asked'),
    [callEvent('STOP_COPY', 'ERROR')]: to('stop_last_asked'),
  };
  const callsRun = { [callEvent('RUNNING', 'ERROR')]: to('start_last_asked') };
  const p2pStates = {
    stop_first: { ...twoPhase, on: callsP2p('stop_first_asked') },
    stop_first_asked: { ...twoPhase, on: { PREPARE: to('stop_last') } },
    start_first: { ...twoPhase, on: callsP2p('start_first_asked') },
    start_first_asked: { ...twoPhase, on: { PREPARE: to('start_last') } },
  };
  return {
    initial: 'quiet',
    description: 'VM stop and start: P2P states first, then stop or run.',
    states: {
      quiet: {
        description: 'No VM stop or start is under way for the device.',
        ...twoPhase,
        on: {
          'VM.stop': to(`stop_${first}`),
          'VM.start': to(`start_${first}`),
          [callEvent('STOP', 'ERROR')]: [
            { guard: stateIn({ outgoing: 'cleaning' }), meta: clause('qemu/call-sites') },
            { guard: stateIn({ outgoing: 'cleaning_failed' }), meta: clause('qemu/call-sites') },
          ],
          [callEvent('RUNNING', 'ERROR')]: {
            guard: stateIn({ outgoing: 'failed' }),
            meta: clause('qemu/rollback'),
          },
        },
      },
      ...(p2p ? p2pStates : {}),
      stop_last: { ...twoPhase, on: callsStop },
      stop_last_asked: { ...twoPhase, on: { CHANGE: to('quiet') } },
      start_last: { ...twoPhase, on: callsRun },
      start_last_asked: { ...twoPhase, on: { CHANGE: to('quiet') } },
    },
  };
}

function outgoingRegion() {
  const order = { meta: clause('qemu/save-order') };
  const step = (target?: string) => (target ? { target, ...order } : { ...order });
  const failed = { 'NOTIFIER.failed': { target: 'failed', meta: clause('qemu/rollback') } };
  const cleanup = { CLEANUP: step('cleaning') };
  return {
    initial: 'none',
    description: 'One attempt to migrate, from its set-up to its cleanup.',
    states: {
      none: {
        description: 'No outgoing migration.',
        ...order,
        on: {
          'NOTIFIER.setup': step('setup'),
          'NOTIFIER.failed': { target: 'failed', meta: clause('qemu/rollback') },
          CLEANUP: step('cleaning'),
          'SAVE.cleanup': step('none'),
          // A snapshot (savevm) has no notifier.
          'SAVE.setup': step('iterating'),
        },
      },
      setup: {
        description: 'The attempt has begun; save_setup has not ended.',
        ...order,
        on: {
          [callEvent('PRE_COPY', 'RUNNING')]: step(),
          'SAVE.setup': step('iterating'),
          ...failed,
          ...cleanup,
        },
      },
      iterating: {
        description: 'PART sections are written.',
        ...order,
        on: {
          'SAVE.iterate': step(),
          'NOTIFIER.switchover': step(),
          'SAVE.drain': step('draining'),
          ...failed,
          ...cleanup,
        },
      },
      draining: {
        description: 'The final drain: the stream is read to its end.',
        ...order,
        on: {
          [callEvent('STOP_COPY', 'STOP')]: step(),
          'SAVE.drained': step('drained'),
          'SAVE.config': step(),
          ...failed,
          ...cleanup,
        },
      },
      drained: {
        description: 'All device data was read.',
        ...order,
        on: { 'SAVE.config': step(), ...failed, ...cleanup },
      },
      cleaning: {
        description: 'save_cleanup runs.',
        ...order,
        on: { 'SAVE.cleanup': step('cleaned') },
      },
      cleaned: {
        description: 'save_cleanup has ended.',
        ...order,
        on: {
          'NOTIFIER.done': step('none'),
          'NOTIFIER.setup': step('setup'),
          'SAVE.setup': step('iterating'),
          ...failed,
        },
      },
      failed: {
        description: 'The FAILED notifier asks for RUNNING.',
        meta: clause('qemu/rollback'),
        on: { CLEANUP: step('cleaning_failed'), 'NOTIFIER.setup': step('setup') },
      },
      cleaning_failed: {
        description: 'save_cleanup runs after a failure.',
        meta: clause('qemu/rollback'),
        on: { 'SAVE.cleanup': step('none') },
      },
    },
  };
}
