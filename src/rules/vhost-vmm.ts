import type { ClauseId } from '../machines/clauses.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import { VIRTIO_FEATURES } from '../uapi/virtio.js';
import { vmm } from './example.js';
import type { Level, Rule } from './rule.js';
import { backEndOf, LOGGED, MEMORY, PLAIN, word } from './vhost-example.js';
import { MOST_RINGS } from './vhost-kernel-watch.js';
import type { Law } from './vhost-log-blame.js';
import { watchLaw } from './vhost-log-book.js';

const k = backEndOf();
const u = backEndOf('user');
const v = vmm();
const BUFFER = 0x40_0000;
const PAGE = BUFFER / 4096;
const write = (page = PAGE) => k.write('buffer', page * 4096, 100);
const cancelled = [v.status('active'), v.status('cancelling'), v.status('cancelled')];
const logging = [...k.started(), ...k.logOn()];

interface OverMemory {
  id: string;
  law: Law;
  level: Level;
  title: string;
  clause: ClauseId;
  about: string;
  causes: string;
  needs: readonly EventKind[];
  conformant: readonly TraceEvent[];
  violating: readonly TraceEvent[];
}

/** A rule that the bookkeeping over memory judges. */
const overMemory = ({ law, ...rule }: OverMemory): Rule => ({
  ...rule,
  party: 'vmm',
  host: (host, scope) => watchLaw(host, law, scope),
});

