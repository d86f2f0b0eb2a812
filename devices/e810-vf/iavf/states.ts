import type { ControlBlock } from './control-block.js';

/** States of the driver; the names are iavf's (`iavf_main.c`), FAILED is for a guest whose RAM is damaged. */
const DRIVER_STATES = [
  'STARTUP',
  'INIT_VERSION_CHECK',
  'INIT_GET_RESOURCES',
  'INIT_EXTENDED_CAPS',
  'INIT_CONFIG_ADAPTER',
  'DOWN',
  'RUNNING',
  'RESETTING',
  'FAILED',
] as const;

export type DriverState = (typeof DRIVER_STATES)[number];

export function stateOf({ state }: ControlBlock): DriverState {
  return DRIVER_STATES[state] ?? 'FAILED';
}

export function enterState(block: ControlBlock, state: DriverState): void {
  block.state = DRIVER_STATES.indexOf(state);
  block.stateSince = block.runs;
}
