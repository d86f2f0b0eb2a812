import type { MigState } from '../uapi/vfio.js';
import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/** A SET_STATE call of QEMU: the state it asks for, and the state it recovers to (ERROR: by reset). */
export interface CallSite {
  readonly state: MigState;
  readonly recover: MigState;
  /** Who calls, in QEMU's words. */
  readonly caller: string;
  /** The states in which QEMU makes this call; absent: any. */
  readonly from?: readonly MigState[];
}

/** Every SET_STATE call of QEMU 8.0 to 11.1. */
export const CALL_SITES: readonly CallSite[] = [
  { state: 'PRE_COPY', recover: 'RUNNING', caller: 'save_setup', from: ['RUNNING', 'PRE_COPY'] },
  { state: 'PRE_COPY_P2P', recover: 'ERROR', caller: 'prepare callback', from: ['PRE_COPY'] },
  {
    state: 'RUNNING_P2P',
    recover: 'ERROR',
    caller: 'prepare callback',
    from: ['RUNNING', 'RUNNING_P2P', 'PRE_COPY_P2P', 'STOP_COPY', 'STOP', 'RESUMING'],
  },
  {
    state: 'STOP_COPY',
    recover: 'ERROR',
    caller: 'main callback, stop during a migration',
    from: ['PRE_COPY', 'PRE_COPY_P2P'],
  },
  { state: 'STOP', recover: 'ERROR', caller: 'main callback or save_cleanup' },
  { state: 'RUNNING', recover: 'ERROR', caller: 'main callback or FAILED notifier' },
  { state: 'STOP_COPY', recover: 'STOP', caller: 'save_complete', from: ['STOP', 'STOP_COPY'] },
  { state: 'RESUMING', recover: 'RUNNING', caller: 'load_setup', from: ['RUNNING'] },
];

/** The event that a call of SET_STATE is to the charts of the VMM. */
export const callEvent = (state: string, recover: string): string => `CALL.${state}.${recover}`;

/** The states QEMU can believe a device to be in. */
export const BELIEVED_STATES: readonly MigState[] = [
  'RUNNING',
  'RUNNING_P2P',
  'PRE_COPY',
  'PRE_COPY_P2P',
  'STOP_COPY',
  'STOP',
  'RESUMING',
];

/**
 * The setter of QEMU 10.0 and later: each call is answered, unless it asks for the state that QEMU
 * believes in already (then there is no ioctl).
 *
 * Events: `CALL.X.R` set_state was called for X with recover state R; `NOW.X` QEMU believes in X.
 */
export function vmmSetState(): Machine {
  const meta = clause('qemu/setter');
  const settled = (state: MigState) => [
    state,
    {
      description: `QEMU believes the device to be in ${state}.`,
      meta,
      on: Object.fromEntries(
        CALL_SITES.filter((site) => site.from?.includes(state) ?? true).map((site) => [
          callEvent(site.state, site.recover),
          site.state === state ? { meta } : { target: asked(site), meta: clause('qemu/call-sites') },
        ]),
      ),
    },
  ];
  const waiting = (site: CallSite) => [
    asked(site),
    {
      description: `${site.caller}: ${site.state} was asked for, recovering to ${site.recover}.`,
      meta: clause('qemu/call-sites'),
      on: Object.fromEntries(outcomes(site).map((state) => [`NOW.${state}`, { target: state, meta }])),
    },
  ];
  return createMachine({
    id: 'vmm-set-state',
    description: 'How QEMU changes the state of one device.',
    initial: 'RUNNING',
    states: Object.fromEntries([...BELIEVED_STATES.map(settled), ...CALL_SITES.map(waiting)]),
  });
}

/** What may come of a call: the state, the recover state, or RUNNING after a reset. */
function outcomes(site: CallSite): MigState[] {
  return [...new Set<MigState>([site.state, site.recover, 'RUNNING'])].filter((state) => state !== 'ERROR');
}

const asked = (site: CallSite): string => `asked_${site.state}_${site.recover}`;
