import { CALL_SITES, callEvent } from '../machines/vmm-set-state.js';
import type { EventKind } from '../trace/event.js';
import { device, vmm } from './example.js';
import type { Refusal, Rule } from './rule.js';

const d = device();
const other = device('vf1');
const v = vmm();

const KNOWN_CALLS = new Set(CALL_SITES.map((site) => callEvent(site.state, site.recover)));
const unknownCall = ({ events }: Refusal): boolean => !KNOWN_CALLS.has(events[0]!);

/** `STOP (recovering to ERROR)` for `CALL.STOP.ERROR`. */
function call({ events }: Refusal): string {
  const [, state, recover] = events[0]!.split('.');
  return `${state} (recovering to ${recover})`;
}

const paused = [
  v.stop('paused'),
  ...d.call('RUNNING_P2P'),
  d.prepare(false, 'paused'),
  ...d.call('STOP'),
  d.change(false, 'paused'),
];
const started = [v.start(), ...d.call('RUNNING_P2P'), d.prepare(true), ...d.call('RUNNING'), d.change(true)];

/**
 * A device with P2P states has first phases. One that was a source is also set back by the FAILED
 * notifier and stopped by save_cleanup; the notifier may ask for RUNNING in RUNNING, too.
 */
function phaseNeeds({ device: view, events }: Refusal): EventKind[] {
  const phases: EventKind[] = view?.capabilities().some((caps) => caps.p2p) ? ['vmstate_prepare'] : [];
  const rollback = view?.saved || (events[0] === callEvent('RUNNING', 'ERROR') && view?.before() !== 'STOP');
  return rollback ? [...phases, 'notifier', 'source_cleanup'] : phases;
}

