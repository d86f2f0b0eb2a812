import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * A device of kernel vhost: its rings, its owner, guest memory, and what it has for the dirty log.
 *
 * Events: `OWNER.ok`, `OWNER.error` SET_OWNER; `OWNER.reset` RESET_OWNER; `ASK.ok` a request that needs an owner
 * has succeeded, `ASK.denied` it gave EPERM; `MEM` SET_MEM_TABLE; `LOG.base`, `LOG.none` SET_LOG_BASE;
 * `LOG_ALL.on`, `LOG_ALL.off` SET_FEATURES with and without LOG_ALL; `RUN` a ring got its backend, `HALT` the last
 * ring that had one lost it.
 */
export function vhostDevice(): Machine {
  const owner = { meta: clause('vhost/owner') };
  const memory = { meta: clause('vhost/memory') };
  const base = { meta: clause('vhost/log-base') };
  const all = { meta: clause('vhost/log-all') };
  const backend = { meta: clause('vhost/backend') };
  return createMachine({
    id: 'vhost-device',
    description: 'A device of kernel vhost.',
    type: 'parallel',
    states: {
      rings: {
        initial: 'stopped',
        states: {
          stopped: {
            description: 'No ring has a backend: guest memory is left alone.',
            ...backend,
            on: { RUN: { target: 'running', ...backend }, HALT: backend, 'OWNER.reset': owner },
          },
          running: {
            description: 'A ring has a backend.',
            ...backend,
            on: {
              RUN: backend,
              HALT: { target: 'stopped', ...backend },
              'OWNER.reset': { target: 'stopped', ...owner },
            },
          },
        },
      },
      owner: {
        initial: 'unowned',
        states: {
          unowned: {
            description: 'Nobody owns the device.',
            ...owner,
            on: {
              'OWNER.ok': { target: 'owned', ...owner },
              'OWNER.error': owner,
              'OWNER.reset': owner,
              'ASK.denied': owner,
            },
          },
          owned: {
            description: 'The device works in the address space of its owner.',
            ...owner,
            on: {
              'OWNER.error': owner,
              'OWNER.reset': { target: 'unowned', ...owner },
              'ASK.ok': owner,
              'ASK.denied': owner,
            },
          },
        },
      },
      memory: {
        initial: 'none',
        states: {
          none: {
            description: 'The device knows no guest memory.',
            ...memory,
            on: { MEM: { target: 'table', ...memory }, 'OWNER.reset': owner },
          },
          table: {
            description: 'The device has guest memory.',
            ...memory,
            on: { MEM: memory, RUN: backend, 'OWNER.reset': { target: 'none', ...owner } },
          },
        },
      },
      base: {
        initial: 'none',
        states: {
          none: {
            description: 'There is no log.',
            ...base,
            on: { 'LOG.base': { target: 'given', ...base }, 'LOG.none': base, 'OWNER.reset': owner },
          },
          given: {
            description: 'There is a log; its size is not known here.',
            ...base,
            on: {
              'LOG.base': base,
              'LOG.none': { target: 'none', ...base },
              'OWNER.reset': { target: 'none', ...owner },
            },
          },
        },
      },
      log_all: {
        initial: 'off',
        states: {
          off: {
            description: 'Writes to buffers are not logged.',
            ...all,
            on: { 'LOG_ALL.on': { target: 'on', ...all }, 'LOG_ALL.off': all, 'OWNER.reset': owner },
          },
          on: {
            description: 'Writes to buffers are logged.',
            ...all,
            on: {
              'LOG_ALL.on': all,
              'LOG_ALL.off': { target: 'off', ...all },
              'OWNER.reset': { target: 'off', ...owner },
            },
          },
        },
      },
    },
  });
}
