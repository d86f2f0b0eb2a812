import { hasSession, hasState } from '../machines/vfio-arcs.js';
import type { EventOf, TraceEvent } from '../trace/event.js';
import { DEFINED_MIGRATION_FLAGS, MIG_STATES } from '../uapi/vfio.js';
import { device } from './example.js';
import type { DeviceView, Rule, Watch } from './rule.js';

const d = device();
const needs = ['set_state_result'] as const;

/** Whether the device is known not to have a state. */
function lacks(view: DeviceView | null, state: string): boolean {
  const known = MIG_STATES.find((name) => name === state);
  if (known === undefined || view === null) return false;
  return view.capabilities().every((caps) => !hasState(known, caps));
}

/** Judges each answer to a SET, with the state that was asked for. */
function onAnswer(
  judge: (asked: string | number | undefined, event: EventOf<'set_state_result'>) => void,
): Watch {
  let asked: string | number | undefined;
  return {
    set_state: (event) => {
      asked = event.state;
    },
    set_state_result: (event) => {
      judge(asked, event);
      asked = undefined;
    },
  };
}

/** The state that a `SET.X` or `SET.X.data_fd` names. */
const target = (event: string): string => event.split('.')[1] ?? '';

/** The device FSM: what a driver may answer, and what a VMM may ask. */
export const DEVICE_FSM_RULES: readonly Rule[] = [
  {
    id: 'VFIO-FSM-01',
    title: 'a successful request leaves the device in the requested state',
    party: 'driver',
    level: 'must',
    clause: 'uapi/set',
    about: 'When SET of MIG_DEVICE_STATE returns 0, the device has fully reached the requested state.',
    causes:
      'The driver returns before an asynchronous firmware command has ended, or stops half way on a combination.',
    needs,
    device: (_view, scope) =>
      onAnswer((asked, event) => {
        if (event.errno !== 0 || event.state === undefined || asked === undefined) return;
        scope.check();
        if (event.state !== asked)
          scope.fail(event, `SET of ${asked} returned 0, but the device is in ${event.state}`, [
            String(asked),
          ]);
      }),
    conformant: [...d.open(), ...d.set('STOP')],
    violating: [
      ...d.open(),
      d.event('set_state', { state: 'STOP' }),
      d.event('set_state_result', { state: 'RUNNING_P2P', errno: 0 }),
    ],
  },
  {
    id: 'VFIO-FSM-04',
    title: 'STOP_COPY does not go back to PRE_COPY',
    party: 'driver',
    level: 'must',
    clause: 'uapi/no-precopy-again',
    about:
      'A request for PRE_COPY or PRE_COPY_P2P fails in STOP_COPY: a save that was stopped cannot run again.',
    causes: 'The driver has a next-state table of its own and does not ask vfio_mig_get_next_state().',
    needs,
    refusal: {
      machine: 'vfio-device',
      event: /^SET\.PRE_COPY/,
      in: /^STOP_COPY/,
      exercisedBy: /^(SET|FAIL)\./,
      message: ({ events }) => `the device went from STOP_COPY to ${target(events[0]!)}, which is blocked`,
    },
    conformant: [...d.open(), ...d.set('STOP_COPY', true), ...d.fail('PRE_COPY', 'STOP_COPY')],
    violating: [...d.open(), ...d.set('STOP_COPY', true), ...d.set('PRE_COPY')],
  },
  {
    id: 'VFIO-FSM-05',
    title: 'ERROR cannot be requested',
    party: 'driver',
    level: 'must',
    clause: 'uapi/error',
    about: 'A request for ERROR fails; ERROR is only ever the result of another request that failed.',
    causes: 'The driver checks the upper bound of the state only.',
    needs,
    refusal: {
      machine: 'vfio-device',
      event: /^SET\.ERROR/,
      exercisedBy: /^FAIL\.ERROR\./,
      message: () => 'a request for ERROR succeeded',
    },
    conformant: [...d.open(), ...d.fail('ERROR', 'RUNNING')],
    violating: [...d.open(), ...d.set('ERROR')],
  },
  {
    id: 'VFIO-FSM-06',
    title: 'only a reset leaves ERROR',
    party: 'driver',
    level: 'must',
    clause: 'uapi/error',
    about: 'In ERROR every request fails; VFIO_DEVICE_RESET takes the device to RUNNING.',
    causes: 'The driver does not look at its own error state before it starts an arc.',
    needs,
    refusal: {
      machine: 'vfio-device',
      event: /^SET\./,
      in: /^ERROR/,
      exercisedBy: /^(SET|FAIL|RESET)/,
      message: ({ events }) => `a request for ${target(events[0]!)} succeeded in ERROR`,
    },
    conformant: [
      ...d.open(),
      ...d.fail('STOP', 'ERROR', 'EIO'),
      ...d.fail('RUNNING', 'ERROR', 'EIO'),
      d.reset(),
    ],
    violating: [...d.open(), ...d.fail('STOP', 'ERROR', 'EIO'), ...d.set('RUNNING')],
  },
  {
    id: 'VFIO-FSM-07',
    title: 'a state that was not offered cannot be entered',
    party: 'driver',
    level: 'must',
    clause: 'uapi/optional',
    about:
      'A request for an optional state that VFIO_DEVICE_FEATURE_MIGRATION does not offer fails and changes nothing.',
    causes: 'migration_flags of the device and the arcs of its driver do not agree.',
    needs,
    refusal: {
      machine: 'vfio-device',
      event: /^SET\./,
      where: ({ events, device: view }) => lacks(view, target(events[0]!)),
      exercisedBy: /^(SET|FAIL)\.(RUNNING_P2P|PRE_COPY)/,
      message: ({ events }) => `the device entered ${target(events[0]!)}, which it does not offer`,
    },
    conformant: [...d.open(3), ...d.set('RUNNING_P2P')],
    violating: [...d.open(1), d.event('set_state_result', { state: 'RUNNING_P2P', errno: 0 })],
  },
  {
    id: 'VFIO-FSM-08',
    title: 'a state out of range is refused',
    party: 'driver',
    level: 'must',
    clause: 'uapi/optional',
    about: 'A request for a number that is no device state fails and changes nothing.',
    causes: 'The request is not checked before it is used as an index.',
    needs,
    device: (_view, scope) =>
      onAnswer((asked, event) => {
        if (typeof asked !== 'number' || event.errno === undefined) return;
        scope.check();
        if (event.errno === 0) scope.fail(event, `a request for state ${asked} succeeded`, ['EINVAL']);
      }),
    conformant: [...d.open(), ...d.fail(8, 'RUNNING')],
    violating: [...d.open(), d.event('set_state', { state: 8 }), d.event('set_state_result', { errno: 0 })],
  },
  {
    id: 'VFIO-FSM-09',
    title: 'migration flags have a defined meaning',
    party: 'driver',
    level: 'must',
    clause: 'uapi/flags',
    about:
      'The flags of VFIO_DEVICE_FEATURE_MIGRATION are STOP_COPY, alone or with P2P, with PRE_COPY, or with both.',
    causes: 'The driver sets PRE_COPY or P2P and forgets STOP_COPY.',
    needs: ['capabilities'],
    device: (_view, scope) => ({
      capabilities: (event) => {
        if (event.flags === undefined) return;
        scope.check();
        if (!DEFINED_MIGRATION_FLAGS.includes(event.flags))
          scope.fail(event, `migration flags 0x${event.flags.toString(16)} have no meaning`, [
            '0x1',
            '0x3',
            '0x5',
            '0x7',
          ]);
      },
    }),
    conformant: d.open(5),
    violating: d.open(6),
  },
  {
    id: 'VFIO-FSM-10',
    title: 'the state does not survive close and open',
    party: 'driver',
    level: 'should',
    clause: 'driver/open',
    about: 'A device that is opened anew is in RUNNING, whatever its last user left it in.',
    causes: 'The driver initialises its migration state at probe and not in open_device().',
    needs: ['set_state_result', 'device_open'],
    refusal: {
      machine: 'vfio-device',
      // A request for RESUMING that gives no data_fd is a no-op: the device is where it was left.
      event: /^(GET\..*|SET\.RESUMING)$/,
      where: ({ events, device: view }) =>
        events.includes('SET.RESUMING') ? view?.leftIn === 'RESUMING' : view?.lastMove === 'open',
      message: ({ events }) => `the device is in ${target(events[0]!)} after it was opened anew`,
    },
    conformant: [...d.open(), ...d.set('STOP'), ...d.open(), d.get('RUNNING')],
    violating: [...d.open(), ...d.set('STOP'), ...d.open(), d.get('STOP')],
  },
  {
    id: 'VFIO-FSM-11',
    title: 'a request for the current state succeeds',
    party: 'kernel',
    level: 'note',
    clause: 'core/same-state',
    about:
      'The VFIO core answers a request for the state that the device is in with success and does not change anything.',
    causes: 'A driver that treats the same state as an arc.',
    needs: ['set_state', 'set_state_result'],
    device: (view, scope) =>
      onAnswer((asked, event) => {
        if (asked === undefined || asked !== view.before() || asked === 'ERROR') return;
        scope.check();
        if (event.errno) scope.fail(event, `a request for ${asked} failed in ${asked}`, ['success']);
      }),
    conformant: [...d.open(), ...d.set('RUNNING')],
    violating: [...d.open(), ...d.fail('RUNNING', 'RUNNING')],
  },
  {
    id: 'VFIO-FSM-12',
    title: 'the VMM asks only for states that the device offers',
    party: 'vmm',
    level: 'must',
    clause: 'uapi/optional',
    about: 'Optional states are not used with SET_STATE on a device that does not offer them.',
    causes: 'The VMM does not read VFIO_DEVICE_FEATURE_MIGRATION, or keeps the flags of another device.',
    needs: ['set_state', 'capabilities'],
    device: (view, scope) => ({
      set_state: (event) => {
        if (view.capabilities().length !== 1) return;
        scope.check();
        if (lacks(view, String(event.state)))
          scope.fail(event, `${event.state} was requested, which the device does not offer`);
      },
    }),
    conformant: [...d.open(1), ...d.set('STOP')],
    violating: [...d.open(1), ...d.fail('PRE_COPY', 'RUNNING')],
  },
  {
    id: 'VFIO-FSM-13',
    title: 'a failed request is not taken for a success',
    party: 'vmm',
    level: 'must',
    clause: 'uapi/set-failed',
    about:
      'After a failed request the VMM resets the device, or asks for the old or another legal state; it does not go on as if the request had worked.',
    causes: 'The result of SET_STATE is ignored on an error path.',
    needs: ['set_state', 'set_state_result', 'data_read'],
    device: (view, scope) => {
      let asked: string | null = null;
      let failed: string | null = null;
      const used = (event: TraceEvent) => {
        if (failed !== null)
          scope.fail(event, `the data_fd of ${failed} is used, though the request for it failed`);
        failed = null;
      };
      return {
        set_state: (event) => {
          failed = null;
          asked = typeof event.state === 'string' && hasSession(event.state) ? event.state : null;
        },
        set_state_result: (event) => {
          // A failure inside a session leaves that session, and its fd, alive.
          if (event.errno && asked !== null && !view.states().some(hasSession)) {
            failed = asked;
            scope.check();
          }
          asked = null;
        },
        data_read: used,
        data_write: used,
        reset: () => {
          failed = null;
        },
      };
    },
    conformant: [
      ...d.open(),
      ...d.fail('STOP_COPY', 'STOP'),
      ...d.set('RUNNING'),
      ...d.set('PRE_COPY', true),
      d.read(4),
    ],
    violating: [...d.open(), ...d.fail('PRE_COPY', 'RUNNING'), d.read(-19)],
  },
];

