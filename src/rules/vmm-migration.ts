import { isRunning } from '../machines/vfio-arcs.js';
import type { EventOf } from '../trace/event.js';
import { device, vmm } from './example.js';
import { begin, cancelled, stop, whole } from './migration-example.js';
import type { Rule } from './rule.js';

const d = device();
const v = vmm();
const dst = vmm('destination');
const dstDevice = device('vf0', 'destination');

/** A migration as a whole: status, roles, rollback, completion. */
export const VMM_MIGRATION_RULES: readonly Rule[] = [
  {
    id: 'VMM-MIG-01',
    title: 'the VM never runs on two hosts',
    party: 'vmm',
    level: 'must',
    clause: 'migration/one-vm',
    about:
      'The destination runs the VM only while the source does not. Overlaps below one second are put down to the clocks of the hosts.',
    causes: 'A source that resumes after a failure which the destination did not see.',
    needs: ['run_state', 'source_setup', 'destination_setup'],
    trace: (scope) => {
      const hosts = new Map<string, Runs>();
      const of = (host: string) =>
        hosts.get(host) ?? hosts.set(host, { role: null, since: null, runs: [] }).get(host)!;
      return {
        source_setup: ({ host }) => {
          of(host).role = 'source';
        },
        destination_setup: ({ host }) => {
          of(host).role ??= 'destination';
        },
        run_state: (event) => {
          const runs = of(event.host);
          if (event.t === undefined) return;
          if (event.to === 'running') runs.since = event;
          else if (runs.since) {
            runs.runs.push({ from: runs.since, until: event.t });
            runs.since = null;
          }
        },
        end: () => {
          for (const each of hosts.values())
            if (each.since) each.runs.push({ from: each.since, until: Number.POSITIVE_INFINITY });
          const sources = [...hosts.values()]
            .filter((each) => each.role === 'source')
            .flatMap((each) => each.runs);
          const destinations = [...hosts.values()]
            .filter((each) => each.role === 'destination')
            .flatMap((each) => each.runs);
          if (sources.length > 0 && destinations.length > 0) scope.check();
          for (const there of destinations)
            for (const here of sources) {
              const overlap = Math.min(here.until, there.until) - Math.max(here.from.t!, there.from.t!);
              if (overlap > 1_000_000)
                scope.fail(there.from, `the VM starts here while it runs on ${here.from.host}`, [
                  'one running VM',
                ]);
            }
        },
      };
    },
    conformant: overlapExample(5_000_000),
    violating: overlapExample(30_000_000),
  },
  {
    id: 'VMM-MIG-02',
    title: 'after a failure the source and its devices run again',
    party: 'vmm',
    level: 'must',
    clause: 'migration/one-vm',
    about:
      'When a migration fails or is cancelled before the destination runs, and the VM ran before it, the source VM runs again and its devices leave the stopped and the saving states.',
    causes: 'A rollback that forgets a device, or block devices that could not be activated again.',
    needs: ['migration_status', 'set_state_result', 'vm_state', 'source_setup'],
    host: (host, scope) => {
      let live = false;
      let failed = false;
      const judge = (event: EventOf<'migration_status' | 'vm_state'>) => {
        if (!failed || !live) return;
        failed = false;
        scope.check();
        if (event.kind === 'vm_state' && event.running) return;
        for (const each of host.devices.values()) {
          const state = each.state();
          if (state !== null && state !== 'RUNNING' && state !== 'RUNNING_P2P')
            scope.fail(
              event,
              `the migration has failed and ${each.id} was left in ${state}`,
              ['RUNNING'],
              each.id,
            );
        }
      };
      return {
        source_setup: () => {
          live = host.vmRunning === true;
        },
        vm_state: judge,
        migration_status: (event) => {
          if (event.status === 'setup') judge(event);
          failed =
            event.status === 'failed' || event.status === 'cancelled'
              ? live
              : failed && event.status !== 'setup';
          if (event.status === 'completed') live = false;
        },
      };
    },
    conformant: [
      ...begin,
      ...cancelled,
      ...d.call('RUNNING'),
      v.event('source_cleanup'),
      d.event('save_cleanup'),
      v.status('cancelled'),
      v.stop('shutdown'),
      ...d.call('RUNNING_P2P'),
      d.prepare(false),
      ...d.call('STOP'),
      d.change(false),
    ],
    violating: [
      ...begin,
      ...cancelled,
      v.event('source_cleanup'),
      d.event('save_cleanup'),
      v.status('cancelled'),
      v.stop('shutdown'),
      ...d.call('PRE_COPY_P2P'),
      d.prepare(false),
      ...d.call('STOP'),
      d.change(false),
    ],
  },
  {
    id: 'VMM-MIG-03',
    title: 'completed means that every device was drained',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/completed',
    about:
      'The source reports completed only when each migratable device has been through STOP_COPY to the end of its stream in this attempt.',
    causes: 'A device whose save thread failed unseen, or that was left out of the migration.',
    needs: ['migration_status', 'source_setup', 'save_complete', 'set_state_result', 'save_setup'],
    host: (_host, scope) => {
      let open: Map<string, boolean> | null = null;
      return {
        source_setup: () => {
          open = new Map();
        },
        save_setup: ({ device: id }) => {
          open?.set(id, false);
        },
        save_complete: ({ device: id, errno }) => {
          if (!errno) open?.set(id, true);
        },
        migration_status: (event) => {
          if (event.status !== 'completed' || !open) return;
          scope.check();
          for (const [id, done] of open)
            if (!done)
              scope.fail(
                event,
                `the migration is completed and ${id} was never drained`,
                ['a final drain'],
                id,
              );
          open = null;
        },
      };
    },
    conformant: whole,
    violating: [
      ...whole,
      v.status('setup'),
      d.event('notifier', { event: 'setup' }),
      v.event('source_setup'),
      d.event('save_setup'),
      v.status('active'),
      v.status('completed'),
    ],
  },
  {
    id: 'VMM-MIG-04',
    title: 'post-copy is refused with VFIO devices',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/postcopy',
    about:
      'A VM with migratable VFIO devices does not switch to post-copy: their state cannot follow on demand.',
    causes: 'A device that is not registered as a saver.',
    needs: ['migration_status', 'set_state_result'],
    host: (host, scope) => ({
      migration_status: (event) => {
        if (![...host.devices.values()].some((each) => each.state() !== null)) return;
        scope.check();
        if (event.status.startsWith('postcopy'))
          scope.fail(event, `the migration status is ${event.status} with VFIO devices in the VM`);
      },
    }),
    conformant: whole,
    violating: [...begin, v.status('postcopy-active')],
  },
  {
    id: 'VMM-MIG-07',
    title: 'a rollback goes through the P2P state while the VM is stopped',
    party: 'vmm',
    level: 'should',
    clause: 'uapi/p2p',
    about:
      'A device that is taken back after a failed switchover goes to RUNNING_P2P first, and runs only when the VM does. Straight to RUNNING, it works on guest memory while the vCPUs are stopped, and other devices may not be ready for its peer-to-peer DMA.',
    causes: 'QEMU 11.1 calls the FAILED notifier, which asks for RUNNING, before it starts the VM.',
    needs: ['vm_state', 'set_state', 'set_state_result'],
    device: (view, scope) => ({
      set_state_result: (event) => {
        const before = view.before();
        if (event.state !== 'RUNNING' || event.errno || before === null || isRunning(before)) return;
        if (view.host.vmRunning === undefined || view.capabilities().some((caps) => !caps.p2p)) return;
        scope.check();
        if (view.host.vmRunning === false)
          scope.fail(
            event,
            `the device goes from ${before} straight to RUNNING while the VM is stopped, without a P2P phase`,
            ['RUNNING_P2P', 'the start of the VM'],
          );
      },
      set_state: (event) => {
        if (event.state === 'RUNNING' && view.before() === 'RUNNING_P2P' && view.host.vmRunning)
          scope.check();
      },
    }),
    conformant: [
      ...begin,
      ...stop,
      v.status('cancelling'),
      v.start(),
      ...d.call('RUNNING_P2P'),
      d.prepare(true),
      ...d.call('RUNNING'),
      d.change(true),
    ],
    violating: [
      ...begin,
      ...stop,
      ...cancelled,
      ...d.call('RUNNING'),
      v.start(),
      ...d.call('RUNNING_P2P'),
      d.prepare(true),
      ...d.call('RUNNING'),
      d.change(true),
      v.event('source_cleanup'),
      d.event('save_cleanup'),
    ],
  },
];

interface Runs {
  role: 'source' | 'destination' | null;
  since: EventOf<'run_state'> | null;
  runs: { from: EventOf<'run_state'>; until: number }[];
}

function overlapExample(sourceStops: number) {
  return [
    v.event('source_setup', { t: 0 }),
    v.event('run_state', { from: 'prelaunch', to: 'running', t: 1 }),
    v.event('run_state', { from: 'running', to: 'finish-migrate', t: sourceStops }),
    dst.event('destination_setup', { t: 2 }),
    ...dstDevice.open(),
    dst.event('run_state', { from: 'inmigrate', to: 'running', t: 6_000_000 }),
  ];
}