const vmNeeds = ['vm_state', 'set_state', 'set_state_result', 'vmstate_change'] as const;
/** The SET_STATE calls of a VMM and the two phases of a VM stop or start. */
export const VMM_CALL_RULES: readonly Rule[] = [
  {
    id: 'VMM-SET-01',
    title: 'a request is answered before the next one',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/setter',
    about:
      'Each call of SET_STATE for a state that the VMM does not believe in leads to the requested state, the recover state, or RUNNING after a reset.',
    causes: 'Lines of the log are missing, or the VMM passed over the result.',
    needs: ['set_state', 'set_state_result'],
    refusal: {
      machine: 'vmm-set-state',
      event: /^CALL\./,
      in: /^asked_/,
      where: (refusal) => !unknownCall(refusal),
      exercisedBy: /^NOW\./,
      message: (refusal) =>
        `${call(refusal)} is requested while ${refusal.before.map((each) => each.split('_').slice(1).join('_')).join(' or ')} has no answer`,
    },
    conformant: [...d.open(), ...d.call('RUNNING_P2P'), ...d.call('STOP')],
    violating: [...d.open(), ...d.call('RUNNING_P2P', 'ERROR', null), ...d.call('STOP')],
  },
  {
    id: 'VMM-SET-02',
    title: 'a believed state has a request',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/setter',
    about:
      'The VMM changes its belief about a device only as the answer to a request: the requested state, the recover state, or RUNNING after a reset.',
    causes: 'Lines of the log are missing, or the cached state is written elsewhere.',
    needs: ['set_state', 'set_state_result'],
    refusal: {
      machine: 'vmm-set-state',
      event: /^NOW\./,
      message: ({ events, before }) =>
        `the device is now in ${events[0]!.slice(4)}, which was not requested (${before.join(' or ')})`,
    },
    conformant: [...d.open(), ...d.call('PRE_COPY', 'RUNNING', 'RUNNING')],
    violating: [
      ...d.open(),
      d.event('set_state', { state: 'STOP', recover: 'ERROR' }),
      d.event('set_state_result', { state: 'STOP' }),
      d.event('set_state_result', { state: 'RUNNING_P2P' }),
    ],
  },
  {
    id: 'VMM-SET-03',
    title: 'a SET_STATE call that QEMU does not make',
    party: 'vmm',
    level: 'note',
    clause: 'qemu/call-sites',
    about:
      'QEMU 8.0 to 11.1 have eight pairs of requested and recover state; another pair comes from a newer or a changed VMM.',
    causes: 'A fork, or a version that is newer than these models.',
    needs: ['set_state'],
    refusal: {
      machine: 'vmm-set-state',
      event: /^CALL\./,
      where: unknownCall,
      exercisedBy: /^CALL\./,
      message: (refusal) => `${call(refusal)} is none of QEMU's SET_STATE calls`,
    },
    conformant: [...d.open(), ...d.call('STOP')],
    violating: [...d.open(), ...d.call('STOP'), d.event('set_state', { state: 'STOP', recover: 'PRE_COPY' })],
  },
  {
    id: 'VMM-SET-04',
    title: 'each call comes in the states that it is for',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/call-sites',
    about:
      'PRE_COPY is asked in RUNNING, PRE_COPY_P2P in PRE_COPY, STOP_COPY on the way down in PRE_COPY states, STOP_COPY for the drain in STOP, RESUMING in RUNNING.',
    causes: 'The cached state and the device do not agree, or a callback chose the wrong state.',
    needs: ['set_state', 'set_state_result'],
    refusal: {
      machine: 'vmm-set-state',
      event: /^CALL\./,
      message: (refusal) => `${call(refusal)} is requested in ${refusal.before.join(' or ')}`,
    },
    conformant: [
      ...d.open(),
      ...d.call('PRE_COPY', 'RUNNING'),
      ...d.call('PRE_COPY_P2P'),
      ...d.call('STOP_COPY'),
    ],
    violating: [...d.open(), ...d.call('PRE_COPY', 'RUNNING'), ...d.call('RUNNING_P2P')],
  },
  {
    id: 'VMM-STOP-01',
    title: 'all devices are in P2P states before one stops or runs',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/two-phase',
    about: 'In a VM stop or start every first-phase callback comes before any last-phase callback.',
    causes: 'Callbacks that run device by device instead of phase by phase.',
    needs: ['vm_state', 'vmstate_prepare', 'vmstate_change'],
    refusal: {
      machine: 'vm-phases',
      event: /./,
      message: () => 'the first phase of this device came after the last phase of another one',
    },
    conformant: [
      v.stop('paused'),
      d.prepare(false, 'paused'),
      other.prepare(false, 'paused'),
      d.change(false, 'paused'),
      other.change(false, 'paused'),
    ],
    violating: [
      v.stop('paused'),
      d.prepare(false, 'paused'),
      d.change(false, 'paused'),
      other.prepare(false, 'paused'),
      other.change(false, 'paused'),
    ],
  },
  {
    id: 'VMM-STOP-02',
    title: 'P2P states are requested in the first phase',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/two-phase',
    about:
      'RUNNING_P2P and PRE_COPY_P2P are asked once for each VM stop or start, before STOP, STOP_COPY or RUNNING.',
    causes: 'The prepare callback runs twice, or is missing for the device.',
    needs: [...vmNeeds, 'vmstate_prepare'],
    refusal: {
      machine: 'vmm-source',
      event: /^CALL\.(RUNNING_P2P|PRE_COPY_P2P)\./,
      alsoNeeds: phaseNeeds,
      message: (refusal) => `${call(refusal)} is requested outside the first phase of a VM stop or start`,
    },
    conformant: [...d.open(), ...paused],
    violating: [
      ...d.open(),
      ...started,
      ...d.call('RUNNING_P2P'),
      v.stop('paused'),
      ...d.call('RUNNING_P2P', 'ERROR', null),
      d.prepare(false),
      ...d.call('STOP'),
      d.change(false),
    ],
  },
  {
    id: 'VMM-STOP-03',
    title: 'STOP and STOP_COPY are requested in the last phase of a stop',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/two-phase',
    about: 'A device is stopped by the main callback of a VM stop, or by save_cleanup.',
    causes: 'A device that skips the P2P phase, or a stop without a VM stop.',
    needs: vmNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^CALL\.(STOP|STOP_COPY)\.ERROR$/,
      alsoNeeds: phaseNeeds,
      message: (refusal) =>
        `${call(refusal)} is requested outside the last phase of a VM stop and outside save_cleanup`,
    },
    conformant: [...d.open(), ...paused],
    violating: [
      ...d.open(),
      ...started,
      ...d.call('STOP'),
      v.stop('paused'),
      ...d.call('RUNNING_P2P'),
      d.prepare(false, 'paused'),
      ...d.call('STOP'),
      d.change(false, 'paused'),
    ],
  },
  {
    id: 'VMM-STOP-04',
    title: 'RUNNING is requested in the last phase of a start or by the FAILED notifier',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/two-phase',
    about:
      'A device runs again by the main callback of a VM start; after a failure also by the migration notifier.',
    causes: 'A device that skips RUNNING_P2P on the way up.',
    needs: vmNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^CALL\.RUNNING\.ERROR$/,
      alsoNeeds: phaseNeeds,
      message: (refusal) =>
        `${call(refusal)} is requested outside the last phase of a VM start, and no failure was notified`,
    },
    conformant: [...d.open(), ...started],
    violating: [...d.open(), ...paused, ...d.call('RUNNING'), ...paused, ...started],
  },
  {
    id: 'VMM-STOP-05',
    title: 'each phase is run once for each device',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/two-phase',
    about:
      'In a VM stop or start every device has its first phase, then its last phase, each with its request, and both before the next stop or start.',
    causes: 'A callback that returned early, or lines of the log that are missing.',
    needs: vmNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^(PREPARE|CHANGE|VM\.stop|VM\.start)$/,
      alsoNeeds: phaseNeeds,
      message: ({ events, before }) => `${WORDS[events[0]!]} while the device is ${phase(before)}`,
    },
    conformant: [...d.open(), ...started, ...paused],
    violating: [
      ...d.open(),
      ...started,
      v.stop('paused'),
      ...d.call('RUNNING_P2P'),
      d.prepare(false, 'paused'),
      v.start(),
      ...d.call('RUNNING_P2P', 'ERROR', null),
      d.prepare(true),
      ...d.call('RUNNING'),
      d.change(true),
    ],
  },
];

const WORDS: Readonly<Record<string, string>> = {
  PREPARE: 'the first phase ends',
  CHANGE: 'the last phase ends',
  'VM.stop': 'a VM stop begins',
  'VM.start': 'a VM start begins',
};

const PHASES: Readonly<Record<string, string>> = {
  quiet: 'in no VM stop or start',
  stop_first: 'before its first phase of a stop',
  stop_first_asked: 'in its first phase of a stop',
  stop_last: 'before its last phase of a stop',
  stop_last_asked: 'in its last phase of a stop',
  start_first: 'before its first phase of a start',
  start_first_asked: 'in its first phase of a start',
  start_last: 'before its last phase of a start',
  start_last_asked: 'in its last phase of a start',
};

function phase(before: readonly string[]): string {
  return [...new Set(before.map((each) => PHASES[each.split(' ')[0]!] ?? each))].join(' or ');
}
