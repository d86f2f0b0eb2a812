import type { Machine } from '../machines/index.js';

/**
 * A machine as the JSON that Stately's editor and `createMachine` of XState 5 take. A transition that waits for
 * another region has the guard `stateIn` with that region and state as `params`; XState has it as a function.
 */
export function machineStately(machine: Machine): string {
  const text = JSON.stringify(
    machine.config,
    (key, value: unknown) => {
      const waits =
        key === 'guard' && typeof value === 'function' ? (value as { stateValue?: unknown }) : null;
      return waits === null ? value : { type: 'stateIn', params: waits.stateValue };
    },
    2,
  );
  return `${text}\n`;
}
