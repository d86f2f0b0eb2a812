import { DESCRIPTION_SCHEMA, type MachineDescription } from '../../src/document/description.js';

/** A small machine with ordinary names. */
export const LAMP: MachineDescription = {
  schema: DESCRIPTION_SCHEMA,
  machine: 'lamp',
  title: 'A lamp',
  party: 'driver',
  capabilities: ['dim'],
  states: [
    { name: 'OFF', initial: true, description: 'dark', clause: 'lamp/off' },
    { name: 'ON_DIM', initial: false, description: '', clause: '' },
    { name: 'ON', initial: false, description: 'bright -- very', clause: 'lamp/on' },
  ],
  arcs: [
    { from: 'OFF', to: 'ON_DIM', event: 'SET.ON_DIM', clause: 'lamp/on' },
    { from: 'OFF', to: 'ON_DIM', event: 'KNOB', clause: '' },
    { from: 'ON_DIM', to: 'ON', event: 'SET.ON', clause: 'lamp/on' },
    { from: 'ON', to: 'ON', event: 'GET.ON', clause: 'lamp/on' },
  ],
  paths: {
    OFF: { OFF: [], ON_DIM: ['ON_DIM'], ON: ['ON_DIM', 'ON'] },
    ON_DIM: { OFF: null, ON_DIM: [], ON: ['ON'] },
    ON: { OFF: null, ON_DIM: null, ON: [] },
  },
};

/** The same with names that no format takes as they are. */
export const ODD: MachineDescription = {
  ...LAMP,
  states: [
    { name: 'a b', initial: true, description: '<&>"\'', clause: '' },
    { name: '1st "x"', initial: false, description: '', clause: '' },
    { name: 'end', initial: false, description: '-->', clause: '' },
    { name: 'w_x41_', initial: false, description: '', clause: '' },
    { name: 'a\\', initial: false, description: '', clause: '' },
  ],
  arcs: [
    { from: 'a b', to: '1st "x"', event: 'GO: now; <#1>', clause: 'a&b' },
    { from: '1st "x"', to: 'end', event: 'E', clause: '' },
    { from: 'end', to: 'w_x41_', event: 'é', clause: '' },
    { from: 'w_x41_', to: 'a\\', event: 'F', clause: '' },
  ],
};
