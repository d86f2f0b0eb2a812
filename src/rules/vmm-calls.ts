import { CALL_SITES, callEvent } from '../machines/vmm-set-state.js';
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

const stopped = [
  v.stop(),
  ...d.call('PRE_COPY_P2P'),
  d.prepare(false),
  ...d.call('STOP_COPY'),
  d.change(false),
];
const paused = [
  v.stop('paused'),
  ...d.call('RUNNING_P2P'),
  d.prepare(false, 'paused'),
  ...d.call('STOP'),
  d.change(false, 'paused'),
];
const started = [v.start(), ...d.call('RUNNING_P2P'), d.prepare(true), ...d.call('RUNNING'), d.change(true)];
const setup = [
  d.event('notifier', { event: 'setup' }),
  ...d.call('PRE_COPY', 'RUNNING'),
  d.event('save_setup'),
];
const cleanup = [v.event('source_cleanup'), ...d.call('STOP'), d.event('save_cleanup')];
const drain = [
  d.event('save_complete_start'),
  ...d.call('STOP_COPY', 'STOP', null),
  d.event('save_complete', { errno: 0 }),
  d.event('save_config'),
];
const wholeSource = [
  ...d.open(),
  ...started.slice(0, 1),
  ...callsToRun(),
  ...setup,
  d.event('save_iterate'),
  ...stopped,
  ...drain,
  ...cleanup,
  d.event('notifier', { event: 'done' }),
];

function callsToRun() {
  return [...d.call('RUNNING_P2P'), d.prepare(true), ...d.call('RUNNING'), d.change(true)];
}

const vmNeeds = ['vm_state', 'set_state', 'set_state_result', 'vmstate_change'] as const;
const orderNeeds = [
  'notifier',
  'save_setup',
  'source_cleanup',
  'save_cleanup',
  'set_state',
  'set_state_result',
] as const;

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
      message: (refusal) => `${call(refusal)} is requested outside the first phase of a VM stop or start`,
    },
    conformant: [...d.open(), ...paused],
    violating: [
      ...d.open(),
      ...started.slice(0, 1),
      ...callsToRun(),
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
  {
    id: 'VMM-SRC-01',
    title: 'PRE_COPY is requested in the set-up of a migration',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/save-order',
    about: 'save_setup asks for PRE_COPY, after the set-up was notified and before anything is iterated.',
    causes: 'A second save_setup, or a migration that was not cleaned up.',
    needs: orderNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^CALL\.PRE_COPY\.RUNNING$/,
      message: ({ before }) => `PRE_COPY is requested while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: wholeSource,
    violating: [...wholeSource, ...d.call('PRE_COPY', 'RUNNING')],
  },
  {
    id: 'VMM-SRC-02',
    title: 'STOP_COPY for the drain is requested in the final drain',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/save-order',
    about: 'save_complete asks for STOP_COPY after the drain began and before it ended.',
    causes: 'Handlers that run in another order.',
    needs: [...orderNeeds, 'save_complete_start'],
    refusal: {
      machine: 'vmm-source',
      event: /^CALL\.STOP_COPY\.STOP$/,
      message: ({ before }) =>
        `STOP_COPY is requested for the drain while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: wholeSource,
    violating: [...wholeSource, ...d.call('STOP_COPY', 'STOP'), ...d.call('STOP')],
  },
  {
    id: 'VMM-SRC-03',
    title: 'the save handlers run in their order',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/save-order',
    about:
      'save_setup, iteration, final drain, config state: each once or as often as it may, in this order.',
    causes: 'Handlers that run twice, or after cleanup.',
    needs: orderNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^SAVE\.(?!cleanup)/,
      message: ({ events, before }) =>
        `${WORDS[events[0]!]} while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: wholeSource,
    violating: [...wholeSource, d.event('save_iterate')],
  },
  {
    id: 'VMM-SRC-04',
    title: 'a migration is cleaned up once',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/save-order',
    about:
      'save_cleanup of each device runs in the cleanup of the migration, which comes once for each attempt.',
    causes: 'An error path that cleans up twice, or not at all.',
    needs: orderNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^(CLEANUP|SAVE\.cleanup)$/,
      message: ({ events, before }) =>
        `${WORDS[events[0]!]} while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: wholeSource,
    violating: [
      ...d.open(),
      ...started,
      ...setup,
      d.event('save_cleanup'),
      ...cleanup.slice(0, 1),
      d.event('save_cleanup'),
    ],
  },
  {
    id: 'VMM-SRC-05',
    title: 'notifiers are called at their time',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/rollback',
    about:
      'SETUP begins an attempt, DONE follows the cleanup of one that succeeded, FAILED comes once, after the failure.',
    causes: 'An event that is sent for another migration mode, or twice.',
    needs: orderNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^NOTIFIER\./,
      message: ({ events, before }) =>
        `the notifier ${events.map((each) => each.slice(9)).join(' or ')} is called while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: wholeSource,
    violating: [...wholeSource, d.event('notifier', { event: 'done' })],
  },
];

const WORDS: Readonly<Record<string, string>> = {
  PREPARE: 'the first phase ends',
  CHANGE: 'the last phase ends',
  'VM.stop': 'a VM stop begins',
  'VM.start': 'a VM start begins',
  'SAVE.setup': 'save_setup ends',
  'SAVE.iterate': 'a PART section is written',
  'SAVE.drain': 'the final drain begins',
  'SAVE.drained': 'the final drain ends',
  'SAVE.config': 'the config state is written',
  'SAVE.cleanup': 'save_cleanup ends',
  CLEANUP: 'the cleanup of the migration begins',
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

const unique = (words: string[]): string => [...new Set(words)].join(' or ');

function phase(before: readonly string[]): string {
  return unique(before.map((each) => PHASES[each.split(' ')[0]!] ?? each));
}

function outgoing(before: readonly string[]): string {
  return unique(before.map((each) => ({ none: 'not begun' })[each.split(' ')[1]!] ?? each.split(' ')[1]!));
}
