import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * A VMM that drives a device of kernel vhost: in which order it switches the dirty log while rings run, and how it
 * starts and stops the device.
 *
 * Events: `LOG.base`, `LOG.none` SET_LOG_BASE; `LOG_ALL.on`, `LOG_ALL.off` SET_FEATURES with and without LOG_ALL;
 * `RUN`, `RUN.log` a ring runs now, without and with its log flag; `FLAG.on`, `FLAG.off` the log flag of a ring that
 * runs was switched; `START.begin`, `START.end`, `STOP.begin`, `STOP.end` the VMM
 * starts or stops the device; `RESET` RESET_OWNER.
 */
export function vhostVmm(): Machine {
  const start = { meta: clause('vhost/log-start') };
  const stop = { meta: clause('vhost/log-stop') };
  const device = { meta: clause('vhost/start') };
  const reset = { target: 'off', meta: clause('vhost/owner') };
  return createMachine({
    id: 'vhost-vmm',
    description: 'A VMM that drives kernel vhost and its dirty log.',
    type: 'parallel',
    states: {
      log: {
        initial: 'off',
        states: {
          off: {
            description: 'No log, and LOG_ALL is off.',
            ...start,
            on: {
              'LOG.base': { target: 'given', ...start },
              'LOG.none': start,
              'LOG_ALL.on': { target: 'wanted', ...start },
              'LOG_ALL.off': stop,
              RUN: start,
              'FLAG.off': stop,
              RESET: reset,
            },
          },
          wanted: {
            description: 'LOG_ALL without a log: no ring may run.',
            ...start,
            on: {
              'LOG.base': { target: 'on', ...start },
              'LOG.none': start,
              'LOG_ALL.on': start,
              'LOG_ALL.off': { target: 'off', ...stop },
              RESET: reset,
            },
          },
          given: {
            description: 'There is a log, and LOG_ALL is off.',
            ...start,
            on: {
              'LOG.base': start,
              'LOG.none': { target: 'off', ...stop },
              'LOG_ALL.on': { target: 'on', ...start },
              'LOG_ALL.off': stop,
              RUN: start,
              'RUN.log': start,
              'FLAG.off': stop,
              RESET: reset,
            },
          },
          on: {
            description: 'There is a log, and buffers are logged.',
            ...start,
            on: {
              'LOG.base': start,
              'LOG.none': { target: 'wanted', ...stop },
              'LOG_ALL.on': start,
              'LOG_ALL.off': { target: 'given', ...stop },
              RUN: start,
              'RUN.log': start,
              'FLAG.on': start,
              RESET: reset,
            },
          },
        },
      },
      device: {
        initial: 'stopped',
        states: {
          stopped: {
            description: 'The device is not started.',
            ...device,
            on: {
              'START.begin': { target: 'starting', ...device },
              'START.end': { target: 'started', ...device },
              'STOP.begin': { target: 'stopping', ...device },
              'STOP.end': device,
            },
          },
          starting: {
            description: 'Features, memory and rings are being set up.',
            ...device,
            on: {
              'START.begin': device,
              'START.end': { target: 'started', ...device },
              'STOP.begin': { target: 'stopping', ...device },
              'STOP.end': { target: 'stopped', ...device },
            },
          },
          started: {
            description: 'The device was started.',
            ...device,
            on: {
              'START.begin': { target: 'starting', ...device },
              'START.end': device,
              'STOP.begin': { target: 'stopping', ...device },
              'STOP.end': { target: 'stopped', ...device },
            },
          },
          stopping: {
            description: 'The rings are being taken down.',
            ...device,
            on: {
              'START.begin': { target: 'starting', ...device },
              'START.end': { target: 'started', ...device },
              'STOP.begin': device,
              'STOP.end': { target: 'stopped', ...device },
            },
          },
        },
      },
    },
  });
}
