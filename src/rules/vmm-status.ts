import { isRunning } from '../machines/vfio-arcs.js';
import { device, vmm } from './example.js';
import { begin, drain, stop, whole } from './migration-example.js';
import type { Rule } from './rule.js';

const d = device();
const v = vmm();

/** The course of a migration in the VMM: status, run state, and what comes when. */
export const VMM_STATUS_RULES: readonly Rule[] = [
  {
    id: 'VMM-MIG-05',
    title: 'the migration status follows its order',
    party: 'vmm',
    level: 'should',
    clause: 'qemu/status',
    about: 'MigrationStatus changes only as QEMU 8.0 to 11.1 change it.',
    causes: 'Lines of the log are missing, or a VMM that is newer than these models.',
    needs: ['migration_status'],
    refusal: {
      machine: 'migration-status',
      event: /./,
      message: ({ events, before }) =>
        `the status becomes ${events[0]!.slice(7)} after ${before.join(' or ')}`,
    },
    conformant: [v.status('setup'), v.status('active'), v.status('device'), v.status('completed')],
    violating: [v.status('setup'), v.status('active'), v.status('device'), v.status('active')],
  },
  {
    id: 'VMM-MIG-06',
    title: 'the run state is continuous',
    party: 'vmm',
    level: 'note',
    clause: 'qemu/run-state',
    about:
      'Each change of the run state begins where the last one ended; a gap shows that lines are missing.',
    causes: 'A log that was rotated, filtered or rate limited.',
    needs: ['run_state'],
    refusal: {
      machine: 'run-state',
      event: /./,
      message: ({ events, before }) => {
        const [, from, to] = events[0]!.split('.');
        return `the run state goes from ${from} to ${to}; it was ${before.join(' or ')}`;
      },
    },
    conformant: [
      v.event('run_state', { from: 'prelaunch', to: 'running' }),
      v.event('run_state', { from: 'running', to: 'paused' }),
    ],
    violating: [
      v.event('run_state', { from: 'prelaunch', to: 'running' }),
      v.event('run_state', { from: 'paused', to: 'running' }),
    ],
  },
  {
    id: 'VMM-MIG-08',
    title: 'the final pending query comes after the VM was stopped',
    party: 'vmm',
    level: 'should',
    clause: 'qemu/save-order',
    about: 'QEMU 11.1 asks all devices once with final=1, in the switchover, when the VM is stopped.',
    causes: 'A switchover that is decided before the stop.',
    needs: ['query_pending', 'vm_state'],
    host: (host, scope) => ({
      query_pending: (event) => {
        if (!event.final || host.vmRunning === undefined) return;
        scope.check();
        if (host.vmRunning) scope.fail(event, 'the final pending query is made while the VM runs');
      },
    }),
    conformant: [...begin, ...stop, v.event('query_pending', { exact: true, final: true })],
    violating: [...begin, v.event('query_pending', { exact: true, final: true })],
  },
  {
    id: 'VMM-MIG-09',
    title: 'SWITCHOVER_START stands between iteration and the final drain',
    party: 'vmm',
    level: 'should',
    clause: 'qemu/stream',
    about: 'SWITCHOVER_START is sent after the last PART section and before the first END section.',
    causes: 'A device that is iterated during the switchover.',
    needs: ['switchover_start', 'save_complete_start', 'save_setup'],
    host: (_host, scope) => {
      let sent = false;
      let drained = false;
      return {
        source_setup: () => {
          sent = false;
          drained = false;
        },
        switchover_start: (event) => {
          if (!event.sent) return;
          sent = true;
          scope.check();
          if (drained) scope.fail(event, 'SWITCHOVER_START is sent after the final drain of a device began');
        },
        save_iterate: (event) => {
          if (sent) scope.fail(event, 'a PART section is written after SWITCHOVER_START');
        },
        save_complete_start: () => {
          drained = true;
        },
        migration_status: (event) => {
          if (event.status !== 'device' && event.status !== 'active') sent = false;
        },
      };
    },
    conformant: whole,
    violating: [
      ...begin,
      ...stop,
      v.event('switchover_start', { sent: true }),
      d.event('save_iterate'),
      ...drain.slice(1),
    ],
  },
  {
    id: 'VMM-MIG-10',
    title: 'vCPUs stop before devices, and start after they may run',
    party: 'vmm',
    level: 'note',
    clause: 'qemu/two-phase',
    about:
      'A device leaves its running states only in a VM stop: while vCPUs run, a stopped device looks dead to the guest.',
    causes: 'A tool that sets device states beside the VMM.',
    needs: ['vm_state', 'set_state_result'],
    device: (view, scope) => ({
      set_state_result: (event) => {
        const before = view.before();
        if (event.errno || !event.state || before === null || !isRunning(before) || isRunning(event.state))
          return;
        if (view.host.vmRunning === undefined || event.state === 'RESUMING') return;
        scope.check();
        if (view.host.vmRunning) scope.fail(event, `the device goes to ${event.state} while the VM runs`);
      },
    }),
    conformant: [...begin, ...stop],
    violating: [...begin, ...d.call('STOP')],
  },
];
