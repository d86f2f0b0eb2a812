/** Ways to miss a bit of the dirty log. */
import { USED, VHOST_LOG_PAGE, type VhostWrite, VirtioNetHdr } from 'stopcopy/uapi';
import type { GpaRun } from './address-space.js';
import { CONDUCT, clamped } from './conduct.js';
import type { NetFault } from './fault.js';

const LOGGED = ['kernel', 'user'] as const;
const BUFFER_RULES = ['VHOST-LOG-01', 'VHOST-LOG-02', 'VHOST-LOG-03'] as const;
const RING_RULES = [
  'VHOST-LOG-04',
  'VHOST-LOG-05',
  'VHOST-LOG-06',
  'VHOST-LOG-07',
  'VHOST-LOG-08',
  'VHOST-LOG-09',
  'VHOST-LOG-10',
] as const;
/** What goes into the log that was replaced is in no reading of the new one. */
const SWAP_RULES = ['VHOST-LOG-16', 'VHOST-LOG-17'] as const;
const ALL_RULES = [...new Set([...BUFFER_RULES, ...RING_RULES])];

/** One kind of ring write is not marked. */
const without = (...unmarked: VhostWrite[]) => ({
  isLogged: (what: VhostWrite, gates: Parameters<typeof CONDUCT.isLogged>[1]) =>
    !unmarked.includes(what) && CONDUCT.isLogged(what, gates),
});

const WORD = 64;

const GATES: readonly NetFault[] = [
  {
    name: 'ring-flag-ignored',
    title: 'writes to the used ring are logged by LOG_ALL alone, whatever the flag of the ring says',
    origin: 'libvhost-user: used ring logging looks at VHOST_F_LOG_ALL only',
    kind: 'log',
    faces: LOGGED,
    caughtBy: RING_RULES,
    conduct: { isLogged: (_what, { logAll }) => logAll },
  },
  {
    name: 'used-never-logged',
    title: 'LOG_ALL logs buffers, and nobody logs the used ring',
    origin: 'a reading of the text by which LOG_ALL covers everything: the flag of SET_VRING_ADDR is dropped',
    kind: 'log',
    faces: LOGGED,
    caughtBy: RING_RULES,
    conduct: without('used', 'used_idx', 'used_flags', 'avail_event', 'desc', 'device_event'),
  },
  {
    name: 'gates-joined',
    title: 'buffers are logged only where the flag of the ring is on as well',
    origin: 'the two switches of vhost taken for one',
    kind: 'log',
    faces: LOGGED,
    caughtBy: BUFFER_RULES,
    conduct: {
      isLogged: (what, { logAll, ring }) => (what === 'buffer' ? logAll && ring : ring),
    },
  },
  {
    name: 'log-all-from-start-only',
    title: 'LOG_ALL of a SET_FEATURES at run time comes into effect with the next start of the ring',
    origin: 'features that a data path copies when it starts',
    kind: 'log',
    faces: LOGGED,
    caughtBy: BUFFER_RULES,
    conduct: {
      isLogged: (what, { logAllAtStart, ring }) => (what === 'buffer' ? logAllAtStart : ring),
    },
  },
  {
    name: 'ring-flag-from-start-only',
    title: 'the log flag of a SET_VRING_ADDR at run time comes into effect with the next start of the ring',
    origin: 'a SET_VRING_ADDR with known addresses that is taken for a repetition',
    kind: 'log',
    faces: LOGGED,
    caughtBy: RING_RULES,
    conduct: {
      isLogged: (what, { logAll, ringAtStart }) => (what === 'buffer' ? logAll : ringAtStart),
    },
  },
  {
    name: 'buffers-never-logged',
    title: 'LOG_ALL is offered and taken, and no buffer is ever marked',
    origin: 'vhost-vsock: it offers VHOST_F_LOG_ALL and passes no log array',
    kind: 'log',
    faces: LOGGED,
    caughtBy: BUFFER_RULES,
    conduct: without('buffer'),
  },
];

