import type { EventOf } from '../trace/event.js';
import { decodePackedBase, encodePackedBase } from '../uapi/vhost.js';
import { featureBits, VIRTIO_FEATURES } from '../uapi/virtio.js';
import type { Rule, Scope } from './rule.js';
import { backEnd, FEATURES, PLAIN } from './vhost-user-example.js';
import { type VhostUserFacts, withFacts } from './vhost-user-facts.js';
import { BASES_ACROSS_HOSTS } from './vhost-user-hosts.js';

const b = backEnd();
const PACKED = featureBits(VIRTIO_FEATURES.RING_PACKED);
const packed = [
  ...b.offer(FEATURES | PACKED),
  b.features(PLAIN | PACKED),
  b.event('vring_num', { index: 0, num: 256 }),
];
const at = (avail: number, used: number) =>
  encodePackedBase({ avail, availWrap: true, used, usedWrap: true });

/** Indices of split rings are of 16 bits. */
const MAX_INDEX = 0xffff;

/** What is wrong with a base, or undefined. */
function fault(base: number, size: number | undefined, isPacked: boolean): string | undefined {
  if (!isPacked)
    return base > MAX_INDEX ? `the base ${base} of a split ring, whose indices are of 16 bits` : undefined;
  const { avail, used } = decodePackedBase(base);
  const beyond = size === undefined ? undefined : [avail, used].find((index) => index >= size);
  return beyond === undefined ? undefined : `the index ${beyond} of a packed ring of ${size} descriptors`;
}

/** A rule about the bases that one of the parties gives. */
const wellFormed =
  (kind: 'vring_base' | 'vring_base_read'): Rule['device'] =>
  (view, scope) => {
    const sizes = new Map<number, number>();
    return withFacts(view, (facts) => ({
      vhost_open: () => sizes.clear(),
      vhost_close: () => sizes.clear(),
      vring_num: ({ index, num, errno }) => {
        if (!errno && num !== undefined) sizes.set(index, num);
      },
      [kind]: (event: EventOf<typeof kind>) => judge(event, sizes, facts, scope),
    }));
  };

function judge(
  event: EventOf<'vring_base' | 'vring_base_read'>,
  sizes: ReadonlyMap<number, number>,
  facts: VhostUserFacts,
  scope: Scope,
): void {
  if (event.errno || event.num === undefined || facts.packed === undefined) return;
  scope.check();
  const wrong = fault(event.num, sizes.get(event.index), facts.packed);
  if (wrong) scope.fail(event, wrong);
}

/** What a ring has been through since its base was set. */
interface Ring {
  base: number | undefined;
  /** It has had a kick descriptor, or a kick. */
  touched: boolean;
  /** What GET_VRING_BASE gave, after which the ring stands still. */
  read: number | undefined;
}