/** In which order a VMM sets up a back end, and switches its log. */
const ORDER: readonly Rule[] = [
  {
    id: 'VHOST-VMM-01',
    title: 'the log exists before a ring runs with it',
    party: 'vmm',
    level: 'must',
    clause: 'vhost/log-start',
    about:
      'Before a ring runs with LOG_ALL or its log flag on, SET_LOG_BASE has given the log: what is written before that is marked nowhere, and missing in the destination. The kernel takes the requests all the same.',
    causes:
      'A device that is started while a migration runs gets features and rings first and the log last; or LOG_ALL is switched on before SET_LOG_BASE.',
    needs: ['vhost_open', 'vhost_log_base', 'vhost_set_features', 'vring_backend'],
    refusal: {
      machine: 'vhost-vmm',
      event: /^RUN(\.log)?$/,
      message: ({ events, trace }) =>
        `ring ${'index' in trace ? `${trace.index} ` : ''}runs with ${events[0] === 'RUN.log' ? 'its log flag' : 'LOG_ALL'} on, and there is no log`,
    },
    conformant: logging,
    violating: [...k.started(), k.features(LOGGED), k.log(), k.addr(0, true)],
  },
  {
    id: 'VHOST-VMM-02',
    title: 'features before ring flags, when logging is switched on',
    party: 'vmm',
    level: 'note',
    clause: 'vhost/log-start',
    about:
      'Of a device that runs QEMU switches on LOG_ALL first, and the log flags of the rings then. The other way round is no error: neither switch implies the other.',
    causes: 'Another VMM, or a ring that is set up anew.',
    needs: ['vhost_open', 'vhost_set_features', 'vring_addr', 'vring_backend'],
    refusal: {
      machine: 'vhost-vmm',
      event: /^FLAG\.on$/,
      message: () => 'the log flag of a ring is switched on while LOG_ALL is off',
    },
    conformant: logging,
    violating: [...k.started(), k.log(), k.addr(0, true), k.features(LOGGED)],
  },
  {
    id: 'VHOST-VMM-03',
    title: 'features before ring flags, when logging is switched off',
    party: 'vmm',
    level: 'note',
    clause: 'vhost/log-stop',
    about:
      'QEMU takes LOG_ALL away first, and the log flags of the rings then. The other way round leaves a moment in which buffers are marked and rings are not.',
    causes: 'Another VMM, or a flag that is lost when the addresses of a ring are set again.',
    needs: ['vhost_open', 'vhost_set_features', 'vring_addr', 'vring_backend'],
    refusal: {
      machine: 'vhost-vmm',
      event: /^FLAG\.off$/,
      message: () => 'the log flag of a ring is switched off while LOG_ALL is on',
    },
    conformant: [...logging, ...k.logOff()],
    violating: [...logging, k.addr(0, false), k.features(PLAIN)],
  },
  {
    id: 'VHOST-VMM-04',
    title: 'a ring is set up before it gets its backend',
    party: 'vmm',
    level: 'should',
    clause: 'vhost/start',
    about:
      'Before VHOST_NET_SET_BACKEND a ring has its size and its addresses: from then on the device may read descriptors.',
    causes: 'The ring was reset with its owner, or is started before the driver of the guest has set it up.',
    needs: ['vhost_open', 'vring_num', 'vring_addr', 'vring_backend'],
    refusal: {
      machine: 'vhost-vring',
      event: /^ATTACH$/,
      message: ({ trace }) =>
        `ring ${'index' in trace ? `${trace.index} ` : ''}gets a backend before it has size and addresses`,
    },
    conformant: k.started(),
    violating: [...k.setUp(), k.num(0, 256), k.backend(0), k.addr(0)],
  },
  {
    id: 'VHOST-VMM-05',
    title: 'guest memory is known before a ring runs',
    party: 'vmm',
    level: 'should',
    clause: 'vhost/memory',
    about:
      'SET_MEM_TABLE comes before the first ring gets its backend: no descriptor can be read without it.',
    causes: 'The table is left out after RESET_OWNER, which has dropped the old one.',
    needs: ['vhost_open', 'vhost_mem_table', 'vring_backend'],
    refusal: {
      machine: 'vhost-device',
      event: /^RUN$/,
      message: ({ trace }) =>
        `ring ${'index' in trace ? `${trace.index} ` : ''}gets a backend, and the device knows no guest memory`,
    },
    conformant: k.started(),
    violating: [k.open(), k.owner(), k.features(), ...k.ring(0), k.backend(0), k.table()],
  },
  {
    id: 'VHOST-VMM-06',
    title: 'the base of a ring that still runs',
    party: 'vmm',
    level: 'note',
    clause: 'vhost/vring-base',
    about:
      'GET_VRING_BASE of kernel vhost does not stop the ring, unlike that of vhost-user: with a backend attached the index may be old when it is returned.',
    causes: 'A VMM that was written for vhost-user; a look while the device runs.',
    needs: ['vring_backend', 'vring_base_read'],
    refusal: {
      machine: 'vhost-vring',
      event: /^ASK\.base$/,
      message: ({ trace }) =>
        `GET_VRING_BASE of ring ${'index' in trace ? trace.index : ''}, which has a backend`,
    },
    conformant: [...k.started(), ...k.halt(0)],
    violating: [...k.started(), k.baseRead(0, 3), ...k.halt(0, 5)],
  },
  {
    id: 'VHOST-VMM-07',
    title: 'while rings run only the log is switched',
    party: 'vmm',
    level: 'note',
    clause: 'vhost/features',
    about:
      'vhost-net takes any features at any time; others, such as vhost-scsi, refuse a change of anything but LOG_ALL while they run. What the guest has negotiated does not change anyway.',
    causes: 'The device is negotiated anew without being stopped.',
    needs: ['vring_backend', 'vhost_set_features'],
    device: (_view, scope) => {
      const running = new Set<number>();
      let acked: bigint | undefined;
      const over = () => {
        running.clear();
        acked = undefined;
      };
      return {
        vhost_open: over,
        vhost_reset_owner: over,
        vring_backend: ({ index, attached, errno }) => {
          if (errno || index >= MOST_RINGS) return;
          if (attached) running.add(index);
          else running.delete(index);
        },
        vhost_set_features: (event) => {
          if (event.interface !== 'kernel' || event.errno) return;
          const before = acked;
          acked = event.features === undefined ? undefined : BigInt(event.features);
          if (before === undefined || acked === undefined || running.size === 0) return;
          scope.check();
          const changed = (before ^ acked) & ~(1n << BigInt(VHOST_FEATURES.LOG_ALL));
          if (changed !== 0n)
            scope.fail(event, `SET_FEATURES changes 0x${changed.toString(16)} while a ring has a backend`);
        },
      };
    },
    conformant: logging,
    violating: [...k.started(), k.features(word(VIRTIO_FEATURES.VERSION_1, VIRTIO_FEATURES.NET_MRG_RXBUF))],
  },
];

