import { inPreCopy, inSavingGroup, isRunning, mayDoP2p } from '../machines/vfio-arcs.js';
import { ERRNO } from '../uapi/errno.js';
import { device, vmm } from './example.js';
import type { HostView, Rule } from './rule.js';

const d = device();
const other = device('vf1');
const v = vmm();

/** Reset, and the quiescence of several devices. */
export const RESET_RULES: readonly Rule[] = [
  {
    id: 'VFIO-RST-01',
    title: 'a reset returns the device to RUNNING',
    party: 'driver',
    level: 'must',
    clause: 'uapi/reset',
    about: 'After VFIO_DEVICE_RESET the device is in RUNNING, from whatever state it was reset.',
    causes: 'The reset is handled by a worker that has not run yet, or leaves the migration state alone.',
    needs: ['reset', 'get_state'],
    refusal: {
      machine: 'vfio-device',
      event: /^GET\./,
      where: ({ device: view }) => view?.lastMove === 'reset',
      exercisedBy: /^RESET\.ok$/,
      message: ({ events }) => `the device is in ${events[0]!.split('.')[1]} after a reset`,
    },
    conformant: [...d.open(), ...d.set('STOP_COPY', true), d.reset(), d.get('RUNNING')],
    violating: [...d.open(), ...d.set('STOP_COPY', true), d.reset(), d.get('STOP_COPY')],
  },
  {
    id: 'VFIO-RST-02',
    title: 'a device is reset between attempts',
    party: 'vmm',
    level: 'should',
    clause: 'uapi/resuming-abort',
    about:
      'A destination device that was left in RESUMING by an earlier attempt is reset before the next one. A request for RESUMING is then a no-op, returns no data_fd, and the first write fails with EBADF.',
    causes:
      'The device offers no reset, or the tool that manages the VMM gives the same device to a second attempt; the driver keeps its state over close and open.',
    needs: ['set_state', 'data_write'],
    device: (view, scope) => {
      let asked = false;
      return {
        set_state: (event) => {
          asked = event.state === 'RESUMING';
        },
        data_write: (event) => {
          if (!asked) return;
          asked = false;
          scope.check();
          if (event.result === -ERRNO.EBADF! && view.states().includes('RESUMING'))
            scope.fail(
              event,
              'RESUMING was granted without a data_fd, so the device was in RESUMING already: an earlier attempt was not undone by a reset',
              ['VFIO_DEVICE_RESET before the attempt'],
            );
        },
      };
    },
    conformant: [...d.open(), ...d.call('RESUMING', 'RUNNING'), d.write(24)],
    violating: [...d.open(), ...d.call('RESUMING', 'RUNNING'), d.write(-9)],
  },
  {
    id: 'VFIO-RST-03',
    title: 'a machine reset during a migration resets the device',
    party: 'vmm',
    level: 'note',
    clause: 'uapi/reset',
    about:
      'When the guest machine is reset, its devices are too. A device that offers no reset keeps its state, and a migration that is under way carries it on.',
    causes: 'A device without VFIO_DEVICE_RESET, or a VMM that skips the reset while it migrates.',
    needs: ['vm_reset', 'set_state_result', 'reset'],
    device: (view, scope) => ({
      reset: (event) => {
        const before = view.before();
        if (before === null || !inPreCopy(before)) return;
        scope.check();
        if (event.offered === false || view.resetOffered === false)
          scope.fail(
            event,
            `the machine is reset while the device is in ${before}, and the device offers no reset`,
          );
      },
    }),
    conformant: [...d.open(), v.event('vm_reset'), ...d.call('PRE_COPY', 'RUNNING'), d.reset()],
    violating: [
      ...d.open(),
      d.event('capabilities', { reset: false }),
      ...d.call('PRE_COPY', 'RUNNING'),
      v.event('vm_reset'),
      d.event('reset', { offered: false }),
    ],
  },
  {
    id: 'VFIO-P2P-01',
    title: 'no device stops while another may start peer-to-peer DMA',
    party: 'vmm',
    level: 'note',
    clause: 'uapi/p2p',
    about:
      'Where devices can reach each other, all are in a P2P state before one stops. Whether they can does not show in a trace.',
    causes: 'The VMM stops its devices one after another.',
    needs: ['set_state_result'],
    device: (view, scope) => ({
      set_state_result: (event) => {
        const before = view.before();
        if (event.errno || !event.state || before === null || !isRunning(before) || isRunning(event.state))
          return;
        // A destination has no running guest whose peer-to-peer DMA could be harmed.
        if (event.state === 'RESUMING') return;
        const others = peers(view.host, view.id);
        if (others.length === 0) return;
        scope.check();
        const busy = others.find((each) => mayDoP2p(each.state()!));
        if (busy)
          scope.fail(event, `${view.id} goes to ${event.state} while ${busy.id} is in ${busy.state()}`);
      },
    }),
    conformant: [
      ...both(),
      ...d.set('RUNNING_P2P'),
      ...other.set('RUNNING_P2P'),
      ...d.set('STOP'),
      ...other.set('STOP'),
    ],
    violating: [...both(), ...d.set('RUNNING_P2P'), ...d.set('STOP'), ...other.set('RUNNING_P2P')],
  },
  {
    id: 'VFIO-P2P-02',
    title: 'no device runs while another is stopped',
    party: 'vmm',
    level: 'note',
    clause: 'uapi/p2p',
    about: 'Where devices can reach each other, all are in RUNNING_P2P before one runs.',
    causes: 'A rollback that sets each device back to RUNNING at once.',
    needs: ['set_state_result'],
    device: (view, scope) => ({
      set_state_result: (event) => {
        const before = view.before();
        if (event.errno || event.state !== 'RUNNING' || before === null || before === 'RUNNING') return;
        if (inSavingGroup(before) && isRunning(before)) return;
        const others = peers(view.host, view.id);
        if (others.length === 0) return;
        scope.check();
        const stopped = others.find((each) => !isRunning(each.state()!));
        if (stopped) scope.fail(event, `${view.id} runs while ${stopped.id} is in ${stopped.state()}`);
      },
    }),
    conformant: [
      ...both(),
      ...d.set('STOP'),
      ...other.set('STOP'),
      ...d.set('RUNNING_P2P'),
      ...other.set('RUNNING_P2P'),
      ...d.set('RUNNING'),
      ...other.set('RUNNING'),
    ],
    violating: [...both(), ...d.set('STOP'), ...other.set('STOP'), ...d.set('RUNNING')],
  },
];

function both() {
  return [...d.open(), ...other.open(), d.get('RUNNING'), other.get('RUNNING')];
}

/** The other devices of a VMM whose state is known. */
function peers(host: HostView, id: string) {
  return [...host.devices.values()].filter((each) => each.id !== id && each.state() !== null);
}
