import type { EventKind, EventOf } from '../trace/event.js';
import { hasFeature, VIRTIO_FEATURES } from '../uapi/virtio.js';
import type { Rule, Scope, Watch } from './rule.js';
import { backEndOf, LOGGED, usedAt } from './vhost-example.js';
import { VHOST_KERNEL_FEATURE_RULES } from './vhost-kernel-features.js';
import { Attached, driver, MOST_RINGS, takenWhileRunning } from './vhost-kernel-watch.js';

const k = backEndOf();
const MAX_NUM = 0x8000;

/** Requests for which the device must have an owner, as short words for examples. */
const OWNER_KINDS: readonly EventKind[] = ['vhost_open', 'vhost_set_owner'];

const isAligned = (address: number | string, to: bigint): boolean => BigInt(address) % to === 0n;

/** Whether a request of kernel vhost was carried out; undefined: not known, or not of kernel vhost. */
const wasTaken = (event: EventOf<'vring_num'> | EventOf<'vring_addr'>): boolean | undefined =>
  event.interface !== 'kernel' || event.errno === undefined ? undefined : event.errno === 0;

const OWNER: readonly Rule[] = [
  driver({
    id: 'VHOST-KRN-02',
    title: 'a second SET_OWNER is refused',
    clause: 'vhost/owner',
    about: 'SET_OWNER of a device that has an owner gives EBUSY, until RESET_OWNER.',
    causes: 'The owner is replaced, and the rings work in the wrong address space.',
    needs: OWNER_KINDS,
    refusal: {
      machine: 'vhost-device',
      event: /^OWNER\.ok$/,
      exercisedBy: /^OWNER\.(ok|error)$/,
      message: () => 'SET_OWNER succeeded on a device that has an owner',
    },
    conformant: [k.open(), k.owner(), k.owner('EBUSY')],
    violating: [k.open(), k.owner(), k.owner()],
  }),
  driver({
    id: 'VHOST-KRN-01',
    title: 'nothing is set up without an owner',
    clause: 'vhost/owner',
    about: 'Before SET_OWNER every request but those about features gives EPERM.',
    causes: 'A handler of its own before the common ones, without the check.',
    needs: OWNER_KINDS,
    refusal: {
      machine: 'vhost-device',
      event: /^ASK\.ok$/,
      exercisedBy: /^ASK\./,
      message: ({ trace }) => `${trace.kind} succeeded before SET_OWNER`,
    },
    conformant: [k.open(), k.log(undefined, 'EPERM'), k.owner(), k.log()],
    violating: [k.open(), k.num(0, 256), k.owner()],
  }),
];