/** What a VMM owes the log. */
const HARVEST: readonly Rule[] = [
  overMemory({
    id: 'VHOST-VMM-08',
    law: 'log_size',
    level: 'must',
    title: 'the log covers memory and used rings',
    clause: 'vhost/log-resize',
    about:
      'While logging is on, the log has a bit for every page up to the highest one of the memory table and of the used rings that are logged. So it grows before the table does, and shrinks after it. The kernel does not check.',
    causes: 'Memory is plugged in during a migration, and the log is not grown, or only afterwards.',
    needs: ['vhost_log_base', 'vhost_mem_table'],
    conformant: [...logging, k.log((2 * MEMORY) / 4096 / 8), k.table(2 * MEMORY), k.table(), k.log()],
    violating: [...logging, k.table(2 * MEMORY), k.log((2 * MEMORY) / 4096 / 8)],
  }),
  overMemory({
    id: 'VHOST-VMM-09',
    law: 'short_log',
    level: 'must',
    title: 'a page of guest memory has a bit in the log',
    clause: 'vhost/log-size',
    about:
      'Kernel vhost is never told how long the log is: it writes where the bit of a page of guest memory has to be. A log that is too short is overrun.',
    causes: 'The log was made for the amount of memory, and not for its highest address.',
    needs: ['vhost_log_base'],
    conformant: [...logging, write(), ...k.halt(0), k.read([PAGE], true)],
    violating: [
      ...k.started(),
      k.log(8),
      k.features(LOGGED),
      k.addr(0, true),
      k.bare('vhost_log_overrun', { page: PAGE }),
    ],
  }),
  overMemory({
    id: 'VHOST-VMM-10',
    law: 'gates_left',
    level: 'should',
    title: 'after a migration that came to nothing the log is switched off',
    clause: 'vhost/log-stop',
    about:
      'After a failure or a cancel LOG_ALL and the log flags are off again before the next migration begins; the log is freed then.',
    causes: 'The rollback forgets a back end, or the flag of one of its rings.',
    needs: ['migration_status', 'vhost_set_features', 'vring_addr'],
    conformant: [...logging, ...cancelled, ...k.logOff(), v.status('setup')],
    violating: [...logging, ...cancelled, k.features(PLAIN), v.status('setup')],
  }),
  overMemory({
    id: 'VHOST-VMM-11',
    law: 'early_final',
    level: 'must',
    title: 'the log is read for the last time after the last ring has stopped',
    clause: 'vhost/log-harvest',
    about:
      'A bit may lag behind its data as long as a ring runs. The last reading of a migration comes after every ring has stopped, or it misses what is on the way.',
    causes:
      'The last pass over memory begins before the devices are stopped, or leaves out one ring of several.',
    needs: ['vhost_log_read'],
    conformant: [...logging, ...k.halt(0), k.read([], true)],
    violating: [...logging, k.read([], true), ...k.halt(0)],
  }),
  overMemory({
    id: 'VHOST-VMM-12',
    law: 'ungated',
    level: 'must',
    title: 'nothing is written unlogged while a migration runs',
    clause: 'vhost/dirty-law',
    about:
      'From the first reading of the log to the last one both switches are on: LOG_ALL for buffers, and the log flag of each ring. A page that is written while its switch is off, and never marked after that, is not sent again.',
    causes: 'One of the two switches is taken for both; a ring that is set up anew loses its flag.',
    needs: ['vhost_write', 'vhost_log_read', 'vhost_set_features', 'vring_addr'],
    conformant: [...logging, k.read([]), write(), ...k.halt(0), k.read([PAGE], true)],
    violating: [...logging, k.read([]), k.features(PLAIN), write(), ...k.halt(0), k.read([], true)],
  }),
  overMemory({
    id: 'VHOST-VMM-13',
    law: 'no_log',
    level: 'must',
    title: 'what is written before there is a log is lost',
    clause: 'vhost/log-start',
    about:
      'A device that is started while a migration runs has its log before the first write: what is written with the switches on, and no log, is marked nowhere.',
    causes: 'Rings run before SET_LOG_BASE.',
    needs: ['vhost_write', 'vhost_log_read', 'vhost_set_features', 'vhost_log_base', 'migration_status'],
    conformant: [v.status('active'), ...logging, write(), ...k.halt(0), k.read([PAGE], true)],
    violating: [
      v.status('active'),
      ...u.setUp(),
      u.features(LOGGED),
      ...u.ring(0, { log: true }),
      ...u.run(0),
      u.write('buffer', BUFFER, 100),
      u.log(),
      ...u.halt(0),
      u.read([], true),
    ],
  }),
  overMemory({
    id: 'VHOST-VMM-14',
    law: 'old_log_unread',
    level: 'must',
    title: 'a log that was replaced is read once more',
    clause: 'vhost/log-harvest',
    about:
      'After SET_LOG_BASE with another log the old one is read: it has the bits of all writes since its last reading.',
    causes: 'The old log is freed as soon as the new one is accepted.',
    needs: ['vhost_write', 'vhost_log_read', 'vhost_set_features', 'vhost_log_base'],
    conformant: [...logging, write(), k.log(), k.read([PAGE]), ...k.halt(0), k.read([], true)],
    violating: [...logging, write(), k.log(), ...k.halt(0), k.read([], true)],
  }),
  overMemory({
    id: 'VHOST-VMM-15',
    law: 'not_collected',
    level: 'must',
    title: 'no migration completes without a last reading of the log',
    clause: 'vhost/log-harvest',
    about:
      'The source is completed only after the log of each back end was read once more, its rings being stopped. The logs of KVM and of other devices do not have what it has.',
    causes: 'The log is dropped together with the device that is stopped.',
    needs: ['vhost_log_read', 'migration_status', 'vhost_set_features'],
    conformant: [
      ...logging,
      v.status('active'),
      k.read([]),
      ...k.halt(0),
      k.read([], true),
      v.status('completed'),
    ],
    violating: [...logging, v.status('active'), k.read([]), ...k.halt(0), v.status('completed')],
  }),
];

/** How a VMM drives vhost back ends and collects their logs. */
export const VHOST_VMM_RULES: readonly Rule[] = [...ORDER, ...HARVEST];