const BUFFERS: readonly NetFault[] = [
  {
    name: 'first-descriptor-only',
    title: 'of a buffer in several descriptors the first one is marked',
    origin: 'a loop over descriptors that ends when the packet is written',
    kind: 'log',
    faces: LOGGED,
    caughtBy: BUFFER_RULES,
    conduct: { bufferRuns: (buffers) => buffers.flatMap((buffer) => clamped(buffer).slice(0, 1)) },
  },
  {
    name: 'first-buffer-only',
    title: 'of a packet in several merged buffers the first one is marked',
    origin: 'VIRTIO_NET_F_MRG_RXBUF added to a data path that marked one buffer a packet',
    kind: 'log',
    faces: LOGGED,
    caughtBy: BUFFER_RULES,
    conduct: { bufferRuns: (buffers) => buffers.slice(0, 1).flatMap(clamped) },
  },
  {
    name: 'header-not-counted',
    title: 'the written length is that of the frame, without the header before it',
    origin: 'vhost-net: the length that the socket returned does not count the header that vhost wrote',
    kind: 'log',
    faces: LOGGED,
    caughtBy: BUFFER_RULES,
    conduct: {
      bufferRuns: (buffers) =>
        buffers.flatMap(({ writable, written }, n) =>
          clamped({ writable, written: n === 0 ? written - VirtioNetHdr.size : written }),
        ),
    },
  },
  {
    name: 'first-page-only',
    title: 'of a long run the first page is marked',
    origin: 'a page table walk that takes every entry for one of 4 KiB: of a 2 MiB page one bit is set',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: { marksPage: (page, first) => page === first },
  },
  {
    name: 'offset-not-counted',
    title: 'the number of pages follows from the length alone: where a run begins in its page is not counted',
    origin: 'iova_bitmap and its kind: length divided by page size, rounded up, from the first page on',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: {
      pages: (address, length) => {
        const first = Math.floor(address / VHOST_LOG_PAGE);
        return [first, first + Math.ceil(length / VHOST_LOG_PAGE) - 1];
      },
    },
  },
  {
    name: 'last-page-lost',
    title: 'the last page of a run of several is not marked',
    origin: 'the end of a range taken as included where it is not',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: {
      pages: (address, length) => {
        const [first, last] = CONDUCT.pages(address, length);
        return [first, Math.max(first, last - 1)];
      },
    },
  },
];

const BITS: readonly NetFault[] = [
  {
    name: 'word-boundary',
    title: 'a run that crosses from bit 63 of a word to the next one is marked in the first word only',
    origin: 'a mask made for one word of 64 bits',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: { marksPage: (page, first) => Math.floor(page / WORD) === Math.floor(first / WORD) },
    needs: { wordEdge: true },
  },
  {
    name: 'byte-boundary',
    title: 'a run that crosses from bit 7 of a byte to the next one is marked in the first byte only',
    origin: 'a mask made for one byte',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: { marksPage: (page, first) => page >> 3 === first >> 3 },
  },
  {
    name: 'bit-order',
    title: 'bits are counted from the top of a byte',
    origin: 'a bitmap of network order',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: { setBit: (log, page) => void Atomics.or(log, page >> 3, 0x80 >> (page & 7)) },
  },
  {
    name: 'word-of-32',
    title: 'the bit of a page is taken by the number modulo 32, in words of 64 bits',
    origin: 'a shift of a 32-bit constant: bits 32 to 63 land in the lower half',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: {
      setBit: (log, page) => CONDUCT.setBit(log, Math.floor(page / WORD) * WORD + (page % 32)),
    },
  },
  {
    name: 'marks-cleared',
    title: 'the byte of the log is stored and not added to: bits of other pages in it are lost',
    origin: 'a store in place of an atomic or',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: {
      setBit: (log, page) => {
        log[page >> 3] = 1 << (page & 7);
      },
    },
  },
  {
    name: 'host-page-size',
    title: 'bits stand for pages of 16 KiB, the page size of the host',
    origin: 'arm64 hosts: VHOST_PAGE_SIZE is 4096 on all of them',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: {
      pages: (address, length) => [
        Math.floor(address / (4 * VHOST_LOG_PAGE)),
        Math.floor((address + length - 1) / (4 * VHOST_LOG_PAGE)),
      ],
    },
  },
  {
    name: 'region-relative',
    title: 'pages are counted from the beginning of their region',
    origin: 'a log taken for one of RAM blocks: bit 0 is guest physical address 0',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: { logAddress: (address, regionStart) => address - regionStart },
  },
];

