import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

const states = { meta: clause('vhost-user/ring-states') };
const setup = { meta: clause('vhost-user/ring-setup') };
const log = { meta: clause('vhost-user/log') };

/** Started in the band or reset: from every state alike. */
const ALWAYS = {
  INBAND: { target: 'started', ...states },
  STOP: { target: 'stopped', ...states },
  'RESET.kept': states,
  'RESET.stopped': { target: 'unstarted', ...states },
};
/** What a ring takes that does not process. */
const STILL = {
  ...ALWAYS,
  NUM: setup,
  BASE: setup,
  KICK: { target: 'armed', ...states },
  KICKED: states,
};
const DISABLE = {
  'ENABLE.off': { target: 'disabled', ...states },
  'RESET.kept': { target: 'disabled', ...states },
  'RESET.stopped': { target: 'disabled', ...states },
};
const ENABLE = { 'ENABLE.on': { target: 'enabled', ...states }, AUTO: { target: 'enabled', ...states } };

/**
 * A ring of vhost-user. Processing and enabling are apart: a ring may be enabled before it starts, and a
 * started ring that is disabled is processed without side effects. Not every trace shows kicks, and
 * libvhost-user starts a ring on SET_VRING_KICK: `armed` is a ring that may have been started.
 *
 * Events: `NUM`, `BASE`, `ADDR`, `ADDR.log` SET_VRING_NUM, _BASE, and _ADDR without and with the log flag;
 * `KICK` SET_VRING_KICK; `KICKED` a kick; `INBAND` VRING_KICK; `STOP` GET_VRING_BASE; `ENABLE.on`,
 * `ENABLE.off` SET_VRING_ENABLE; `AUTO` SET_FEATURES without bit 30; `RESET.kept`, `RESET.stopped` a reset
 * that leaves the ring processing, or not; `WORK` the back end works on the ring; `EFFECT` it fills a buffer.
 */
export function vhostUserVring(): Machine {
  return createMachine({
    id: 'vhost-user-vring',
    description: 'A ring of a vhost-user back end.',
    type: 'parallel',
    states: {
      processing: {
        initial: 'unstarted',
        states: {
          unstarted: { description: 'Stopped, and never started.', ...states, on: STILL },
          armed: {
            description: 'The ring has its kick descriptor, and no kick was seen.',
            ...states,
            on: {
              ...ALWAYS,
              KICK: states,
              KICKED: { target: 'started', ...states },
              WORK: { target: 'started', ...states },
              EFFECT: { target: 'started', ...states },
            },
          },
          started: {
            description: 'The back end processes the ring.',
            ...states,
            on: { ...ALWAYS, KICK: states, KICKED: states, WORK: states, EFFECT: states },
          },
          stopped: { description: 'GET_VRING_BASE has stopped the ring.', ...states, on: STILL },
        },
      },
      enabling: {
        initial: 'disabled',
        states: {
          disabled: {
            description: 'When started, the ring is processed without side effects.',
            ...states,
            on: { ...ENABLE, ...DISABLE },
          },
          enabled: {
            description: 'When started, the ring works as it should.',
            ...states,
            on: { ...ENABLE, ...DISABLE, EFFECT: states },
          },
        },
      },
      addresses: {
        initial: 'unset',
        states: {
          unset: {
            description: 'The back end does not know where the ring is.',
            ...setup,
            on: { ADDR: { target: 'set', ...setup }, 'ADDR.log': { target: 'set', ...setup } },
          },
          set: {
            description: 'The back end knows where the ring is.',
            ...setup,
            on: { ADDR: setup, 'ADDR.log': setup, KICK: setup },
          },
        },
      },
      logging: {
        initial: 'plain',
        states: {
          plain: {
            description: 'Writes to the used ring are not logged.',
            ...log,
            on: { ADDR: log, 'ADDR.log': { target: 'logged', ...log } },
          },
          logged: {
            description: 'Writes to the used ring are logged.',
            ...log,
            on: { ADDR: { target: 'plain', ...log }, 'ADDR.log': log },
          },
        },
      },
    },
  });
}
