import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * Device DMA logging: `VFIO_DEVICE_FEATURE_DMA_LOGGING_START`, `_STOP`, `_REPORT`.
 *
 * Events: `START.ok`, `START.error`, `STOP.ok`, `STOP.error`, `REPORT.ok`, `REPORT.error`, `RESET.ok`.
 * The uAPI does not say whether a reset ends logging, so `after_reset` takes everything.
 */
export function dmaLogging(): Machine {
  const start = clause('uapi/dma-start');
  const stop = clause('uapi/dma-stop');
  const report = clause('uapi/dma-report');
  const reset = clause('uapi/reset');
  const failures = {
    'START.error': { meta: start },
    'STOP.error': { meta: stop },
    'REPORT.error': { meta: report },
  };
  return createMachine({
    id: 'dma-logging',
    description: 'Logging of the pages that a device writes by DMA.',
    initial: 'off',
    states: {
      off: {
        description: 'Nothing is logged.',
        meta: start,
        on: { ...failures, 'START.ok': { target: 'on', meta: start }, 'RESET.ok': { meta: reset } },
      },
      on: {
        description: 'The pages of the given ranges are logged.',
        meta: report,
        on: {
          ...failures,
          'STOP.ok': { target: 'off', meta: stop },
          'REPORT.ok': { meta: report },
          'RESET.ok': { target: 'after_reset', meta: reset },
        },
      },
      after_reset: {
        description: 'A reset came while logging was on: the driver decides.',
        meta: reset,
        on: {
          ...failures,
          'START.ok': { target: 'on', meta: start },
          'STOP.ok': { target: 'off', meta: stop },
          'REPORT.ok': { target: 'on', meta: report },
          'RESET.ok': { meta: reset },
        },
      },
    },
  });
}
