import type { TraceEvent } from '../trace/event.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import { VHOST_USER_F_PROTOCOL_FEATURES } from '../uapi/vhost-user.js';
import { featureBits } from '../uapi/virtio.js';
import type { Refusal, Rule } from './rule.js';
import { backEnd, FEATURES, PLAIN } from './vhost-user-example.js';
import { withFacts } from './vhost-user-facts.js';

const b = backEnd();
/** The refusal surely came in such a configuration. */
const before =
  (configuration: RegExp) =>
  (refusal: Refusal): boolean =>
    refusal.before.every((each) => configuration.test(each));

const ringOf = ({ trace }: Refusal): string => ('index' in trace ? `ring ${trace.index}` : 'a ring');
/** The refused write, as people say it. */
const writeOf = ({ trace }: Refusal): string =>
  trace.kind === 'vhost_write' ? `the back end wrote (${trace.what})` : 'the back end has gone on';
/** What shows kicks, so that a ring can be said to be started; a request in its message shows which ring only with more. */
const inDecoded = ({ trace }: Refusal): boolean => trace.kind !== 'vhost_message';

/** Most regions of guest memory that are kept. */
const MAX_REGIONS = 512;

/** The states of rings: when they run, and what may be asked then. */
export const VHOST_USER_RING_RULES: readonly Rule[] = [
  {
    id: 'VHOST-USR-30',
    title: 'size and base of a ring are set while it is stopped',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/ring-setup',
    about:
      'SET_VRING_NUM and SET_VRING_BASE are for stopped rings: GET_VRING_BASE comes first. SET_VRING_ADDR may come at any time, to switch the log.',
    causes: 'The front end sets up a ring again without stopping it.',
    needs: ['vring_kick_fd', 'vring_kick', 'vring_base_read'],
    refusal: {
      machine: 'vhost-user-vring',
      event: /^(NUM|BASE)$/,
      where: before(/^started /),
      message: (refusal) => `SET_VRING_${refusal.events[0]} on ${ringOf(refusal)}, which is started`,
      exercisedBy: /^(NUM|BASE|KICKED)$/,
    },
    conformant: [...b.started(), b.kick(), b.stop(0, 7), ...b.ring(0, { from: 7 })],
    violating: [...b.started(), b.kick(), b.base(0, 7), b.stop(0, 7)],
  },
  {
    id: 'VHOST-USR-31',
    title: 'a ring with a kick descriptor is stopped before it is set up again',
    party: 'vmm',
    level: 'should',
    clause: 'vhost-user/ring-setup',
    about:
      'After SET_VRING_KICK any kick of the guest starts the ring, and libvhost-user counts it as started at once: SET_VRING_NUM and SET_VRING_BASE come before, or after GET_VRING_BASE.',
    causes: 'The front end gives the kick descriptor first, or sets up a ring again without stopping it.',
    needs: [],
    refusal: {
      machine: 'vhost-user-vring',
      event: /^(NUM|BASE)$/,
      alsoNeeds: (refusal) => (inDecoded(refusal) ? ['vring_kick_fd', 'vring_base_read'] : ['vring_stop']),
      message: (refusal) =>
        `SET_VRING_${refusal.events[0]} on ${ringOf(refusal)}, which has its kick descriptor`,
    },
    conformant: [...b.started(), b.stop(0, 7), ...b.ring(0, { from: 7 })],
    violating: [...b.started(), b.base(0, 7), b.stop(0, 7)],
  },
  {
    id: 'VHOST-USR-32',
    title: 'GET_VRING_BASE stops the ring',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/ring-states',
    about:
      'After the reply to GET_VRING_BASE the back end processes nothing on the ring until it is started again: what it writes then is lost to a migration, and its indices are not those that were read.',
    causes:
      'The worker of the ring is told to stop, and nobody waits for it; or only the kick descriptor is closed, and a poll goes on.',
    needs: ['vring_base_read', 'vring_kick_fd'],
    refusal: {
      machine: 'vhost-user-vring',
      event: /^(WORK|EFFECT)$/,
      where: before(/^stopped /),
      message: (refusal) => `${writeOf(refusal)} on ${ringOf(refusal)} after GET_VRING_BASE`,
      exercisedBy: /^STOP$/,
    },
    conformant: [...b.started(), b.kick(), b.write('used'), b.stop(0, 1)],
    violating: [...b.started(), b.kick(), b.write('used'), b.stop(0, 1), b.write('used')],
  },
  {
    id: 'VHOST-USR-33',
    title: 'a disabled ring has no side effects',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/ring-states',
    about:
      'A ring that is started and disabled is processed without side effects: a network device supplies no packets, and drops those of the guest.',
    causes: 'SET_VRING_ENABLE is not looked at, or only when the ring starts.',
    needs: ['vring_enable', 'vring_kick_fd'],
    refusal: {
      machine: 'vhost-user-vring',
      event: /^EFFECT$/,
      where: (refusal) => refusal.before.some((each) => /^(armed|started) disabled /.test(each)),
      message: (refusal) => `the back end filled a buffer of ${ringOf(refusal)}, which is disabled`,
    },
    conformant: [...b.started(), b.kick(), b.write('buffer')],
    violating: [...b.started(), b.kick(), b.enable(0, false), b.write('buffer')],
  },
  {
    id: 'VHOST-USR-34',
    title: 'a ring is started by a kick',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/ring-states',
    about:
      'A ring is stopped at first, and a kick starts it; nothing is processed before SET_VRING_KICK, or VRING_KICK with in-band notifications. Some implementations start on SET_VRING_KICK itself, which is not counted.',
    causes: 'The back end starts a ring when it is enabled, or when it knows its addresses.',
    needs: ['vring_kick_fd'],
    refusal: {
      machine: 'vhost-user-vring',
      event: /^(WORK|EFFECT)$/,
      message: (refusal) => `${writeOf(refusal)} on ${ringOf(refusal)}, which nobody has started`,
      exercisedBy: /^(KICK|WORK|EFFECT)/,
    },
    conformant: [...b.started(), b.kick(), b.write('used')],
    violating: [...b.started(), b.kick(), b.base(1), b.write('used', 1)],
  },
  {
    id: 'VHOST-USR-35',
    title: 'a ring knows its addresses before its kick descriptor',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/ring-setup',
    about:
      'QEMU gives size, base and addresses of a ring before SET_VRING_KICK, as a kick may start it at once.',
    causes: 'The front end gives the descriptors of all rings first.',
    needs: [],
    refusal: {
      machine: 'vhost-user-vring',
      event: /^KICK$/,
      alsoNeeds: ({ trace }) => (trace.kind === 'vhost_message' ? [] : ['vring_addr']),
      message: (refusal) => `SET_VRING_KICK of ${ringOf(refusal)} before SET_VRING_ADDR`,
    },
    conformant: b.started(),
    violating: [...b.offer(), b.table(), b.kickFd(0), b.addr(0)],
  },
  {
    id: 'VHOST-USR-36',
    title: 'a suspended device writes no guest memory',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/suspended',
    about:
      'While all rings are stopped the back end writes no guest memory: whoever migrates has stopped to look.',
    causes: 'A worker finishes what it had begun after the reply to GET_VRING_BASE.',
    needs: ['vring_base_read', 'vring_kick_fd', 'vhost_write'],
    refusal: {
      machine: 'vhost-user',
      event: /^WRITE$/,
      message: (refusal) => `${writeOf(refusal)} while all rings are stopped`,
      exercisedBy: /^(WRITE|RINGS\.stopped)$/,
    },
    conformant: [...b.started(), b.kick(), b.write('used'), b.stop(0, 1)],
    violating: [...b.started(), b.kick(), b.write('used'), b.stop(0, 1), b.write('buffer', undefined)],
  },
  {
    id: 'VHOST-USR-37',
    title: 'a suspended device sends no messages',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/suspended',
    about: 'While all rings are stopped the back end answers requests, and sends no message of its own.',
    causes:
      'Changes of the configuration, or IOTLB misses of a worker that still runs, are sent without a look at the rings.',
    needs: ['vring_kick_fd', 'vring_base_read'],
    refusal: {
      machine: 'vhost-user',
      event: /^MESSAGE$/,
      message: () => 'the back end sent a message of its own while all rings are stopped',
      exercisedBy: /^(MESSAGE|RINGS\.stopped)$/,
    },
    conformant: [...b.started(), b.event('vhost_iotlb', { type: 'miss' }), b.stop()],
    violating: [...b.started(), b.stop(), b.event('vhost_iotlb', { type: 'miss' })],
  },
  {
    id: 'VHOST-USR-38',
    title: 'addresses of rings follow guest memory',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/memory',
    about:
      'Addresses of a ring are translated by the memory table: libvhost-user refuses SET_VRING_ADDR without one.',
    causes: 'The front end sets rings up before the memory.',
    needs: [],
    refusal: {
      machine: 'vhost-user',
      event: /^ADDR$/,
      alsoNeeds: ({ trace }) => (trace.kind === 'vhost_message' ? [] : ['vhost_mem_table']),
      message: () => 'SET_VRING_ADDR before any guest memory',
    },
    conformant: b.started(),
    violating: [...b.offer(), b.addr(0), b.table()],
  },
  {
    id: 'VHOST-USR-39',
    title: 'a running ring keeps its memory',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/memory',
    about:
      'Memory may change while rings run, as long as their addresses stay valid: a ring whose used part is in no region any more faults. The address is known by log_guest_addr, which may lie elsewhere, so this is a remark.',
    causes: 'The front end sends a table that lacks what is about to be mapped anew.',
    needs: ['vhost_mem_table', 'vring_addr', 'vring_kick_fd'],
    device: (view, scope) => {
      let regions: { gpa: bigint; size: bigint }[] = [];
      const used = new Map<number, bigint>();
      const running = new Set<number>();
      const covered = (at: bigint) => regions.some(({ gpa, size }) => at >= gpa && at < gpa + size);
      const anew = () => {
        regions = [];
        used.clear();
        running.clear();
      };
      return withFacts(view, () => ({
        vhost_open: anew,
        vhost_close: anew,
        vring_addr: ({ index, logGuestAddr, errno }) => {
          if (!errno && logGuestAddr !== undefined) used.set(index, BigInt(logGuestAddr));
        },
        vring_kick_fd: ({ index }) => running.add(index),
        vring_base_read: ({ index }) => running.delete(index),
        vhost_mem_table: (event) => {
          if (event.errno || event.regions === undefined) return;
          const before = new Map([...used].map(([index, at]) => [index, covered(at)]));
          const told = event.regions.map(({ gpa, size }) => ({ gpa: BigInt(gpa), size: BigInt(size) }));
          if (event.change === 'add') regions = [...regions, ...told].slice(-MAX_REGIONS);
          else if (event.change === 'remove')
            regions = regions.filter(({ gpa }) => !told.some((each) => each.gpa === gpa));
          else regions = told;
          for (const index of running) {
            if (!before.get(index)) continue;
            scope.check();
            if (!covered(used.get(index)!))
              scope.fail(
                event,
                `the used part of ring ${index}, which is not stopped, is in no region any more`,
              );
          }
        },
      }));
    },
    conformant: [...b.started(), b.table(0x200_0000)],
    violating: [...b.started(), b.table(0x1000)],
  },
  {
    id: 'VHOST-USR-40',
    title: 'every ring that is taken down is asked for its base',
    party: 'vmm',
    level: 'should',
    clause: 'vhost-user/ring-states',
    about:
      'Whoever takes a ring down sends GET_VRING_BASE: only that stops it, and tells where the next back end has to go on. A connection that is lost has nobody to ask.',
    causes: 'The rings are disabled, or the VMM takes the index from the used ring.',
    needs: ['vring_stop', 'vhost_message'],
    device: (view, scope) => {
      let taken: { index: number; event: TraceEvent } | undefined;
      let unasked: typeof taken;
      const anew = () => {
        taken = undefined;
        unasked = undefined;
      };
      return withFacts(view, () => ({
        vhost_open: anew,
        vhost_close: anew,
        vring_stop: (event) => {
          if (!event.begin) unasked = taken ?? unasked;
          taken = event.begin ? { index: event.index, event } : undefined;
        },
        vhost_message: (event) => {
          // The connection is alive: nothing kept the front end from asking.
          if (unasked && event.from === 'back_end')
            scope.fail(unasked.event, `ring ${unasked.index} was taken down without GET_VRING_BASE`);
          unasked = event.from === 'back_end' ? undefined : unasked;
          if (taken && event.from === 'front_end' && /^GET_VRING_BASE/.test(`${event.request}`)) {
            scope.check();
            taken = undefined;
          }
        },
      }));
    },
    conformant: [
      ...b.offer(),
      b.bare('vring_stop', { index: 0, begin: true }),
      b.asks('GET_VRING_BASE'),
      b.answers('GET_VRING_BASE'),
      b.bare('vring_stop', { index: 0, begin: false }),
    ],
    violating: [
      ...b.offer(),
      b.bare('vring_stop', { index: 0, begin: true }),
      b.bare('vring_stop', { index: 0, begin: false }),
      b.asks('GET_FEATURES'),
      b.answers('GET_FEATURES'),
    ],
  },
  {
    id: 'VHOST-USR-41',
    title: 'features of a running device stay, but for the log',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/features',
    about:
      'SET_FEATURES while a ring runs switches VHOST_F_LOG_ALL; the rest was fixed when the guest had acknowledged it.',
    causes: 'The features of another state of the device are sent.',
    needs: ['vhost_set_features', 'vring_kick_fd'],
    device: (view, scope) => {
      const running = new Set<number>();
      let before: bigint | undefined;
      const anew = () => {
        running.clear();
        before = undefined;
      };
      return withFacts(view, (facts) => ({
        vhost_open: anew,
        vhost_close: anew,
        vring_kick_fd: ({ index }) => running.add(index),
        vring_base_read: ({ index }) => running.delete(index),
        vhost_set_features: (event) => {
          const log = featureBits(VHOST_FEATURES.LOG_ALL);
          if (running.size > 0 && before !== undefined && facts.acked !== undefined) {
            scope.check();
            if ((before & ~log) !== (facts.acked & ~log))
              scope.fail(event, 'SET_FEATURES changes more than VHOST_F_LOG_ALL while a ring runs');
          }
          before = facts.acked;
        },
      }));
    },
    conformant: [...b.started(), b.log(), b.features(FEATURES)],
    violating: [...b.started(), b.features(PLAIN & ~featureBits(VHOST_USER_F_PROTOCOL_FEATURES))],
  },
];
