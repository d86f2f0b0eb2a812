import type { CapabilitySet } from '../machines/capabilities.js';
import { requestedPath } from '../machines/vfio-arcs.js';
import type { Case, Step } from './suite.js';

/** The case that saves the image of the device before the suite. */
export const IMAGE_CASE = 'image';

/** A save of the whole device state, from RUNNING and back. What it reads is the image. */
export function imageCase(capabilities: CapabilitySet): Case {
  const steps: Step[] = [
    {
      do: 'set',
      state: 'STOP_COPY',
      expect: ['SET.STOP_COPY.data_fd'],
      rule: 'VFIO-SES-01',
      at: 'RUNNING',
    },
    {
      do: 'read',
      fd: 0,
      size: 1 << 20,
      until: 'end',
      expect: ['READ.end'],
      rule: 'VFIO-SES-04',
      at: 'STOP_COPY',
    },
  ];
  const back = requestedPath('STOP_COPY', 'RUNNING', capabilities);
  if (back !== null)
    steps.push({
      do: 'set',
      state: 'RUNNING',
      expect: ['SET.RUNNING'],
      rule: 'VFIO-FSM-14',
      at: 'STOP_COPY',
    });
  return {
    id: IMAGE_CASE,
    title: 'the state of the device is saved, for what is written to it later',
    criterion: 'image',
    steps,
  };
}
