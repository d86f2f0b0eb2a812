import type { EventKind } from '../trace/event.js';
import type { Refusal, Rule } from './rule.js';
import { backEnd, PROTOCOL } from './vhost-user-example.js';
import { withFacts } from './vhost-user-facts.js';

const b = backEnd();
/** The refusal surely came in such a configuration. */
const before =
  (configuration: RegExp) =>
  (refusal: Refusal): boolean =>
    refusal.before.every((each) => configuration.test(each));
const BEGIN = /^(BEGIN|REFUSED)\./;
/** What has to be visible besides, when a request is told in full. */
const unlessMessage =
  (...kinds: EventKind[]) =>
  ({ trace }: Refusal): EventKind[] =>
    trace.kind === 'vhost_message' ? [] : kinds;
const transferred = [...b.started(), b.stop(), b.stateFd('save'), b.stateEnd(), b.check()];
const inflight = (set: boolean) => b.event('vhost_inflight', { set, queues: 1, queueSize: 256 });
const INFLIGHT = b.started([...PROTOCOL, 'INFLIGHT_SHMFD']);
const PAGEFAULT = b.started([...PROTOCOL, 'PAGEFAULT']);

/** Transfers of device state, post-copy, in-flight records, configuration, and the loss of a back end. */
export const VHOST_USER_STATE_RULES: readonly Rule[] = [
  {
    id: 'VHOST-USR-60',
    title: 'one transfer of device state at a time',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/device-state',
    about: 'SET_DEVICE_STATE_FD begins a transfer only when the last one has ended and was checked.',
    causes: 'A migration is tried again without finishing or stopping what the last one began.',
    needs: [],
    refusal: {
      machine: 'vhost-user-transfer',
      event: BEGIN,
      where: before(/ (saving|saved|loading|loaded)$/),
      // Rings that start end a transfer.
      alsoNeeds: unlessMessage('vhost_state_check', 'vring_kick_fd'),
      message: () => 'SET_DEVICE_STATE_FD while another transfer is under way',
    },
    conformant: [...transferred, b.stateFd('save'), b.stateEnd(), b.check()],
    violating: [...b.started(), b.stop(), b.stateFd('save'), b.stateFd('save'), b.stateEnd(), b.check()],
  },
  {
    id: 'VHOST-USR-61',
    title: 'device state is transferred while all rings are stopped',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/device-state',
    about:
      'SET_DEVICE_STATE_FD comes only when every ring is stopped: the state of a running device changes under the transfer.',
    causes: 'The front end disables the rings, which does not stop them.',
    needs: ['vhost_state_fd', 'vring_base_read', 'vring_kick_fd'],
    refusal: {
      machine: 'vhost-user-transfer',
      event: BEGIN,
      where: before(/^started /),
      message: () => 'SET_DEVICE_STATE_FD while a ring is started',
    },
    conformant: [...b.started(), b.kick(), b.stop(), b.stateFd('save'), b.stateEnd(), b.check()],
    violating: [...b.started(), b.kick(), b.stateFd('save'), b.stop(), b.check()],
  },
  {
    id: 'VHOST-USR-62',
    title: 'device state is transferred before rings can start',
    party: 'vmm',
    level: 'should',
    clause: 'vhost-user/device-state',
    about:
      'A ring that has its kick descriptor may be started by any kick, and libvhost-user counts it as started: before SET_DEVICE_STATE_FD it is stopped by GET_VRING_BASE, or has no descriptor yet.',
    causes: 'The front end sets the rings up first, or leaves one of them out when it stops.',
    needs: [],
    refusal: {
      machine: 'vhost-user-transfer',
      event: BEGIN,
      alsoNeeds: (refusal) =>
        unlessMessage(
          'vring_base_read',
          'vring_kick_fd',
          ...(before(/ (idle|aborted|failed)$/)(refusal) ? [] : (['vhost_state_check'] as const)),
        )(refusal),
      message: () => 'SET_DEVICE_STATE_FD while a ring has its kick descriptor',
    },
    conformant: transferred,
    violating: [...b.started(), b.stateFd('save'), b.stop(), b.stateEnd(), b.check()],
  },
  {
    id: 'VHOST-USR-63',
    title: 'CHECK_DEVICE_STATE follows a transfer',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/device-state',
    about: 'CHECK_DEVICE_STATE asks for the result of a transfer: there is none before SET_DEVICE_STATE_FD.',
    causes: 'The front end checks a transfer that was refused, or that ended when the rings were started.',
    needs: [],
    refusal: {
      machine: 'vhost-user-transfer',
      event: /^CHECK\./,
      where: before(/ (idle|aborted|failed)$/),
      // Rings that start end a transfer, and stop before the next one.
      alsoNeeds: (refusal) =>
        unlessMessage(
          'vhost_state_fd',
          ...(before(/ (idle|failed)$/)(refusal) ? [] : (['vring_base_read'] as const)),
        )(refusal),
      message: () => 'CHECK_DEVICE_STATE, and no transfer was begun',
    },
    conformant: transferred,
    violating: [...transferred, b.check()],
  },
  {
    id: 'VHOST-USR-64',
    title: 'CHECK_DEVICE_STATE follows the end of the data',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/device-state',
    about:
      'A saving front end reads to the end of file, a loading one writes all and closes the descriptor, before CHECK_DEVICE_STATE: what was not transferred cannot be checked.',
    causes: 'The front end stops at an empty read, or checks before it closes its end.',
    needs: ['vhost_state_end'],
    refusal: {
      machine: 'vhost-user-transfer',
      event: /^CHECK\./,
      message: () => 'CHECK_DEVICE_STATE before the end of the data',
    },
    conformant: transferred,
    violating: [...b.started(), b.stop(), b.stateFd('save'), b.check(), b.stateEnd()],
  },
  {
    id: 'VHOST-USR-65',
    title: 'rings do not start on a state that could not be loaded',
    party: 'vmm',
    level: 'should',
    clause: 'vhost-user/device-state',
    about:
      'When CHECK_DEVICE_STATE says that loading failed, the device is not started: the migration has failed.',
    causes: 'The front end does not look at the result.',
    needs: ['vhost_state_fd', 'vhost_state_check'],
    refusal: {
      machine: 'vhost-user-transfer',
      event: /^RINGS\./,
      exercisedBy: /^CHECK\./,
      message: () => 'a ring may start, and the back end could not load its state',
    },
    conformant: [...b.offer(), b.stateFd('load'), b.stateEnd(), b.check(), ...b.ring(0)],
    violating: [...b.offer(), b.table(), b.stateFd('load'), b.stateEnd(), b.check(5), ...b.ring(0)],
  },
  {
    id: 'VHOST-USR-66',
    title: 'a refused transfer returns no descriptor',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/device-state',
    about:
      'The reply to SET_DEVICE_STATE_FD carries an error, or a descriptor in place of that of the front end, and never both.',
    causes: 'The reply is filled in before the back end knows whether it can.',
    needs: ['vhost_message', 'vhost_state_fd'],
    device: (view, scope) => {
      let descriptors: number | undefined;
      return withFacts(view, () => ({
        vhost_message: (event) => {
          const answer = event.from === 'back_end' && event.reply && event.request === 'SET_DEVICE_STATE_FD';
          descriptors = answer ? event.fds : undefined;
        },
        vhost_state_fd: (event) => {
          if (descriptors === undefined || event.errno === undefined) return;
          scope.check();
          if (event.errno !== 0 && descriptors > 0)
            scope.fail(event, 'the reply to SET_DEVICE_STATE_FD has an error and a descriptor');
          descriptors = undefined;
        },
      }));
    },
    conformant: [
      ...b.started(),
      b.stop(),
      b.asks('SET_DEVICE_STATE_FD'),
      b.answers('SET_DEVICE_STATE_FD', { fds: 1 }),
      b.stateFd('save'),
    ],
    violating: [
      ...b.started(),
      b.stop(),
      b.asks('SET_DEVICE_STATE_FD'),
      b.answers('SET_DEVICE_STATE_FD', { fds: 1 }),
      b.stateFd('save', 5),
    ],
  },
  {
    id: 'VHOST-USR-70',
    title: 'POSTCOPY_LISTEN follows POSTCOPY_ADVISE',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/postcopy',
    about:
      'POSTCOPY_LISTEN registers memory with the userfaultfd that the reply to POSTCOPY_ADVISE has brought.',
    causes: 'A device that was added or reconnected after the advice is not told.',
    needs: [],
    refusal: {
      machine: 'vhost-user-postcopy',
      event: /^LISTEN$/,
      message: () => 'POSTCOPY_LISTEN without POSTCOPY_ADVISE',
    },
    conformant: [...PAGEFAULT, b.postcopy('advise'), b.postcopy('listen'), b.postcopy('end')],
    violating: [...PAGEFAULT, b.postcopy('listen')],
  },
  {
    id: 'VHOST-USR-71',
    title: 'POSTCOPY_END follows POSTCOPY_LISTEN',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/postcopy',
    about: 'POSTCOPY_END ends what POSTCOPY_LISTEN began, once.',
    causes: 'The end of every incoming migration is told, whether post-copy was used or not.',
    needs: [],
    refusal: {
      machine: 'vhost-user-postcopy',
      event: /^END$/,
      message: () => 'POSTCOPY_END without POSTCOPY_LISTEN',
    },
    conformant: [...PAGEFAULT, b.postcopy('advise'), b.postcopy('listen'), b.postcopy('end')],
    violating: [...PAGEFAULT, b.postcopy('advise'), b.postcopy('end')],
  },
  {
    id: 'VHOST-USR-72',
    title: 'POSTCOPY_ADVISE while post-copy runs',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/postcopy',
    about:
      'POSTCOPY_ADVISE stands before POSTCOPY_LISTEN; a second userfaultfd while faults are being answered has no meaning.',
    causes: 'A retried migration did not end the last one.',
    needs: [],
    refusal: {
      machine: 'vhost-user-postcopy',
      event: /^ADVISE$/,
      message: () => 'POSTCOPY_ADVISE after POSTCOPY_LISTEN',
    },
    conformant: [...PAGEFAULT, b.postcopy('advise')],
    violating: [...PAGEFAULT, b.postcopy('advise'), b.postcopy('listen'), b.postcopy('advise')],
  },
  {
    id: 'VHOST-USR-73',
    title: 'the record of requests in flight comes from the back end',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/inflight',
    about:
      'SET_INFLIGHT_FD gives a region back that GET_INFLIGHT_FD of this device, or of the source of the migration, has created.',
    causes: 'The front end makes the region itself: its layout is known to the back end alone.',
    needs: ['vhost_inflight', 'vhost_open'],
    device: (view, scope) => {
      let got = false;
      return withFacts(view, (facts) => ({
        vhost_inflight: (event) => {
          if (event.errno) return;
          if (!event.set) got = true;
          else if (facts.opened) {
            scope.check();
            // Another host in the trace may have had it first.
            if (!got && view.host.status === undefined)
              scope.fail(event, 'SET_INFLIGHT_FD, and nobody has asked for the region');
          }
        },
      }));
    },
    conformant: [...INFLIGHT, inflight(false), inflight(true)],
    violating: [...INFLIGHT, inflight(true)],
  },
  {
    id: 'VHOST-USR-74',
    title: 'the migration flag of SET_CONFIG is for stopped devices',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/config',
    about:
      'SET_CONFIG with the flag of migration puts the configuration of the source into place, fields included that are read-only for a driver. That is done before the device runs.',
    causes: 'The flag is set on a write that the guest has asked for.',
    needs: ['vhost_config', 'vring_kick_fd', 'vring_base_read'],
    device: (view, scope) => {
      const running = new Set<number>();
      const anew = () => running.clear();
      return withFacts(view, () => ({
        vhost_open: anew,
        vhost_close: anew,
        vring_kick_fd: ({ index }) => running.add(index),
        vring_base_read: ({ index }) => running.delete(index),
        vhost_config: (event) => {
          if (!event.write || event.migration === undefined) return;
          scope.check();
          if (event.migration && running.size > 0)
            scope.fail(event, 'SET_CONFIG with the flag of migration while a ring runs');
        },
      }));
    },
    conformant: [
      ...b.started([...PROTOCOL, 'CONFIG']),
      b.event('vhost_config', { write: true, migration: false }),
      b.stop(),
    ],
    violating: [
      ...b.started([...PROTOCOL, 'CONFIG']),
      b.event('vhost_config', { write: true, migration: true }),
      b.stop(),
    ],
  },
  {
    id: 'VHOST-USR-75',
    title: 'a back end was lost during a migration',
    party: 'driver',
    level: 'note',
    clause: 'vhost-user/connection',
    about:
      'When the connection ends in a migration, the dirty pages and the indices of its rings are lost with it: the migration fails, or goes on without them.',
    causes: 'The back end crashed or was stopped. Before QEMU 10.1 the migration did not notice.',
    needs: ['vhost_close', 'migration_status'],
    device: (view, scope) =>
      withFacts(view, () => ({
        vhost_close: (event) => {
          const { status } = view.host;
          if (status === undefined) return;
          scope.check();
          if (event.lost && UNDER_WAY.has(status))
            scope.fail(event, `the back end was lost while the migration was ${status}`);
        },
      })),
    conformant: [
      { kind: 'migration_status', host: 'source', status: 'completed' },
      ...b.started(),
      b.event('vhost_close', { lost: true }),
    ],
    violating: [
      { kind: 'migration_status', host: 'source', status: 'active' },
      ...b.started(),
      b.event('vhost_close', { lost: true }),
    ],
  },
];

/** Statuses of a source whose migration is under way. */
const UNDER_WAY: ReadonlySet<string> = new Set(['setup', 'active', 'pre-switchover', 'device']);
