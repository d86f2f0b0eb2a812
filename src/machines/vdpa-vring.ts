import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * A virtqueue of a vDPA device: whether it has addresses, is enabled, and may be processed.
 *
 * Events: `ADDR` SET_VRING_ADDR; `ENABLE.on`, `ENABLE.off` SET_VRING_ENABLE; `GO` the device got DRIVER_OK; `RESET`
 * it was reset; `WRITE.memory` the device wrote guest memory for this queue.
 */
export function vdpaVring(): Machine {
  const addr = { meta: clause('vdpa/vring-change') };
  const enable = { meta: clause('vdpa/vring-enable') };
  const go = { meta: clause('vdpa/before-driver-ok') };
  const reset = { target: 'none', meta: clause('vdpa/reset') };
  const to = <T extends object>(target: string, meta: T) => ({ target, ...meta });
  return createMachine({
    id: 'vdpa-vring',
    description: 'A virtqueue of a vDPA device.',
    initial: 'none',
    states: {
      none: {
        description: 'Not set up.',
        ...addr,
        on: {
          ADDR: to('addressed', addr),
          'ENABLE.on': to('enabled', enable),
          'ENABLE.off': enable,
          GO: to('unused', go),
          RESET: reset,
        },
      },
      addressed: {
        description: 'It has addresses.',
        ...addr,
        on: {
          ADDR: addr,
          'ENABLE.on': to('ready', enable),
          'ENABLE.off': enable,
          GO: to('waiting', go),
          RESET: reset,
        },
      },
      enabled: {
        description: 'Enabled, without addresses yet: the device must not start like this.',
        ...enable,
        on: {
          ADDR: to('ready', addr),
          'ENABLE.on': enable,
          'ENABLE.off': to('none', enable),
          RESET: reset,
        },
      },
      ready: {
        description: 'It has addresses and is enabled, and waits for DRIVER_OK.',
        ...enable,
        on: {
          ADDR: addr,
          'ENABLE.on': enable,
          'ENABLE.off': to('addressed', enable),
          GO: to('running', go),
          RESET: reset,
        },
      },
      unused: {
        description: 'The device works, and this queue was not set up.',
        ...go,
        on: { ADDR: to('waiting', addr), 'ENABLE.off': enable, GO: go, RESET: reset },
      },
      waiting: {
        description: 'The device works; this queue is not enabled.',
        ...enable,
        on: { ADDR: addr, 'ENABLE.on': to('running', enable), 'ENABLE.off': enable, GO: go, RESET: reset },
      },
      running: {
        description: 'The queue is processed.',
        ...go,
        on: {
          ADDR: addr,
          'ENABLE.on': enable,
          'ENABLE.off': to('waiting', enable),
          GO: go,
          RESET: reset,
          'WRITE.memory': go,
        },
      },
    },
  });
}