const RINGS: readonly Rule[] = [
  driver({
    id: 'VHOST-KRN-03',
    title: 'the size of a ring that has a backend stays',
    clause: 'vhost/vring-num',
    about: 'SET_VRING_NUM gives EBUSY while the ring has a backend.',
    causes: 'The check is left out, and a ring works with another size than its driver.',
    needs: ['vring_num', 'vring_backend'],
    refusal: {
      machine: 'vhost-vring',
      event: /^NUM\.ok$/,
      exercisedBy: /^NUM\./,
      message: ({ trace }) =>
        `SET_VRING_NUM of ring ${'index' in trace ? trace.index : ''} succeeded while it has a backend`,
    },
    conformant: [...k.started(), k.num(0, 128, 'EBUSY')],
    violating: [...k.started(), k.num(0, 128)],
  }),
  driver({
    id: 'VHOST-KRN-04',
    title: 'the base of a ring that has a backend stays',
    clause: 'vhost/vring-base',
    about: 'SET_VRING_BASE gives EBUSY while the ring has a backend.',
    causes: 'The check is left out: buffers are taken twice, or never.',
    needs: ['vring_base', 'vring_backend'],
    refusal: {
      machine: 'vhost-vring',
      event: /^BASE\.ok$/,
      exercisedBy: /^BASE\./,
      message: ({ trace }) =>
        `SET_VRING_BASE of ring ${'index' in trace ? trace.index : ''} succeeded while it has a backend`,
    },
    conformant: [...k.started(), k.base(0, 7, 'EBUSY')],
    violating: [...k.started(), k.base(0, 7)],
  }),
  driver({
    id: 'VHOST-KRN-05',
    title: 'ring sizes are powers of two',
    clause: 'vhost/vring-num',
    about: 'SET_VRING_NUM takes powers of two from 1 to 0x8000, and gives EINVAL for anything else.',
    causes: 'The bounds are those of another kind of ring.',
    needs: ['vring_num'],
    device: (_view, scope) => ({
      vring_num: (event) => {
        const { num } = event;
        const taken = wasTaken(event);
        if (taken === undefined || num === undefined) return;
        scope.check();
        const isSize = num > 0 && num <= MAX_NUM && (num & (num - 1)) === 0;
        if (taken && !isSize)
          scope.fail(event, `SET_VRING_NUM took ${num}`, ['a power of two from 1 to 0x8000', 'EINVAL']);
      },
    }),
    conformant: [...k.setUp(), k.num(0, 0, 'EINVAL'), k.num(0, 256)],
    violating: [...k.setUp(), k.num(0, 100)],
  }),
  driver({
    id: 'VHOST-KRN-06',
    title: 'parts of a ring are aligned',
    clause: 'vhost/vring-addr',
    about:
      'SET_VRING_ADDR gives EINVAL when the used part or log_guest_addr is not aligned to 4 bytes, or the available part not to 2.',
    causes: 'The alignment of log_guest_addr is not looked at: it is used only much later.',
    needs: ['vring_addr'],
    device: (_view, scope) => ({
      vring_addr: (event) => {
        const { used = 0, avail = 0, logGuestAddr = 0 } = event;
        const taken = wasTaken(event);
        if (taken === undefined) return;
        scope.check();
        if (taken && !(isAligned(used, 4n) && isAligned(avail, 2n) && isAligned(logGuestAddr, 4n)))
          scope.fail(event, 'SET_VRING_ADDR took an address that is not aligned', ['EINVAL']);
      },
    }),
    conformant: [...k.setUp(), k.addr(0, true, { logGuestAddr: usedAt(0) + 2 }, 'EINVAL'), k.addr(0)],
    violating: [...k.setUp(), k.addr(0, true, { logGuestAddr: usedAt(0) + 2 })],
  }),
  driver({
    id: 'VHOST-KRN-07',
    title: 'the base of a split ring has 16 bits',
    clause: 'vhost/vring-base',
    about:
      'SET_VRING_BASE of a split ring gives EINVAL for more than 0xffff; only packed rings carry two indices.',
    causes: 'The value is cut to 16 bits in silence.',
    needs: ['vring_base', 'vhost_set_features'],
    device: (_view, scope) => {
      let packed: boolean | undefined;
      return {
        vhost_open: () => {
          packed = undefined;
        },
        vhost_set_features: ({ features, errno }) => {
          if (!errno)
            packed =
              features === undefined ? undefined : hasFeature(BigInt(features), VIRTIO_FEATURES.RING_PACKED);
        },
        vring_base: (event) => {
          const { num, errno } = event;
          if (event.interface !== 'kernel' || packed !== false || num === undefined || errno === undefined)
            return;
          scope.check();
          if (errno === 0 && num > 0xffff)
            scope.fail(event, `SET_VRING_BASE of a split ring took ${num}`, ['EINVAL']);
        },
      };
    },
    conformant: [...k.setUp(), k.base(0, 0x10000, 'EINVAL'), k.base(0, 0xffff)],
    violating: [...k.setUp(), k.base(0, 0x10000)],
  }),
  driver({
    id: 'VHOST-KRN-08',
    title: 'addresses of a running ring can be set',
    clause: 'vhost/vring-addr',
    about:
      'SET_VRING_ADDR is taken while the ring has a backend: the log flag of a ring has no other request that switches it.',
    causes: 'The check of SET_VRING_NUM and SET_VRING_BASE was made one for all requests about rings.',
    needs: ['vring_addr', 'vring_backend'],
    device: takenWhileRunning('vring_addr', 'SET_VRING_ADDR'),
    conformant: [...k.started(), ...k.logOn()],
    violating: [...k.started(), k.log(), k.features(LOGGED), k.addr(0, true, {}, 'EBUSY')],
  }),
  driver({
    id: 'VHOST-KRN-09',
    title: 'the base of a ring that does not run stands still',
    clause: 'vhost/vring-base',
    about:
      'While a ring has no backend, GET_VRING_BASE gives the same value each time: what SET_VRING_BASE has put there, or where the ring stood when it lost its backend.',
    causes: 'The ring is still worked on after it has lost its backend, or the base is kept in two places.',
    needs: ['vring_base_read', 'vring_backend'],
    device: stillBase,
    conformant: [...k.started(), ...k.halt(0, 5), k.baseRead(0, 5)],
    violating: [...k.started(), ...k.halt(0, 5), k.baseRead(0, 6)],
  }),
  driver({
    id: 'VHOST-KRN-10',
    title: 'the base is where the work has come to',
    clause: 'vhost/vring-base',
    about:
      'After a split ring has lost its backend, GET_VRING_BASE is the base that it began with and the buffers taken since: at least those that were returned, and at most those that were taken.',
    causes: 'The index is read before the last batch is through; buffers in flight are counted as done.',
    needs: ['vring_base_read', 'vring_base', 'vring_backend', 'vring_progress'],
    device: baseOfProgress,
    conformant: [
      ...k.started(1, { base: 0xfffe }),
      k.bare('vring_progress', { index: 0, avail: 5, used: 5 }),
      ...k.halt(0, 3),
    ],
    violating: [
      ...k.started(1, { base: 0xfffe }),
      k.bare('vring_progress', { index: 0, avail: 5, used: 5 }),
      ...k.halt(0, 2),
    ],
  }),
];

