import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

const transfer = { meta: clause('vhost-user/device-state') };

const RINGS = {
  'RINGS.stopped': { target: 'stopped', ...transfer },
  'RINGS.armed': { target: 'armed', ...transfer },
  'RINGS.started': { target: 'started', ...transfer },
};
/** Rings that start end a transfer that nobody finished. */
const ABORTED = {
  'RINGS.stopped': transfer,
  'RINGS.armed': { target: 'aborted', ...transfer },
  'RINGS.started': { target: 'aborted', ...transfer },
};
const BEGIN = {
  'BEGIN.save': { target: 'saving', ...transfer },
  'BEGIN.load': { target: 'loading', ...transfer },
  'REFUSED.save': transfer,
  'REFUSED.load': transfer,
};

/**
 * The transfer of a back end's internal state.
 *
 * Events: `BEGIN.save`, `BEGIN.load` SET_DEVICE_STATE_FD, and `REFUSED.save`, `REFUSED.load` one that failed;
 * `END` the end of the data was read or written; `CHECK.ok`, `CHECK.error` CHECK_DEVICE_STATE; `RINGS.stopped`,
 * `RINGS.armed`, `RINGS.started` what the ring that is furthest is.
 */
export function vhostUserTransfer(): Machine {
  return createMachine({
    id: 'vhost-user-transfer',
    description: 'Transfer of the internal state of a vhost-user back end.',
    type: 'parallel',
    states: {
      rings: {
        initial: 'stopped',
        states: {
          stopped: { description: 'All rings are stopped.', ...transfer, on: { ...RINGS, ...still(BEGIN) } },
          armed: {
            description: 'A ring may have been started by a kick that nobody saw.',
            ...transfer,
            on: RINGS,
          },
          started: { description: 'A ring is started.', ...transfer, on: RINGS },
        },
      },
      transfer: {
        initial: 'idle',
        states: {
          idle: {
            description: 'No transfer.',
            ...transfer,
            on: { ...still(RINGS), ...BEGIN, END: transfer },
          },
          aborted: {
            description: 'Rings could start before the transfer was checked: it counts no more.',
            ...transfer,
            on: { ...still(RINGS), ...BEGIN, END: transfer },
          },
          saving: {
            description: 'The back end writes its state.',
            ...transfer,
            on: { ...ABORTED, END: { target: 'saved', ...transfer } },
          },
          saved: {
            description: 'All of the state was read.',
            ...transfer,
            on: {
              ...ABORTED,
              END: transfer,
              'CHECK.ok': { target: 'idle', ...transfer },
              'CHECK.error': { target: 'idle', ...transfer },
            },
          },
          loading: {
            description: 'The back end reads its state.',
            ...transfer,
            on: { ...ABORTED, END: { target: 'loaded', ...transfer } },
          },
          loaded: {
            description: 'All of the state was written, and the descriptor closed.',
            ...transfer,
            on: {
              ...ABORTED,
              END: transfer,
              'CHECK.ok': { target: 'idle', ...transfer },
              'CHECK.error': { target: 'failed', ...transfer },
            },
          },
          failed: {
            description: 'The back end could not load its state: its rings must not start.',
            ...transfer,
            on: { ...BEGIN, END: transfer, 'RINGS.stopped': transfer },
          },
        },
      },
    },
  });
}

/** The same events, without a move: for a region that only allows them. */
function still(events: object): Record<string, typeof transfer> {
  return Object.fromEntries(Object.keys(events).map((event) => [event, transfer]));
}
