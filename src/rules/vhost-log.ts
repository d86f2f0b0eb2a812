import type { ClauseId } from '../machines/clauses.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import { USED, VIRTIO_FEATURES } from '../uapi/virtio.js';
import type { Level, Rule } from './rule.js';
import { backEndOf, MEMORY, usedAt, word } from './vhost-example.js';
import type { Law } from './vhost-log-blame.js';
import { MEMORY_NEEDS, watchLaw } from './vhost-log-book.js';

const k = backEndOf();
const pageOf = (address: number) => Math.floor(address / 4096);
/** A ring whose used part fills three pages. */
const LARGE = 1024;
const USED_0 = usedAt(0);
const elements = (slot: number, count = 1, index = 0) =>
  k.write('used', usedAt(index) + USED.ring + 8 * slot, 8 * count, index);
/** A device whose log is on, with one ring. */
const logging = (num = 256): TraceEvent[] => [...k.started(1, { num }), ...k.logOn()];
const ending = (...pages: number[]): TraceEvent[] => [...k.halt(0), k.read(pages, true)];

interface Missing {
  id: string;
  law: Law;
  title: string;
  clause: ClauseId;
  about: string;
  causes: string;
  /** Needed beside writes and readings. */
  needs: readonly EventKind[];
  /** What is written, the pages of it, and the pages that are read of those when the law is broken. */
  writes: readonly TraceEvent[];
  pages: readonly number[];
  read: readonly number[];
}

/** The rule for pages that were written and are missing in the end. */
function missing({ law, writes, pages, read, needs, ...text }: Missing): Rule {
  return {
    ...text,
    party: 'driver',
    level: 'must',
    needs: [...MEMORY_NEEDS, 'vhost_log_base', ...needs],
    host: (host, scope) => watchLaw(host, law, scope),
    conformant: [...writes, ...ending(...pages)],
    violating: [...writes, ...ending(...read)],
  };
}

const FEATURES: readonly EventKind[] = ['vhost_set_features'];
const FLAGS: readonly EventKind[] = ['vring_addr'];
const BUFFER = 0x40_0000;

/** Two regions that show the same memory, and a device that sees it by an IOTLB. */
const iotlb = word(VIRTIO_FEATURES.VERSION_1, VHOST_FEATURES.LOG_ALL, VIRTIO_FEATURES.ACCESS_PLATFORM);
const aliased: readonly TraceEvent[] = [
  ...k.started(),
  k.offered(iotlb),
  k.log(),
  k.features(iotlb),
  k.addr(0, true),
  k.write('buffer', BUFFER + 16, 100),
  k.write('buffer', BUFFER + 0x10_0010, 100),
];

const swapped = (...late: TraceEvent[]): TraceEvent[] => [
  ...logging(),
  k.write('buffer', BUFFER, 100),
  k.log(),
  k.read([pageOf(BUFFER)]),
  ...late,
];

