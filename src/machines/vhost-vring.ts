import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * A virtqueue of kernel vhost: whether it has a backend, what it was set up with, and its switch of the log.
 *
 * Events: `NUM.ok`, `NUM.error` SET_VRING_NUM; `BASE.ok`, `BASE.error` SET_VRING_BASE; `ADDR.plain`, `ADDR.log`
 * SET_VRING_ADDR without and with the log flag; `ASK.base` GET_VRING_BASE; `ATTACH`, `DETACH` the ring got or lost
 * its backend; `RESET` RESET_OWNER.
 */
export function vhostVring(): Machine {
  const num = { meta: clause('vhost/vring-num') };
  const base = { meta: clause('vhost/vring-base') };
  const addr = { meta: clause('vhost/vring-addr') };
  const backend = { meta: clause('vhost/backend') };
  const log = { meta: clause('vhost/log-used') };
  const owner = { meta: clause('vhost/owner') };
  return createMachine({
    id: 'vhost-vring',
    description: 'A virtqueue of kernel vhost.',
    type: 'parallel',
    states: {
      backend: {
        initial: 'detached',
        states: {
          detached: {
            description: 'The ring is not processed.',
            ...backend,
            on: {
              'NUM.ok': num,
              'NUM.error': num,
              'BASE.ok': base,
              'BASE.error': base,
              'ASK.base': base,
              ATTACH: { target: 'attached', ...backend },
              DETACH: backend,
              RESET: owner,
            },
          },
          attached: {
            description: 'The ring is processed, by kicks and by what its backend has for it.',
            ...backend,
            on: {
              'NUM.error': num,
              'BASE.error': base,
              ATTACH: backend,
              DETACH: { target: 'detached', ...backend },
              RESET: { target: 'detached', ...owner },
            },
          },
        },
      },
      size: {
        initial: 'unset',
        states: {
          unset: {
            description: 'Nobody has said how many descriptors there are.',
            ...num,
            on: { 'NUM.ok': { target: 'set', ...num }, RESET: owner },
          },
          set: {
            description: 'The number of descriptors is known.',
            ...num,
            on: { 'NUM.ok': num, ATTACH: backend, RESET: { target: 'unset', ...owner } },
          },
        },
      },
      addresses: {
        initial: 'unset',
        states: {
          unset: {
            description: 'The device does not know where the ring is.',
            ...addr,
            on: {
              'ADDR.plain': { target: 'set', ...addr },
              'ADDR.log': { target: 'set', ...addr },
              RESET: owner,
            },
          },
          set: {
            description: 'The device knows where the ring is.',
            ...addr,
            on: {
              'ADDR.plain': addr,
              'ADDR.log': addr,
              ATTACH: backend,
              RESET: { target: 'unset', ...owner },
            },
          },
        },
      },
      logging: {
        initial: 'plain',
        states: {
          plain: {
            description: 'Writes to the used part are not logged.',
            ...log,
            on: { 'ADDR.plain': log, 'ADDR.log': { target: 'logged', ...log }, RESET: owner },
          },
          logged: {
            description: 'Writes to the used part are logged, by log_guest_addr.',
            ...log,
            on: {
              'ADDR.plain': { target: 'plain', ...log },
              'ADDR.log': log,
              RESET: { target: 'plain', ...owner },
            },
          },
        },
      },
    },
  });
}
