import type { TraceEvent } from '../trace/event.js';
import { errnoName } from '../uapi/errno.js';
import { device, vmm } from './example.js';
import type { Rule } from './rule.js';

const d = device();
const dst = device('vf0', 'destination');
const source = vmm();
const destination = vmm('destination');

/** RESUMING: what becomes of the data that was read elsewhere and written here. */
export const RESUMING_RULES: readonly Rule[] = [
  {
    id: 'VFIO-SES-07',
    title: 'the destination gets every byte that the source gave',
    party: 'vmm',
    level: 'must',
    clause: 'uapi/data-fd',
    about:
      'In a migration that completed on both hosts, the bytes written on the destination are as many as were read on the source.',
    causes: 'A record of the stream is dropped or repeated between the two VMMs.',
    needs: ['data_read', 'data_write', 'migration_status', 'destination_setup'],
    trace: (scope) => {
      const attempts = new Map<string, Attempt>();
      const of = (host: string) => attempts.get(host) ?? attempts.set(host, newAttempt()).get(host)!;
      return {
        migration_status: (event) => {
          const attempt = of(event.host);
          if (event.status === 'setup') attempts.set(event.host, { ...newAttempt(), last: event });
          if (event.status === 'completed') Object.assign(attempt, { completed: true, last: event });
        },
        source_setup: ({ host }) => {
          of(host).source = true;
        },
        destination_setup: ({ host }) => {
          of(host).destination = true;
        },
        save_complete_start: ({ host, multifd }) => {
          if (multifd) of(host).hidden = true;
        },
        load_thread_start: ({ host }) => {
          of(host).hidden = true;
        },
        data_read: ({ host, result }) => {
          if (result > 0) of(host).read += result;
        },
        data_write: ({ host, result }) => {
          if (result > 0) of(host).written += result;
        },
        end: () => {
          const done = [...attempts.values()].filter((each) => each.completed && !each.hidden);
          const from = done.filter((each) => each.source);
          const to = done.filter((each) => each.destination && !each.source);
          if (from.length !== 1 || to.length !== 1) return;
          scope.check();
          if (from[0]!.read !== to[0]!.written)
            scope.fail(
              to[0]!.last!,
              `${from[0]!.read} bytes of device state were read on the source, ${to[0]!.written} were written here`,
              [`${from[0]!.read} bytes`],
            );
        },
      };
    },
    conformant: bytesExample(8),
    violating: bytesExample(4),
  },
  {
    id: 'VFIO-SES-09',
    title: 'a RESUMING session that has failed is aborted by a reset',
    party: 'vmm',
    level: 'should',
    clause: 'uapi/resuming-abort',
    about:
      'After a write of device data was refused, the VMM resets the device and does not ask for another state.',
    causes: 'A generic error path that sets the device back to RUNNING.',
    needs: ['data_write', 'set_state', 'set_state_result'],
    device: (view, scope) => {
      let refused: number | null = null;
      const clear = () => {
        refused = null;
      };
      return {
        data_write: (event) => {
          if (event.result < 0 && view.state() === 'RESUMING') {
            refused = event.result;
            scope.check();
          }
        },
        reset: clear,
        device_open: clear,
        set_state: (event) => {
          if (refused !== null && event.state !== 'RESUMING')
            scope.fail(
              event,
              `${event.state} is requested after a write was refused with ${errnoName(refused)}`,
              ['VFIO_DEVICE_RESET'],
            );
          refused = null;
        },
      };
    },
    conformant: [...d.open(), ...d.set('RESUMING', true), d.write(-22), d.reset()],
    violating: [...d.open(), ...d.set('RESUMING', true), d.write(-22), ...d.set('RUNNING')],
  },
  {
    id: 'VFIO-SES-10',
    title: 'data that was refused is not loaded',
    party: 'driver',
    level: 'must',
    clause: 'uapi/resuming-stop',
    about:
      'When every write of a RESUMING session was refused, leaving RESUMING fails: there is no valid state to load.',
    causes: 'write() copies into the buffer before it checks, and the check at the arc only counts bytes.',
    needs: ['data_write', 'set_state_result'],
    device: (view, scope) => {
      let refused = 0;
      let taken = 0;
      const clear = () => {
        refused = 0;
        taken = 0;
      };
      return {
        reset: clear,
        device_open: clear,
        data_write: (event) => {
          if (view.state() !== 'RESUMING') return;
          if (event.result > 0) taken += event.result;
          else if (event.result < 0) refused++;
        },
        set_state_result: (event) => {
          if (view.before() !== 'RESUMING' || event.errno === undefined) return;
          if (refused > 0 && taken === 0 && view.state() === 'RESUMING' && event.errno) scope.check();
          else if (refused > 0 && taken === 0 && view.state() !== 'RESUMING') {
            scope.check();
            if (event.errno === 0)
              scope.fail(
                event,
                `RESUMING was left with success, though each of ${refused} writes was refused`,
                ['failure of the request'],
              );
          }
          if (event.errno === 0) clear();
        },
      };
    },
    conformant: [
      ...d.open(),
      ...d.set('RESUMING', true),
      d.write(-14),
      d.event('set_state_result', { state: 'RESUMING', errno: 22 }),
    ],
    violating: [
      ...d.open(),
      ...d.set('RESUMING', true),
      d.write(-14),
      d.event('set_state_result', { state: 'STOP', errno: 0 }),
    ],
  },
  {
    id: 'VFIO-SES-11',
    title: 'a RESUMING session without data is not left with success',
    party: 'driver',
    level: 'note',
    clause: 'uapi/resuming-stop',
    about:
      'RESUMING to STOP fails when the data is incomplete. A device whose state is empty may succeed, so this is a remark only.',
    causes: 'The driver does not count the bytes at the arc; several merged drivers do not.',
    needs: ['data_write', 'set_state_result'],
    device: (view, scope) => {
      let writes = 0;
      return {
        data_write: () => {
          writes++;
        },
        set_state_result: (event) => {
          if (view.before() === 'RESUMING' && event.errno === 0 && event.state !== 'RESUMING') {
            scope.check();
            if (writes === 0) scope.fail(event, 'RESUMING was left with success and nothing was written');
          }
          if (event.errno === 0) writes = 0;
        },
      };
    },
    conformant: [...d.open(), ...d.set('RESUMING', true), d.write(8), ...d.set('RUNNING')],
    violating: [
      ...d.open(),
      ...d.set('RESUMING', true),
      d.write(8),
      ...d.set('STOP'),
      ...d.set('RESUMING', true),
      ...d.set('RUNNING'),
    ],
  },
];

interface Attempt {
  read: number;
  written: number;
  source: boolean;
  destination: boolean;
  completed: boolean;
  /** Device data went over multifd channels, where no event shows it. */
  hidden: boolean;
  last: TraceEvent | undefined;
}

const newAttempt = (): Attempt => ({
  read: 0,
  written: 0,
  source: false,
  destination: false,
  completed: false,
  hidden: false,
  last: undefined,
});

function bytesExample(written: number): TraceEvent[] {
  return [
    source.status('setup'),
    source.event('source_setup'),
    ...d.open(),
    ...d.set('STOP_COPY', true),
    d.read(8),
    source.status('active'),
    source.status('completed'),
    destination.status('setup'),
    destination.event('destination_setup'),
    ...dst.open(),
    ...dst.call('RESUMING', 'RUNNING'),
    dst.write(written),
    destination.status('active'),
    destination.status('completed'),
  ];
}