/** A page that was written is in a reading of the log: by what was written. */
const MISSING: readonly Rule[] = [
  missing({
    id: 'VHOST-LOG-11',
    law: 'alias',
    title: 'with an IOTLB every address of written memory is marked',
    clause: 'vhost/log-iotlb',
    about:
      'With ACCESS_PLATFORM a write is mapped back from user addresses. Memory that several regions of the table show has several guest physical addresses, and each page of them gets its bit.',
    causes: 'The search of the memory table ends with the first region that fits.',
    needs: FEATURES,
    writes: aliased,
    pages: [pageOf(BUFFER), pageOf(BUFFER + 0x10_0000)],
    read: [pageOf(BUFFER)],
  }),
  missing({
    id: 'VHOST-LOG-16',
    law: 'new_log',
    title: 'marks after a swap of the log go into the new one',
    clause: 'vhost/log-base',
    about:
      'Once SET_LOG_BASE has succeeded, the pages of later writes are marked in the new log. Whoever swapped reads the old one once more, and then never again.',
    causes:
      'A ring or a worker keeps the old address until its next round; marks are cached across the swap.',
    needs: FEATURES,
    writes: swapped(k.write('buffer', BUFFER + 0x2000, 100), k.write('buffer', BUFFER + 0x4000, 100)),
    pages: [pageOf(BUFFER) + 2, pageOf(BUFFER) + 4],
    read: [pageOf(BUFFER) + 4],
  }),
  missing({
    id: 'VHOST-LOG-17',
    law: 'old_log',
    title: 'marks before a swap of the log are in the old one',
    clause: 'vhost/log-base',
    about:
      'What was written before SET_LOG_BASE has its bit in the old log when the request returns, or later in the new one: it is not lost between the two.',
    causes: 'Marks that were held back are dropped with the log that they were for.',
    needs: FEATURES,
    writes: [
      ...logging(),
      k.write('buffer', BUFFER, 100),
      k.write('buffer', BUFFER + 0x2000, 100),
      k.log(),
      k.read([pageOf(BUFFER)]),
    ],
    pages: [pageOf(BUFFER) + 2],
    read: [],
  }),
  missing({
    id: 'VHOST-LOG-02',
    law: 'partly',
    title: 'every page of a long write is marked',
    clause: 'vhost/log-all',
    about:
      'A write that covers several pages sets the bits of all of them, through to its last byte; also in the middle, and behind the border of a word or a byte of the bitmap.',
    causes:
      'Only the first page of a descriptor or of a huge page is marked; lengths are clamped wrongly over a chain of descriptors.',
    needs: FEATURES,
    writes: [...logging(), k.write('buffer', BUFFER, 0x3000)],
    pages: [0, 1, 2].map((n) => pageOf(BUFFER) + n),
    read: [0, 2].map((n) => pageOf(BUFFER) + n),
  }),
  missing({
    id: 'VHOST-LOG-03',
    law: 'crossing',
    title: 'a write that crosses a page is marked on both sides',
    clause: 'vhost/log-bit',
    about:
      'The pages of a write are those of its first and its last byte: a write shorter than a page that begins late in one ends in the next.',
    causes: 'The number of pages is computed from the length alone, without the offset in the first page.',
    needs: FEATURES,
    writes: [...logging(), k.write('buffer', BUFFER + 0xf00, 0x200)],
    pages: [pageOf(BUFFER), pageOf(BUFFER) + 1],
    read: [pageOf(BUFFER)],
  }),
  missing({
    id: 'VHOST-LOG-01',
    law: 'buffer',
    title: 'a buffer that was written is marked',
    clause: 'vhost/log-all',
    about:
      'While VHOST_F_LOG_ALL is acknowledged, each page of a buffer that was written is in a reading of the log at or after the write, at the latest in the one after the rings have stopped.',
    causes:
      'A path that writes without the log: a copy by another thread, an indirect or a second descriptor, a control queue. Or the bit is not at page div 8, page mod 8.',
    needs: FEATURES,
    writes: [...logging(), k.write('buffer', BUFFER, 100)],
    pages: [pageOf(BUFFER)],
    read: [],
  }),
  missing({
    id: 'VHOST-LOG-05',
    law: 'wrapped',
    title: 'used elements behind the end of the ring are marked at its beginning',
    clause: 'vhost/log-used',
    about:
      'A batch of used elements that reaches the end of the ring goes on at slot 0: it is two runs of bytes, and both are marked.',
    causes: 'The run is marked as one, from its first slot on: behind the ring instead of at its beginning.',
    needs: FLAGS,
    writes: [
      ...logging(LARGE),
      elements(LARGE - 2, 2),
      elements(0, 2),
      k.write('used_idx', USED_0 + USED.idx, 2),
    ],
    pages: [
      pageOf(USED_0),
      pageOf(USED_0 + USED.ring + 8 * (LARGE - 2)),
      pageOf(USED_0 + USED.event(LARGE) - 1),
    ],
    read: [pageOf(USED_0 + USED.ring + 8 * (LARGE - 2)), pageOf(USED_0 + USED.event(LARGE) - 1)],
  }),
  missing({
    id: 'VHOST-LOG-04',
    law: 'used',
    title: 'used elements are marked',
    clause: 'vhost/log-used',
    about:
      'While its ring has VHOST_VRING_F_LOG, each used element is marked, 8 bytes at log_guest_addr + 4 + 8 * slot.',
    causes:
      'The log flag of the ring is not looked at; the address of the ring is taken instead of log_guest_addr; only the page of the index is marked.',
    needs: FLAGS,
    writes: [...logging(LARGE), elements(600), k.write('used_idx', USED_0 + USED.idx, 2)],
    pages: [pageOf(USED_0), pageOf(USED_0 + USED.ring + 8 * 600)],
    read: [pageOf(USED_0)],
  }),
  missing({
    id: 'VHOST-LOG-06',
    law: 'used_idx',
    title: 'the used index is marked',
    clause: 'vhost/log-used',
    about: 'While its ring has VHOST_VRING_F_LOG, each write of used->idx is marked, at log_guest_addr + 2.',
    causes: 'Only elements are marked, which is seen with rings of more than 511 descriptors.',
    needs: FLAGS,
    writes: [...logging(LARGE), elements(600), k.write('used_idx', USED_0 + USED.idx, 2)],
    pages: [pageOf(USED_0), pageOf(USED_0 + USED.ring + 8 * 600)],
    read: [pageOf(USED_0 + USED.ring + 8 * 600)],
  }),
  missing({
    id: 'VHOST-LOG-07',
    law: 'used_flags',
    title: 'the used flags are marked',
    clause: 'vhost/log-used',
    about:
      'While its ring has VHOST_VRING_F_LOG, each write of used->flags is marked, at log_guest_addr: when notifications are switched without EVENT_IDX, and when a ring starts.',
    causes: 'The flags are written by another function than the elements, which has no log.',
    needs: FLAGS,
    writes: [...logging(), k.write('used_flags', USED_0 + USED.flags, 2)],
    pages: [pageOf(USED_0)],
    read: [],
  }),
  missing({
    id: 'VHOST-LOG-08',
    law: 'avail_event',
    title: 'the avail event is marked',
    clause: 'vhost/log-used',
    about:
      'With EVENT_IDX, and while its ring has VHOST_VRING_F_LOG, each write of the avail event is marked. It stands behind the used ring, at log_guest_addr + 4 + 8 * num.',
    causes: 'It is not thought of as part of the used ring, or is marked at its beginning.',
    needs: FLAGS,
    writes: [...logging(LARGE), k.write('avail_event', USED_0 + USED.event(LARGE), 2)],
    pages: [pageOf(USED_0 + USED.event(LARGE))],
    read: [pageOf(USED_0)],
  }),
  missing({
    id: 'VHOST-LOG-09',
    law: 'desc',
    title: 'descriptors of a packed ring are marked',
    clause: 'vhost/dirty-law',
    about:
      'A packed ring has no used ring: the back end writes descriptors back, and with both switches of the log on each of those pages is in a reading.',
    causes: 'The log was written for split rings only.',
    needs: ['vring_addr', 'vhost_set_features'],
    writes: [...logging(), k.write('desc', 0x20_0000, 16)],
    pages: [pageOf(0x20_0000)],
    read: [],
  }),
  missing({
    id: 'VHOST-LOG-10',
    law: 'device_event',
    title: 'the device event structure of a packed ring is marked',
    clause: 'vhost/dirty-law',
    about:
      'With a packed ring the back end writes the event suppression structure of the device, and with both switches of the log on its page is in a reading.',
    causes: 'The log was written for split rings only.',
    needs: ['vring_addr', 'vhost_set_features'],
    writes: [...logging(), k.write('device_event', 0x20_0000, 4)],
    pages: [pageOf(0x20_0000)],
    read: [],
  }),
  {
    id: 'VHOST-LOG-18',
    title: 'a page that changed is marked',
    party: 'driver',
    level: 'must',
    clause: 'vhost/dirty-law',
    about:
      'Where only memory itself is seen: with both switches of the log on, each page that has changed, with nobody else writing, is in a reading of the log since the look before, or later.',
    causes: 'Any way to miss a bit.',
    needs: ['vhost_page_change', 'vhost_log_read', 'vhost_set_features', 'vring_addr', 'vhost_log_base'],
    host: (host, scope) => watchLaw(host, 'changed', scope),
    conformant: [...logging(), k.changed(pageOf(BUFFER)), ...ending(pageOf(BUFFER))],
    violating: [...logging(), k.changed(pageOf(BUFFER)), ...ending()],
  },
];

