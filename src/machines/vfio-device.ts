import { MIG_STATES, type MigState } from '../uapi/vfio.js';
import type { CapabilitySet } from './capabilities.js';
import { type ClauseId, from as clause } from './clauses.js';
import { hasState, inPreCopy, inSavingGroup, opensSession, requestedPath } from './vfio-arcs.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * The device as user space sees it (the requested view), with its data transfer session beside it.
 *
 * Events:
 * - `SET.X`, `SET.X.data_fd`: a request for X succeeded, without and with a new data_fd;
 * - `FAIL.X.Y`: a request for X failed and the device is now in Y;
 * - `GET.X`: the state was asked for, and is X;
 * - `RESET.ok`, `RESET.error`;
 * - `READ.data`, `READ.end` (0 bytes), `READ.ENOMSG`, `READ.error`, `WRITE.ok`, `WRITE.error`;
 * - `PRECOPY_INFO.ok`, `.refused` (EINVAL, ENOTTY), `.error` (any other errno);
 * - `DATA_SIZE.ok`, `DATA_SIZE.error`.
 */
export type DeviceEvent = string;

const CLAUSE_OF_STATE: Record<MigState, ClauseId> = {
  ERROR: 'uapi/error',
  STOP: 'uapi/stop',
  RUNNING: 'uapi/running',
  STOP_COPY: 'uapi/stop-copy',
  RESUMING: 'uapi/resuming',
  RUNNING_P2P: 'uapi/running-p2p',
  PRE_COPY: 'uapi/pre-copy',
  PRE_COPY_P2P: 'uapi/pre-copy',
};

const WORDS: Record<MigState, string> = {
  ERROR: 'The device has failed and must be reset.',
  STOP: 'The device changes neither its internal nor any external state.',
  RUNNING: 'The device runs normally.',
  STOP_COPY: 'As STOP, and the state can be read to its end.',
  RESUMING: 'The device is stopped and takes a new state.',
  RUNNING_P2P: 'Runs, without new peer-to-peer DMA.',
  PRE_COPY: 'Runs, and data about its state can be read.',
  PRE_COPY_P2P: 'As PRE_COPY, without new peer-to-peer DMA.',
};

type Transitions = Record<string, { target?: string; meta: { clause: ClauseId } }>;

