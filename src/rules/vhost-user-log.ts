import type { EventOf } from '../trace/event.js';
import type { Rule } from './rule.js';
import { backEnd, FEATURES, PROTOCOL } from './vhost-user-example.js';
import { onRequests, withFacts } from './vhost-user-facts.js';

const b = backEnd();
const begin = (what: 'vhost_dev_start' | 'vring_start', on: boolean) =>
  b.bare(what, what === 'vring_start' ? { index: 0, begin: on } : { begin: on });

/** The shared log, as far as messages show it. */
export const VHOST_USER_LOG_RULES: readonly Rule[] = [
  {
    id: 'VHOST-USR-50',
    title: 'the log exists before a ring runs with it',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/log-order',
    about:
      'Before an enabled ring gets its kick descriptor with LOG_ALL or its log flag on, SET_LOG_BASE has given the log: what the back end writes before that is marked nowhere, and missing in the destination.',
    causes:
      'QEMU, when a device is started while a migration is under way: SET_FEATURES with LOG_ALL and the rings come first, SET_LOG_BASE after them. The guest may kick in between.',
    needs: ['vhost_set_features', 'vring_kick_fd', 'vhost_log_base'],
    refusal: {
      machine: 'vhost-user',
      event: /^RUN/,
      message: ({ events, trace }) =>
        `ring ${'index' in trace ? `${trace.index} ` : ''}may run with ${events[0] === 'RUN.log' ? 'its log flag' : 'LOG_ALL'}, and there is no log`,
    },
    conformant: [...b.started(), b.log(), b.features(FEATURES), b.addr(0, true)],
    violating: [
      ...b.offer(),
      b.enable(0),
      b.features(FEATURES),
      b.table(),
      ...b.ring(0, { log: true }),
      b.log(),
    ],
  },
  {
    id: 'VHOST-USR-51',
    title: 'a device that starts in a migration gets the log before its rings',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/log-order',
    about:
      'The same, in a log of the VMM that names messages only: while it starts a device QEMU sends SET_LOG_BASE when logging is on, and then features and rings already carry it. No ring may have its kick descriptor by then.',
    causes:
      'QEMU starts the rings before it gives the log when a device is started while a migration is under way.',
    needs: ['vhost_message', 'vhost_dev_start'],
    device: (view, scope) => {
      let starting = false;
      let kicked: EventOf<'vhost_message'> | undefined;
      let late: EventOf<'vhost_message'> | undefined;
      return withFacts(view, () => ({
        vhost_dev_start: ({ begin: begins }) => {
          // QEMU up to 10.0 tells no end of a start: what comes then may be long after it.
          if (!begins && late)
            scope.fail(
              late,
              'SET_LOG_BASE follows SET_VRING_KICK: the rings could run before there was a log',
            );
          starting = begins;
          kicked = undefined;
          late = undefined;
        },
        vhost_message: (event) => {
          if (!starting || event.from !== 'front_end' || event.reply) return;
          if (event.request === 'SET_VRING_KICK') {
            scope.check();
            kicked ??= event;
          } else if (event.request === 'SET_LOG_BASE' && kicked) {
            late ??= event;
            kicked = undefined;
          }
        },
      }));
    },
    conformant: [
      ...b.offer(),
      begin('vhost_dev_start', true),
      b.asks('SET_FEATURES'),
      b.asks('SET_VRING_KICK'),
      begin('vhost_dev_start', false),
      b.asks('SET_LOG_BASE', { fds: 1, size: 16 }),
      b.answers('SET_LOG_BASE'),
    ],
    violating: [
      ...b.offer(),
      begin('vhost_dev_start', true),
      b.asks('SET_FEATURES'),
      b.asks('SET_VRING_KICK'),
      b.asks('SET_LOG_BASE', { fds: 1, size: 16 }),
      b.answers('SET_LOG_BASE'),
      begin('vhost_dev_start', false),
    ],
  },
  {
    id: 'VHOST-USR-52',
    title: 'a migration needs a log that can be shared',
    party: 'vmm',
    level: 'should',
    clause: 'vhost-user/log',
    about:
      'A back end in another process can mark pages only in a log that it can map: without LOG_SHMFD it is no use to ask for one. QEMU refuses to migrate then.',
    causes: 'The front end logs with every back end that offers LOG_ALL.',
    needs: ['vhost_set_protocol_features'],
    device: (view, scope) =>
      withFacts(view, (facts) =>
        onRequests((request, event) => {
          const shared = facts.hasProtocol('LOG_SHMFD');
          if (request !== 'SET_LOG_BASE' || shared === undefined) return;
          scope.check();
          if (!shared) scope.fail(event, 'SET_LOG_BASE, and LOG_SHMFD is not negotiated', ['LOG_SHMFD']);
        }),
      ),
    conformant: [...b.started(), b.log()],
    violating: [...b.started(PROTOCOL.filter((each) => each !== 'LOG_SHMFD')), b.log()],
  },
  {
    id: 'VHOST-USR-53',
    title: 'LOG_ALL without a log',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/log',
    about:
      'QEMU gives the log before it switches logging on, except for a device that is started during a migration. A back end has to bear LOG_ALL without a log for as long as no ring runs.',
    causes: 'The front end acknowledges LOG_ALL with the features of the guest.',
    needs: ['vhost_set_features', 'vhost_log_base'],
    device: (view, scope) => {
      let log = false;
      const anew = () => {
        log = false;
      };
      return withFacts(view, (facts) => ({
        vhost_open: anew,
        vhost_close: anew,
        vhost_log_base: (event) => {
          if (!event.errno) log = event.none !== true;
        },
        vhost_set_features: (event) => {
          if (!facts.logAll || !facts.opened) return;
          scope.check();
          if (!log) scope.fail(event, 'SET_FEATURES with VHOST_F_LOG_ALL, and there is no log');
        },
      }));
    },
    conformant: [...b.started(), b.log(), b.features(FEATURES)],
    violating: [...b.offer(), b.features(FEATURES), b.log()],
  },
  {
    id: 'VHOST-USR-54',
    title: 'a suspended device marks no pages',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/suspended',
    about:
      'After the last ring has stopped the log holds all its marks: a reading after the first one finds nothing of this back end any more. What changes in guest memory then, with nobody else writing, the back end has written.',
    causes: 'A worker finishes what it had begun after the reply to GET_VRING_BASE.',
    needs: ['vring_base_read', 'vring_kick_fd', 'vhost_page_change'],
    device: (view, scope) => {
      const running = new Set<number>();
      let started = false;
      /** Somebody has looked at memory since the device is suspended. */
      let looked = false;
      const anew = () => {
        running.clear();
        started = false;
        looked = false;
      };
      return withFacts(view, () => ({
        vhost_open: anew,
        vhost_close: anew,
        vring_kick_fd: ({ index }) => {
          running.add(index);
          started = true;
          looked = false;
        },
        vring_base_read: ({ index, errno }) => {
          if (!errno) running.delete(index);
        },
        vhost_page_change: (event) => {
          if (!started || running.size > 0) return;
          if (looked) {
            scope.check();
            if (event.pages.length > 0)
              scope.fail(event, `page ${event.pages[0]![0]} changed while all rings are stopped`);
          }
          looked = true;
        },
      }));
    },
    conformant: [
      ...b.started(),
      b.kick(),
      b.stop(0, 1),
      b.bare('vhost_page_change', { pages: [[8, 1]] }),
      b.bare('vhost_page_change', { pages: [] }),
    ],
    violating: [
      ...b.started(),
      b.kick(),
      b.stop(0, 1),
      b.bare('vhost_page_change', { pages: [[8, 1]] }),
      b.bare('vhost_page_change', { pages: [[8, 1]] }),
    ],
  },
];