/** Rules that take what more special ones of the same machine leave: they stand last in the registry. */
export const DEVICE_FSM_GENERAL: readonly Rule[] = [
  {
    id: 'VFIO-FSM-02',
    title: 'a failed request leaves the device on the path or in ERROR',
    party: 'driver',
    level: 'must',
    clause: 'uapi/set-failed',
    about:
      'After a failed request the state is the old one, one on the path of the combination, or ERROR; where no path exists nothing changes.',
    causes: 'The driver sets its state before the hardware has followed, or rolls back to a fixed state.',
    needs,
    refusal: {
      machine: 'vfio-device',
      event: /^FAIL\./,
      message: ({ events, before }) =>
        `a request for ${target(events[0]!)} failed and left the device in ${events.map((each) => each.split('.')[2]).join(' or ')}, which is not on the way from ${before.join(' or ')}`,
    },
    conformant: [...d.open(), ...d.fail('STOP_COPY', 'RUNNING_P2P', 'EIO')],
    violating: [...d.open(), ...d.fail('RUNNING_P2P', 'STOP', 'EIO')],
  },
  {
    id: 'VFIO-FSM-03',
    title: 'the state changes only by a request or a reset',
    party: 'driver',
    level: 'must',
    clause: 'uapi/async',
    about: 'GET of MIG_DEVICE_STATE shows the state that the last request or reset led to.',
    causes: 'A firmware event or a worker changes the state behind the back of user space.',
    needs: ['get_state'],
    refusal: {
      machine: 'vfio-device',
      event: /^GET\./,
      message: ({ events, before }) =>
        `the device is in ${target(events[0]!)} and nobody asked for it; it was in ${before.join(' or ')}`,
    },
    conformant: [...d.open(), ...d.set('STOP'), d.get('STOP')],
    violating: [...d.open(), ...d.set('STOP'), d.get('RUNNING')],
  },
];