/** Indices at which a ring begins and stops. */
export const VHOST_USER_BASE_RULES: readonly Rule[] = [
  {
    id: 'VHOST-USR-80',
    title: 'a ring that never ran stands where it was put',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/ring-setup',
    about: 'GET_VRING_BASE of a ring that was never started is legal, and returns the base that was set.',
    causes:
      'The base is taken from the memory of the ring when it starts, or GET_VRING_BASE returns the used index.',
    needs: ['vring_base', 'vring_base_read', 'vring_kick_fd'],
    device: (view, scope) => {
      const rings = new Map<number, Ring>();
      const touch = ({ index }: { index: number }) => {
        const ring = rings.get(index);
        if (ring) ring.touched = true;
      };
      return withFacts(view, () => ({
        vhost_open: () => rings.clear(),
        vhost_close: () => rings.clear(),
        vhost_reset_device: () => rings.clear(),
        vring_base: ({ index, num, errno }) => {
          if (errno) rings.delete(index);
          else rings.set(index, { base: num, touched: false, read: undefined });
        },
        vring_kick_fd: touch,
        vring_kick: touch,
        vring_base_read: (event) => {
          const ring = rings.get(event.index);
          if (!ring || ring.touched || ring.base === undefined || event.num === undefined || event.errno)
            return;
          scope.check();
          if (event.num !== ring.base)
            scope.fail(
              event,
              `ring ${event.index} never ran from base ${ring.base}, and stopped at ${event.num}`,
              [`${ring.base}`],
            );
        },
      }));
    },
    conformant: [...b.started(), b.base(1, 7), b.stop(1, 7), b.kick(), b.stop()],
    violating: [...b.started(), b.base(1, 7), b.stop(1, 0), b.kick(), b.stop()],
  },
  {
    id: 'VHOST-USR-81',
    title: 'the base that is set is one of its ring',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/ring-setup',
    about:
      'SET_VRING_BASE of a split ring is the next available index, of 16 bits; of a packed ring both indices with their wrap counters, each below the size of the ring.',
    causes: 'The base of the other kind of ring; or both indices of a split ring.',
    needs: ['vring_base', 'vhost_set_features'],
    device: wellFormed('vring_base'),
    conformant: [...packed, b.base(0, at(5, 3))],
    violating: [...packed, b.base(0, at(300, 3))],
  },
  {
    id: 'VHOST-USR-82',
    title: 'the base that is returned is one of its ring',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/ring-setup',
    about:
      'GET_VRING_BASE of a split ring returns the next available index, of 16 bits; of a packed ring both indices with their wrap counters.',
    causes: 'The back end counts on without wrapping, or returns the base of the other kind of ring.',
    needs: ['vring_base_read', 'vhost_set_features'],
    device: wellFormed('vring_base_read'),
    conformant: [...b.started(), b.stop(0, 65_535)],
    violating: [...b.started(), b.stop(0, 65_536)],
  },
  {
    id: 'VHOST-USR-83',
    title: 'the base that is returned is where the ring stopped',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/ring-setup',
    about:
      'GET_VRING_BASE of a split ring returns the base that was set plus what was taken since, or plus what was returned, which has buffers in flight done again: anything else loses buffers, or does them twice.',
    causes: 'The index is that of the last batch, or of before the last requests in flight.',
    needs: ['vring_base', 'vring_base_read', 'vring_progress', 'vhost_set_features'],
    device: (view, scope) => {
      const rings = new Map<number, Ring & { event?: EventOf<'vring_base_read'> }>();
      return withFacts(view, (facts) => ({
        vhost_open: () => rings.clear(),
        vhost_close: () => rings.clear(),
        vring_base: ({ index, num, errno }) => {
          if (errno) rings.delete(index);
          else rings.set(index, { base: num, touched: false, read: undefined });
        },
        vring_kick_fd: ({ index }) => {
          const ring = rings.get(index);
          if (!ring) return;
          // Without SET_VRING_BASE it goes on where it stopped.
          ring.base = ring.read ?? ring.base;
          ring.read = undefined;
        },
        vring_base_read: (event) => {
          const ring = rings.get(event.index);
          if (!ring || event.errno || event.shadow) return;
          ring.read = event.num;
          ring.event = event;
        },
        vring_progress: ({ index, avail, used }) => {
          const ring = rings.get(index);
          if (ring?.base === undefined || ring.read === undefined || facts.packed !== false) return;
          scope.check();
          const right = [...new Set([avail, used])].map((done) => (ring.base! + done) & MAX_INDEX);
          if (!right.includes(ring.read))
            scope.fail(
              ring.event!,
              `ring ${index} began at ${ring.base}, took ${avail} buffers and returned ${used}, and stopped at ${ring.read}`,
              right.map(String),
            );
        },
      }));
    },
    conformant: [
      ...b.started(),
      b.kick(),
      b.stop(0, 5),
      b.bare('vring_progress', { index: 0, avail: 5, used: 5 }),
    ],
    violating: [
      ...b.started(),
      b.kick(),
      b.stop(0, 4),
      b.bare('vring_progress', { index: 0, avail: 5, used: 5 }),
    ],
  },
  BASES_ACROSS_HOSTS,
];
