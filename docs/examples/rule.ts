import { device } from '../../src/rules/example.js';
import type { Rule } from '../../src/rules/rule.js';

const d = device();

/** After a failure the state is one of several: who goes on should know which. */
export const lookAfterFailure: Rule = {
  id: 'EXAMPLE-01',
  title: 'the state is looked at after a failed request',
  party: 'vmm',
  level: 'note',
  clause: 'uapi/set-failed',
  about:
    'A failed request leaves the device where it was or on the way. Before the next request the VMM asks for the state, or resets the device.',
  causes: 'The VMM goes on from the state that it believes in.',
  needs: ['set_state', 'set_state_result', 'get_state'],
  device: (_view, scope) => {
    let failed = false;
    const known = () => {
      if (failed) scope.check();
      failed = false;
    };
    return {
      set_state_result: ({ errno = 0 }) => {
        failed = errno !== 0;
      },
      get_state: known,
      reset: known,
      set_state: (event) => {
        if (!failed) return;
        scope.check();
        scope.fail(event, `${event.state} is requested, and nobody has asked where the last request ended`, [
          'GET of MIG_DEVICE_STATE',
          'VFIO_DEVICE_RESET',
        ]);
      },
    };
  },
  conformant: [
    ...d.open(),
    ...d.fail('PRE_COPY', 'RUNNING', 'EBUSY'),
    d.get('RUNNING'),
    ...d.set('PRE_COPY', true),
  ],
  violating: [
    ...d.open(),
    d.get('RUNNING'),
    ...d.fail('PRE_COPY', 'RUNNING', 'EBUSY'),
    ...d.set('PRE_COPY', true),
  ],
};
