import { hasSession, isRunning, requestedPath } from '../machines/vfio-arcs.js';
import type { EventOf } from '../trace/event.js';
import { errnoName } from '../uapi/errno.js';
import type { MigState } from '../uapi/vfio.js';
import { blame } from './errors.js';
import { device } from './example.js';
import type { DeviceView, Rule, Scope, Watch } from './rule.js';

const d = device();
const needs = ['set_state', 'set_state_result'] as const;

/** An answer to a request that the device has a way for, other than an error of a moment. */
interface Answer {
  readonly event: EventOf<'set_state_result'>;
  readonly asked: MigState;
  readonly before: MigState;
  /** 0 for success. */
  readonly errno: number;
}

/** Judges answers; `anew` when the device was opened or reset. */
function onAnswer(view: DeviceView, judge: (answer: Answer) => void, anew: Watch): Watch {
  let asked: MigState | null = null;
  return {
    ...anew,
    set_state: ({ state }) => {
      asked = typeof state === 'string' ? state : null;
    },
    set_state_result: (event) => {
      const before = view.before();
      const wanted = asked;
      asked = null;
      const { errno } = event;
      if (wanted === null || before === null || errno === undefined || blame(errno) === 'moment') return;
      if (view.capabilities().some((caps) => requestedPath(before, wanted, caps) === null)) return;
      judge({ event, asked: wanted, before, errno });
    },
  };
}

const save = [...d.set('STOP_COPY', true), ...d.set('STOP')];

/**
 * Looks for requests that fail though nothing but a session lies behind the device.
 * @param who whose errors: those of the driver, or of the hardware
 */
function onWayBack(view: DeviceView, scope: Scope, who: 'driver' | 'hardware'): Watch {
  let loaded = false;
  const anew = () => {
    loaded = false;
  };
  return onAnswer(
    view,
    ({ event, asked, before, errno }) => {
      const back = (asked === 'RUNNING' || asked === 'RUNNING_P2P') && before !== asked;
      if (back && before !== 'RUNNING' && before !== 'RESUMING' && !loaded) {
        scope.check();
        if (errno && blame(errno) === who)
          scope.fail(event, `the way back from ${before} to ${asked} fails with ${errnoName(errno)}`, [
            'success',
          ]);
      }
      const now = view.state();
      loaded = now === 'RESUMING' || before === 'RESUMING' || (loaded && now !== null && !isRunning(now));
    },
    { device_open: anew, reset: anew },
  );
}

function onFurtherSession(view: DeviceView, scope: Scope, who: 'driver' | 'hardware'): Watch {
  let had = false;
  return onAnswer(
    view,
    ({ event, asked, before, errno }) => {
      if (!hasSession(asked) || hasSession(before)) return;
      if (had) {
        scope.check();
        if (errno && blame(errno) === who)
          scope.fail(
            event,
            `${asked} fails with ${errnoName(errno)} in ${before}, and the device has had a session before`,
            ['a new session'],
          );
      }
      had ||= errno === 0;
    },
    {
      device_open: () => {
        had = false;
      },
    },
  );
}

/** What a device can still do after a session has ended. */
export const AFTER_SESSION_RULES: readonly Rule[] = [
  {
    id: 'VFIO-FSM-14',
    title: 'a device that was stopped or saved can run again',
    party: 'driver',
    level: 'should',
    clause: 'driver/undo',
    about:
      'As long as nothing was loaded the way back to RUNNING works: a migration that is cancelled, or fails on the destination, takes it.',
    causes:
      'The arc from STOP loads a state, whether there was a RESUMING before it or not; the file it loads from is not there.',
    needs,
    device: (view, scope) => onWayBack(view, scope, 'driver'),
    conformant: [...d.open(), ...save, ...d.set('RUNNING')],
    violating: [...d.open(), ...save, ...d.fail('RUNNING', 'ERROR', 'EFAULT')],
  },
  {
    id: 'VFIO-SES-18',
    title: 'a session can begin after another one has ended',
    party: 'driver',
    level: 'should',
    clause: 'driver/undo',
    about:
      'A migration that is tried again finds the device as the first attempt found it: after a session has ended, by its states or by a reset, the next one begins.',
    causes:
      'Tracking that was not ended with PRE_COPY, a list that the first save has used up, a file of the last session that is still attached.',
    needs,
    device: (view, scope) => onFurtherSession(view, scope, 'driver'),
    conformant: [...d.open(), ...save, ...d.set('RUNNING'), ...d.set('PRE_COPY', true)],
    violating: [...d.open(), ...save, ...d.fail('STOP_COPY', 'STOP', 'EINVAL')],
  },
  {
    id: 'VFIO-FSM-15',
    title: 'the hardware goes on after a session',
    party: 'driver',
    level: 'note',
    clause: 'driver/undo',
    about:
      'As VFIO-FSM-14 and VFIO-SES-18, for errors such as EIO. Hardware may fail at any time; a device that says so after each first session has another reason.',
    causes:
      'The driver has nothing left to save and calls it EIO, or a firmware command that does not fit the state.',
    needs,
    device: (view, scope) =>
      joined(onWayBack(view, scope, 'hardware'), onFurtherSession(view, scope, 'hardware')),
    conformant: [...d.open(), ...save, ...d.set('RUNNING'), ...d.set('PRE_COPY', true)],
    violating: [...d.open(), ...save, ...d.fail('STOP_COPY', 'STOP', 'EIO')],
  },
];

/** Two watches as one. */
function joined(...watches: Watch[]): Watch {
  const both: Record<string, (event: never) => void> = {};
  for (const kind of new Set(watches.flatMap((watch) => Object.keys(watch))) as Set<keyof Watch>)
    both[kind] = (event) => {
      for (const watch of watches) (watch[kind] as ((event: never) => void) | undefined)?.(event);
    };
  return both;
}