/** The states of the session region. */
export const SESSION_STATES = ['none', 'saving', 'ended', 'resuming'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** Makes the chart for a device with these capabilities. */
export function vfioDevice(caps: CapabilitySet): Machine {
  return createMachine({
    id: 'vfio-device',
    description: 'A VFIO device and its data transfer session, as user space sees them.',
    type: 'parallel',
    states: {
      device: {
        initial: 'RUNNING',
        states: Object.fromEntries(
          statesOf(caps).map((state) => [
            state,
            {
              description: WORDS[state],
              meta: clause(CLAUSE_OF_STATE[state]),
              on: deviceTransitions(state, caps),
            },
          ]),
        ),
      },
      session: {
        initial: 'none',
        states: Object.fromEntries(
          SESSION_STATES.map((state) => [
            state,
            {
              description: SESSION_WORDS[state],
              meta: clause('uapi/data-fd'),
              on: sessionTransitions(state, caps),
            },
          ]),
        ),
      },
    },
  });
}

/** The states that a device with these capabilities can be in, in the header's order. */
export function statesOf(caps: CapabilitySet): MigState[] {
  return MIG_STATES.filter((state) => hasState(state, caps));
}

function deviceTransitions(state: MigState, caps: CapabilitySet): Transitions {
  return {
    ...requests(state, caps),
    [`GET.${state}`]: { meta: clause('uapi/get') },
    'RESET.ok': { target: 'RUNNING', meta: clause('uapi/reset') },
    'RESET.error': { meta: clause('uapi/reset') },
    'DATA_SIZE.ok': { meta: clause('uapi/data-size') },
    ...(state === 'ERROR' ? { 'DATA_SIZE.error': { meta: clause('uapi/data-size') } } : {}),
    'PRECOPY_INFO.error': { meta: clause('uapi/precopy-info') },
    ...(inPreCopy(state)
      ? {
          'PRECOPY_INFO.ok': { meta: clause('uapi/precopy-info') },
          'READ.ENOMSG': { meta: clause('uapi/precopy-eof') },
        }
      : { 'PRECOPY_INFO.refused': { meta: clause('uapi/precopy-info') } }),
    ...(state === 'STOP_COPY' ? { 'READ.end': { meta: clause('uapi/precopy-eof') } } : {}),
  };
}

/** What may come of each request in this state: success with or without data_fd, or a failure. */
function requests(state: MigState, caps: CapabilitySet): Transitions {
  const result: Transitions = {};
  for (const to of MIG_STATES) {
    const path = requestedPath(state, to, caps);
    if (path !== null) {
      const name = opensSession(state, to) ? `SET.${to}.data_fd` : `SET.${to}`;
      result[name] = { target: to, meta: clause(path.length === 0 ? 'core/same-state' : setClause(path)) };
    }
    for (const at of failsIn(state, path))
      result[`FAIL.${to}.${at}`] = {
        target: at,
        meta: clause(at === 'ERROR' ? 'uapi/error' : 'uapi/set-failed'),
      };
  }
  return result;
}

const setClause = (path: MigState[]): ClauseId =>
  path.length === 1 ? CLAUSE_OF_STATE[path[0]!] : 'uapi/path';

/** Where a request may leave the device when it fails: where it was, on the way, or in ERROR. */
function failsIn(state: MigState, path: MigState[] | null): MigState[] {
  if (state === 'ERROR' || path === null || path.length === 0) return [state];
  return [...new Set<MigState>([state, ...path.slice(0, -1), 'ERROR'])];
}

const SESSION_WORDS: Record<SessionState, string> = {
  none: 'No data_fd belongs to the device; an old one gives errors.',
  saving: 'The data_fd of a save gives data.',
  ended: 'The stream was read to its permanent end.',
  resuming: 'The data_fd of a restore takes data.',
};

function sessionTransitions(session: SessionState, caps: CapabilitySet): Transitions {
  const fd = clause('uapi/data-fd');
  const result: Transitions = {
    'READ.error': { meta: fd },
    'WRITE.error': { meta: fd },
    'RESET.ok': { target: 'none', meta: clause('uapi/reset') },
    'RESET.error': { meta: clause('uapi/reset') },
  };
  for (const to of statesOf(caps)) Object.assign(result, sessionOnState(session, to));
  if (session === 'saving')
    Object.assign(result, {
      'READ.data': { meta: fd },
      'READ.ENOMSG': { meta: clause('uapi/precopy-eof') },
      'READ.end': { target: 'ended', meta: clause('uapi/precopy-eof') },
    });
  if (session === 'ended') result['READ.end'] = { meta: clause('uapi/precopy-eof') };
  if (session === 'resuming') result['WRITE.ok'] = { meta: clause('uapi/segmentation') };
  return result;
}

/** How the session takes the device's arrival in `to`, by success or by a failure on the way. */
function sessionOnState(session: SessionState, to: MigState): Transitions {
  const kept = keeps(session, to);
  const result: Transitions = {};
  for (const requested of MIG_STATES) {
    if (kept) result[`FAIL.${requested}.${to}`] = { target: kept, meta: clause('uapi/set-failed') };
  }
  if (to === 'ERROR') return result;
  if (kept) result[`SET.${to}`] = { target: kept, meta: clause('uapi/saving-group') };
  const opened = inSavingGroup(to) ? 'saving' : to === 'RESUMING' ? 'resuming' : null;
  if (opened && opened !== kept && !(opened === 'saving' && session === 'ended'))
    result[`SET.${to}.data_fd`] = { target: opened, meta: clause('uapi/data-fd') };
  return result;
}

/** The session after the device is in `to` without a new data_fd; null when that cannot be. */
function keeps(session: SessionState, to: MigState): SessionState | null {
  if (inSavingGroup(to)) return session === 'saving' || session === 'ended' ? session : null;
  if (to === 'RESUMING') return session === 'resuming' ? session : null;
  return 'none';
}