const RINGS: readonly NetFault[] = [
  {
    name: 'used-wrap',
    title: 'of used elements that go round the end of the ring, those at its beginning are not marked',
    origin: 'vhost core: two runs, of which one log call stands for the first',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ['VHOST-LOG-04', 'VHOST-LOG-05'],
    conduct: {
      ringRuns: (write, place) => (write.wrapped ? [] : CONDUCT.ringRuns(write, place)),
    },
    needs: { wrap: true },
  },
  {
    name: 'used-idx-only',
    title: 'of the used ring the index is marked, and no element',
    origin: 'a used ring taken for one page',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ['VHOST-LOG-04', 'VHOST-LOG-05'],
    conduct: without('used'),
  },
  {
    name: 'used-idx-unmarked',
    title: 'used elements are marked, and the index is not',
    origin: 'a used ring taken for one page',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ['VHOST-LOG-06'],
    conduct: without('used_idx'),
  },
  {
    name: 'used-flags-unmarked',
    title: 'used.flags is written without a mark',
    origin: 'libvhost-user: writes of used.flags are not marked',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ['VHOST-LOG-07'],
    conduct: without('used_flags'),
  },
  {
    name: 'avail-event-unmarked',
    title: 'the avail event behind the used ring is written without a mark',
    origin: 'libvhost-user: writes of avail_event are not marked',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ['VHOST-LOG-08'],
    conduct: without('avail_event'),
  },
  {
    name: 'used-by-user-address',
    title: 'the used ring is marked by its user address in place of log_guest_addr',
    origin: 'the address of SET_VRING_ADDR that is at hand',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ['VHOST-LOG-12', ...RING_RULES],
    conduct: {
      ringRuns: ({ what, offset, length }, { used, gpas }) =>
        what === 'desc' ? gpas : [{ address: used + offset, length }],
    },
  },
  {
    name: 'log-guest-addr-ignored',
    title: 'the used ring is marked where the memory table has it, and not at log_guest_addr',
    origin: 'log_guest_addr taken for a repetition of the address of the ring',
    kind: 'log',
    faces: LOGGED,
    caughtBy: RING_RULES,
    conduct: { ringRuns: (_write, { gpas }) => gpas.slice(0, 1) },
  },
  {
    name: 'used-offset-lost',
    title: 'every write to the used ring is marked at its beginning',
    origin: 'log_guest_addr passed without the offset of the element',
    kind: 'log',
    faces: LOGGED,
    caughtBy: RING_RULES,
    conduct: {
      ringRuns: (write, place) =>
        write.what === 'desc'
          ? CONDUCT.ringRuns(write, place)
          : [{ address: place.logGuestAddr + USED.flags, length: write.length }],
    },
  },
  {
    name: 'packed-desc-unmarked',
    title: 'descriptors of a packed ring are written without a mark',
    origin: 'packed rings added to a back end that logs a used ring',
    kind: 'log',
    faces: ['user'],
    caughtBy: ['VHOST-LOG-09'],
    conduct: without('desc'),
    needs: { packed: true },
  },
  {
    name: 'device-event-unmarked',
    title: 'the event structure of a packed ring is written without a mark',
    origin: 'packed rings added to a back end that logs a used ring',
    kind: 'log',
    faces: ['user'],
    caughtBy: ['VHOST-LOG-10'],
    conduct: without('device_event'),
    needs: { packed: true },
  },
];

const moved = (gpas: readonly GpaRun[]): readonly GpaRun[] => gpas.slice(0, 1);

const LOGS: readonly NetFault[] = [
  {
    name: 'log-base-late',
    title: 'after SET_LOG_BASE the next marks still go into the log before',
    origin: 'a base that workers read once a batch',
    kind: 'log',
    faces: LOGGED,
    caughtBy: SWAP_RULES,
    conduct: { marksIntoOldLog: 12 },
  },
  {
    name: 'log-base-kept',
    title: 'a ring that has a log keeps it: a second SET_LOG_BASE is accepted and does nothing',
    origin: 'a log that is mapped once',
    kind: 'log',
    faces: LOGGED,
    caughtBy: SWAP_RULES,
    conduct: { marksIntoOldLog: Number.POSITIVE_INFINITY },
  },
  {
    name: 'held-marks-lost',
    title: 'marks that were held back for a batch are dropped when the ring stops',
    origin: "DPDK's cache of log writes, when a way out of the data path leaves out its sync",
    kind: 'log',
    faces: LOGGED,
    caughtBy: ALL_RULES,
    conduct: { flushesMarks: false },
    needs: { logCache: 24 },
  },
  {
    name: 'alias-unmarked',
    title: 'memory that two guest physical addresses show is marked at the first of them',
    origin: 'vhost core with an IOTLB: translated back by the first region that matches',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ['VHOST-LOG-11'],
    conduct: { aliases: moved },
    needs: { iotlb: true },
  },
  {
    name: 'marked-by-iova',
    title: 'with an IOTLB the I/O address is marked, and not the guest physical one behind it',
    origin: 'a log that was there before the IOTLB',
    kind: 'log',
    faces: LOGGED,
    caughtBy: ['VHOST-LOG-12', ...ALL_RULES],
    conduct: { aliases: (_gpas, iova) => [iova] },
    needs: { iotlb: true },
  },
];

export const LOG_FAULTS: readonly NetFault[] = [...GATES, ...BUFFERS, ...BITS, ...RINGS, ...LOGS];
