import type { EventOf } from '../trace/event.js';
import { encodePackedBase } from '../uapi/vhost.js';
import { VIRTIO_STATUS } from '../uapi/virtio.js';
import { vmm } from './example.js';
import type { Rule } from './rule.js';
import { MIGRATION_NOT_DONE, STATUS, switched, vdpaExample } from './vdpa-example.js';

const d = vdpaExample();
const v = vmm();
/** The same device at the destination. */
const there = vdpaExample('vdpa0', 'destination');
/** Most virtqueues of a device that a rule remembers something about. */
const MOST_RINGS = 1024;
/** Most hosts that a ring is followed to. */
const MOST_HOSTS = 8;

/** Indices of vDPA rings, from one start to the next. */
export const VRING_INDEX_RULES: readonly Rule[] = [
  {
    id: 'SVQ-06',
    title: 'a ring goes on where it was stopped',
    party: 'vmm',
    level: 'must',
    clause: 'svq/index',
    about:
      'The index that a ring of the guest is started with is the one that was read when it was stopped, from the device or from its shadow. (A guest that resets its device begins at 0 again, so 0 alone says nothing.)',
    causes: 'After shadow virtqueues the index of the device is taken for that of the guest.',
    needs: ['vring_base', 'vring_base_read'],
    device: (_view, scope) => {
      const read = new Map<number, number>();
      return {
        vring_base_read: ({ interface: via, index, num, errno }) => {
          if (via !== 'vdpa') return;
          read.delete(index);
          if (!errno && num !== undefined && read.size < MOST_RINGS) read.set(index, num);
        },
        vring_base: (event) => {
          const { interface: via, index, num, shadow, errno } = event;
          if (via !== 'vdpa' || shadow || errno || num === undefined) return;
          const stopped = read.get(index);
          read.delete(index);
          if (stopped === undefined) return;
          scope.check();
          if (num !== stopped && !FRESH.has(num))
            scope.fail(event, `ring ${index} was stopped at ${stopped} and is started at ${num}`, [
              `${stopped}`,
            ]);
        },
      };
    },
    conformant: [
      d.open(),
      ...d.start(),
      ...d.halt(false, 7),
      ...d.start(false, 7),
      ...d.halt(false, 9),
      ...d.start(),
    ],
    violating: [d.open(), ...d.start(), ...d.halt(false, 7), ...d.start(false, 6)],
  },
  {
    id: 'SVQ-07',
    title: 'indices are read before the reset takes them',
    party: 'vmm',
    level: 'note',
    clause: 'svq/index',
    about:
      'Before a device that works is reset for a migration, its indices are read. A VMM that cannot suspend the device takes them from the used rings instead, which does not show.',
    causes: 'The device is reset first.',
    needs: ['vring_base_read', 'vdpa_status', 'migration_status', 'vring_base'],
    device: (view, scope) => {
      let [works, read] = [false, true];
      return {
        vring_base: ({ interface: via }) => {
          if (via === 'vdpa') read = false;
        },
        vring_base_read: ({ interface: via }) => {
          if (via === 'vdpa') read = true;
        },
        vdpa_status: (event) => {
          if (event.errno || event.status === undefined) return;
          if (event.status === 0 && works && MIGRATING.has(view.host.status ?? '')) {
            scope.check();
            if (!read) scope.fail(event, 'the device is reset, and the indices of its rings were not read');
          }
          works = (event.status & VIRTIO_STATUS.DRIVER_OK) !== 0;
        },
      };
    },
    conformant: switched,
    violating: [
      d.open(),
      ...d.start(),
      ...d.halt(),
      ...d.start(),
      v.status('setup'),
      d.status(STATUS.reset),
      ...d.start(true),
      v.status('active'),
    ],
  },
  {
    id: 'SVQ-08',
    title: "the guest's index comes back from its shadow",
    party: 'vmm',
    level: 'note',
    clause: 'svq/index',
    about:
      'When shadow virtqueues are taken away after a migration that failed or was cancelled, the ring goes on at the index that the VMM had kept. It begins at 0 only if the guest has reset its device in between, which a trace may not show.',
    causes: 'The device is started with the index of the shadow virtqueue, or with none.',
    needs: ['vring_base', 'vring_base_read', 'migration_status'],
    device: (view, scope) => {
      const kept = new Map<number, number>();
      return {
        vring_base_read: ({ interface: via, index, num, shadow }) => {
          if (via !== 'vdpa') return;
          kept.delete(index);
          if (shadow && num !== undefined && kept.size < MOST_RINGS) kept.set(index, num);
        },
        vring_base: (event) => {
          const { interface: via, index, num, shadow, errno } = event;
          const before = kept.get(index);
          kept.delete(index);
          if (via !== 'vdpa' || shadow || errno || before === undefined || num === undefined) return;
          if (!MIGRATION_NOT_DONE.has(view.host.status ?? '')) return;
          scope.check();
          if (FRESH.has(num) && num !== before)
            scope.fail(event, `ring ${index} begins at ${num}; its shadow stood at ${before}`, [`${before}`]);
        },
      };
    },
    conformant: [...switched, v.status('cancelling'), ...d.halt(true, 7), ...d.start(false, 7)],
    violating: [...switched, v.status('cancelling'), ...d.halt(true, 7), ...d.start(false, 0)],
  },
  {
    id: 'SVQ-09',
    title: 'the destination starts at the index at which the source has stopped',
    party: 'vmm',
    level: 'must',
    clause: 'svq/index',
    about:
      'A ring of a vDPA device goes on at the destination at the index that was read last at the source. Devices are paired by their names.',
    causes:
      "The index of the shadow virtqueue is transferred in place of the guest's, or the one of the set-up.",
    needs: ['vring_base', 'vring_base_read', 'destination_setup'],
    trace: (scope) => {
      const stopped = new Map<string, Map<string, number>>();
      const started = new Map<string, EventOf<'vring_base'>[]>();
      const destinations = new Set<string>();
      const key = ({ device, index }: { device: string; index: number }) => `${index} ${device}`;
      return {
        destination_setup: ({ host }) => {
          if (destinations.size < MOST_RINGS) destinations.add(host);
        },
        vring_base_read: (event) => {
          const { host, interface: via, num, errno } = event;
          if (via !== 'vdpa' || destinations.has(host) || errno || num === undefined) return;
          const rings = stopped.get(host) ?? new Map<string, number>();
          if (stopped.size < MOST_RINGS) stopped.set(host, rings);
          if (rings.size < MOST_RINGS) rings.set(key(event), num);
        },
        vring_base: (event) => {
          const { host, interface: via, shadow, errno, num } = event;
          if (via !== 'vdpa' || errno || num === undefined) return;
          // A source that goes on has not handed its rings over.
          stopped.get(host)?.delete(key(event));
          const first = started.get(key(event)) ?? [];
          const seen = first.length >= MOST_HOSTS || first.some((each) => each.host === host);
          if (!destinations.has(host) || shadow || seen || started.size >= MOST_RINGS) return;
          started.set(key(event), [...first, event]);
        },
        end: () => {
          for (const [ring, events] of started)
            for (const event of events) {
              const sources = [...stopped].filter(([host, rings]) => host !== event.host && rings.has(ring));
              // Several sources: which of them this VM came from does not show.
              if (sources.length !== 1) continue;
              scope.check();
              const at = sources[0]![1].get(ring);
              if (at !== event.num)
                scope.fail(
                  event,
                  `ring ${event.index} was stopped at ${at}, and starts at ${event.num} here`,
                  [`${at}`],
                );
            }
        },
      };
    },
    conformant: [
      d.open(),
      ...d.start(),
      ...d.halt(false, 9),
      vmm('destination').event('destination_setup'),
      there.open(),
      ...there.start(false, 9),
    ],
    violating: [
      d.open(),
      ...d.start(),
      ...d.halt(false, 9),
      vmm('destination').event('destination_setup'),
      there.open(),
      ...there.start(false, 0),
    ],
  },
];

/** Where a ring begins after a reset by the guest: split, packed, and packed as far as the VMM knows it. */
const FRESH = new Set([
  0,
  encodePackedBase({ avail: 0, availWrap: true, used: 0, usedWrap: true }),
  encodePackedBase({ avail: 0, availWrap: true, used: 0, usedWrap: false }),
]);

/** Statuses in which a migration of this VM is under way. */
const MIGRATING = new Set(['setup', 'active', 'pre-switchover', 'device']);