/** Reads of a ring without a backend, against what the last one gave or was set. */
function stillBase(_view: unknown, scope: Scope): Watch {
  const still = new Map<number, number>();
  const { rings, watch } = new Attached();
  const over = () => still.clear();
  return {
    vhost_open: () => {
      rings.clear();
      over();
    },
    vhost_reset_owner: (event) => {
      watch.vhost_reset_owner!(event);
      over();
    },
    vring_backend: (event) => {
      watch.vring_backend!(event);
      still.delete(event.index);
    },
    vring_base: ({ index, num, errno }) => {
      still.delete(index);
      if (errno === 0 && num !== undefined && still.size < MOST_RINGS) still.set(index, num);
    },
    vring_base_read: (event) => {
      const { index, num, errno } = event;
      if (event.interface !== 'kernel' || errno !== 0 || num === undefined || rings.has(index)) return;
      const before = still.get(index);
      if (before !== undefined) {
        scope.check();
        if (before !== num)
          scope.fail(event, `GET_VRING_BASE of ring ${index} gives ${num}, and before ${before}`);
      }
      if (still.size < MOST_RINGS) still.set(index, num);
    },
  };
}

/** Reads of a ring that has stopped, against what it was seen to do. */
function baseOfProgress(_view: unknown, scope: Scope): Watch {
  const begun = new Map<number, number>();
  /** `last`: whoever tells of writes has told of none since. */
  const done = new Map<number, { avail: number; used: number; last: boolean }>();
  const tellsWrites = new Set<number>();
  let packed = false;
  const over = () => {
    begun.clear();
    done.clear();
  };
  return {
    vhost_open: over,
    vhost_reset_owner: over,
    vhost_set_features: ({ features, errno }) => {
      if (!errno && features !== undefined)
        packed = hasFeature(BigInt(features), VIRTIO_FEATURES.RING_PACKED);
    },
    vring_base: ({ index, num, errno }) => {
      if (errno || num === undefined || begun.size >= MOST_RINGS) return;
      begun.set(index, num);
      done.delete(index);
    },
    vring_backend: ({ index, attached, errno }) => {
      if (!errno && attached) done.delete(index);
    },
    vring_progress: ({ index, avail, used }) => {
      if (done.size < MOST_RINGS) done.set(index, { avail, used, last: tellsWrites.has(index) });
    },
    vhost_write: ({ index }) => {
      if (index === undefined || tellsWrites.size >= MOST_RINGS) return;
      tellsWrites.add(index);
      const progress = done.get(index);
      if (progress) progress.last = false;
    },
    vring_base_read: (event) => {
      const { index, num, errno } = event;
      const [base, progress] = [begun.get(index), done.get(index)];
      if (event.interface !== 'kernel' || errno !== 0 || num === undefined || packed) return;
      if (base === undefined || progress === undefined) return;
      scope.check();
      const moved = (num - base) & 0xffff;
      const { avail, used, last } = progress;
      // More may have been done since it was told; less not.
      if (((moved - used) & 0xffff) > (last ? avail - used : 0x7fff))
        scope.fail(
          event,
          `GET_VRING_BASE of ring ${index} gives ${num}: it began at ${base}, and ${avail} buffers were taken, ${used} returned`,
          [`${(base + used) & 0xffff}`],
        );
      // The next start may go on from here without another SET_VRING_BASE.
      begun.set(index, num);
      done.delete(index);
    },
  };
}

/** What kernel vhost owes whoever drives it. A refusal goes to the first rule that claims it. */
export const VHOST_KERNEL_RULES: readonly Rule[] = [...OWNER, ...RINGS, ...VHOST_KERNEL_FEATURE_RULES];
