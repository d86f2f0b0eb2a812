import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

const features = { meta: clause('vhost-user/features') };
const protocol = { meta: clause('vhost-user/protocol-features') };
const owner = { meta: clause('vhost-user/owner') };
const memory = { meta: clause('vhost-user/memory') };
const log = { meta: clause('vhost-user/log') };
const logOrder = { meta: clause('vhost-user/log-order') };
const suspended = { meta: clause('vhost-user/suspended') };

/** SET_FEATURES as the region of the log takes it. */
const acked = (withLog: string, withoutLog: string) => ({
  'ACK.protocol.log': { target: withLog, ...log },
  'ACK.plain.log': { target: withLog, ...log },
  'ACK.protocol': { target: withoutLog, ...log },
  'ACK.plain': { target: withoutLog, ...log },
});

/** Requests that need bit 30 in the offer. */
const NEED_PROTOCOL = { 'PROTOCOL.get': protocol, 'PROTOCOL.set': protocol };
/** The levels between which the rings of a device move. */
const RINGS = {
  'RINGS.stopped': { target: 'suspended', ...suspended },
  'RINGS.armed': { target: 'armed', ...suspended },
  'RINGS.started': { target: 'running', ...suspended },
};

/**
 * The session of a vhost-user connection: owner, negotiation, memory, log, and whether any ring may run.
 *
 * Events: `OWNER` SET_OWNER; `OFFER.protocol`, `OFFER.plain` GET_FEATURES with and without bit 30;
 * `ACK.protocol`, `ACK.plain`, each also with `.log`, SET_FEATURES with and without bit 30 and LOG_ALL;
 * `PROTOCOL.get`, `PROTOCOL.set` GET_ and SET_PROTOCOL_FEATURES; `ENABLE` SET_VRING_ENABLE; `MEM` a memory
 * table or region; `ADDR` SET_VRING_ADDR; `LOG` SET_LOG_BASE; `RUN`, `RUN.log` an enabled ring, without and
 * with its log flag, has what it needs to run; `RINGS.stopped`, `RINGS.armed`, `RINGS.started` what the ring
 * that is furthest is; `WRITE` the back end wrote guest memory; `MESSAGE` it sent a message of its own.
 */
export function vhostUser(): Machine {
  return createMachine({
    id: 'vhost-user',
    description: 'The session of a vhost-user connection.',
    type: 'parallel',
    states: {
      owner: {
        initial: 'unowned',
        states: {
          unowned: {
            description: 'No front end has taken the session.',
            ...owner,
            on: { OWNER: { target: 'owned', ...owner } },
          },
          owned: {
            description: 'The front end owns the session.',
            ...owner,
            on: { OWNER: owner, MEM: memory },
          },
        },
      },
      features: {
        initial: 'unknown',
        states: {
          unknown: {
            description: 'The front end has not asked which features there are.',
            ...features,
            on: {
              ...NEED_PROTOCOL,
              ENABLE: protocol,
              'OFFER.protocol': { target: 'protocol', ...features },
              'OFFER.plain': { target: 'plain', ...features },
              'ACK.protocol': { target: 'protocol', ...features },
              'ACK.protocol.log': { target: 'protocol', ...features },
              'ACK.plain': { target: 'declined', ...features },
              'ACK.plain.log': { target: 'declined', ...features },
            },
          },
          plain: {
            description: 'The back end has no protocol features.',
            ...features,
            on: {
              'OFFER.plain': features,
              'OFFER.protocol': { target: 'protocol', ...features },
              'ACK.plain': features,
              'ACK.plain.log': features,
            },
          },
          protocol: {
            description: 'The back end offers protocol features, and the front end has not declined them.',
            ...protocol,
            on: {
              ...NEED_PROTOCOL,
              ENABLE: protocol,
              'OFFER.protocol': features,
              'OFFER.plain': { target: 'plain', ...features },
              'ACK.protocol': features,
              'ACK.protocol.log': features,
              'ACK.plain': { target: 'declined', ...features },
              'ACK.plain.log': { target: 'declined', ...features },
            },
          },
          declined: {
            description: 'SET_FEATURES came without bit 30: all rings are enabled.',
            ...features,
            on: {
              ...NEED_PROTOCOL,
              'OFFER.protocol': features,
              'OFFER.plain': { target: 'plain', ...features },
              'ACK.protocol': { target: 'protocol', ...features },
              'ACK.protocol.log': { target: 'protocol', ...features },
              'ACK.plain': features,
              'ACK.plain.log': features,
            },
          },
        },
      },
      memory: {
        initial: 'none',
        states: {
          none: {
            description: 'The back end knows no guest memory.',
            ...memory,
            on: { MEM: { target: 'table', ...memory } },
          },
          table: {
            description: 'The back end has guest memory.',
            ...memory,
            on: { MEM: memory, ADDR: memory },
          },
        },
      },
      log: {
        initial: 'off',
        states: {
          off: {
            description: 'No log, and LOG_ALL is not asked for.',
            ...log,
            on: { ...acked('wanted', 'off'), LOG: { target: 'given', ...log }, RUN: logOrder },
          },
          wanted: {
            description: 'LOG_ALL without a log: no ring may run.',
            ...logOrder,
            on: { ...acked('wanted', 'off'), LOG: { target: 'on', ...log } },
          },
          given: {
            description: 'There is a log, and LOG_ALL is off.',
            ...log,
            on: { ...acked('on', 'given'), LOG: log, RUN: logOrder, 'RUN.log': logOrder },
          },
          on: {
            description: 'Writes to buffers are logged.',
            ...log,
            on: { ...acked('on', 'given'), LOG: log, RUN: logOrder, 'RUN.log': logOrder },
          },
        },
      },
      rings: {
        initial: 'suspended',
        states: {
          suspended: {
            description: 'All rings are stopped: the device is suspended.',
            ...suspended,
            on: RINGS,
          },
          armed: {
            description: 'A ring has its kick descriptor: a kick that nobody sees may have started it.',
            ...suspended,
            on: { ...RINGS, WRITE: suspended, MESSAGE: suspended },
          },
          running: {
            description: 'A ring is started.',
            ...suspended,
            on: { ...RINGS, WRITE: suspended, MESSAGE: suspended },
          },
        },
      },
    },
  });
}