interface Other {
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

const other = ({ law, ...rule }: Other): Rule => ({
  ...rule,
  party: 'driver',
  host: (host, scope) => watchLaw(host, law, scope),
});

/** What a back end must not write or mark. */
const OTHERS: readonly Rule[] = [
  other({
    id: 'VHOST-LOG-12',
    law: 'overrun',
    level: 'must',
    title: 'nothing is marked outside of the log',
    clause: 'vhost/log-size',
    about:
      'A bit is set only where the log has one. A back end that knows the size of the log looks; in kernel vhost, which does not, no page outside of guest memory is marked.',
    causes:
      'An address that was not checked against memory; a length that wraps; user addresses in the place of guest ones.',
    needs: ['vhost_log_base'],
    conformant: [...logging(), k.write('buffer', BUFFER, 100), ...ending(pageOf(BUFFER))],
    violating: [...logging(), k.bare('vhost_log_overrun', { page: pageOf(MEMORY) + 7 })],
  }),
  other({
    id: 'VHOST-LOG-13',
    law: 'extra',
    level: 'note',
    title: 'bits of pages that nobody wrote',
    clause: 'vhost/dirty-law',
    about:
      'A bit too many is allowed, it costs the transfer of a page. Beside a missing bit it tells what became of that one.',
    causes:
      'Whole descriptors are marked instead of what was written of them; or the bit stands at the wrong place.',
    needs: [...MEMORY_NEEDS, 'vhost_log_base', 'vhost_open'],
    conformant: [...logging(), k.write('buffer', BUFFER, 100), ...ending(pageOf(BUFFER))],
    violating: [...logging(), k.write('buffer', BUFFER, 100), ...ending(pageOf(BUFFER), pageOf(BUFFER) + 1)],
  }),
  other({
    id: 'VHOST-LOG-14',
    law: 'late_mark',
    level: 'must',
    title: 'nothing is marked after the rings have stopped',
    clause: 'vhost/log-stopped',
    about:
      'What is read of the log after the last ring has stopped is all there is, until a ring runs again: a bit that comes later is read by nobody.',
    causes: 'A worker or a cache of marks that is not flushed when the ring stops.',
    needs: ['vhost_log_read'],
    conformant: [...logging(), k.write('buffer', BUFFER, 100), ...ending(pageOf(BUFFER)), k.read([])],
    violating: [
      ...logging(),
      k.write('buffer', BUFFER, 100),
      ...ending(pageOf(BUFFER)),
      k.read([pageOf(BUFFER)]),
    ],
  }),
  other({
    id: 'VHOST-LOG-15',
    law: 'idle_write',
    level: 'must',
    title: 'a ring without a backend is left alone',
    clause: 'vhost/backend',
    about:
      'After VHOST_NET_SET_BACKEND with -1 nothing is written for the ring, neither into buffers nor into the ring itself, until it has a backend again.',
    causes: 'The request returns before what is under way has ended, or a late kick is still served.',
    needs: ['vhost_write', 'vring_backend'],
    conformant: [...logging(), k.write('buffer', BUFFER, 100), ...ending(pageOf(BUFFER))],
    violating: [...logging(), ...k.halt(0), k.write('buffer', BUFFER, 100), k.read([pageOf(BUFFER)], true)],
  }),
];

/** The laws of the dirty log over guest memory, of back ends behind every interface. */
export const VHOST_LOG_RULES: readonly Rule[] = [...MISSING, ...OTHERS];
