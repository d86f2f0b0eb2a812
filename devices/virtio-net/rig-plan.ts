import {
  featureBits,
  VHOST_FEATURES,
  VHOST_USER_F_PROTOCOL_FEATURES,
  type VhostInterface,
  VIRTIO_FEATURES,
} from 'stopcopy/uapi';
import type { NetFault } from './fault.js';
import type { RamBlock } from './rig-memory.js';
import type { RigRandom } from './rig-random.js';

/** What a run is like, drawn from its seed. */
export interface RigPlan {
  readonly face: VhostInterface;
  readonly queuePairs: number;
  readonly packed: boolean;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly mergeable: boolean;
  /** Descriptors carry I/O addresses, so far from guest physical ones; null: they carry those. */
  readonly iova: number | null;
  readonly sizes: readonly number[];
  readonly blocks: readonly RamBlock[];
  readonly mostToGuest: number;
  readonly mostFromGuest: number;
  readonly burst: number;
  readonly inFlight: number;
  readonly logCache: number;
  /** Requests in flight stay so when a ring stops, and are recorded. */
  readonly inflightRegion: boolean;
  /** log_guest_addr is the other guest physical address of the used part. */
  readonly logByAlias: boolean;
  /** Where each ring begins: next index of a split ring, or place in a packed one. */
  readonly starts: readonly number[];
  /** Used parts begin so that the edge of a page lies between index and elements. */
  readonly splitsUsed: boolean;
  /** Other things that happen before the migration. */
  readonly episodes: number;
  /** Turns before the migration, and in it. */
  readonly warmUp: number;
  readonly turns: number;
}

const PAGE = 4096;
/** Where user space has guest memory. */
const UADDR = 0x7f12_0000_0000;
/** Pages of rings, and of buffers. */
const [RING_PAGES, BUFFER_PAGES] = [24, 72];

/** Draws a plan. A fault's needs are met, so that it can show. */
export function drawPlan(random: RigRandom, face: VhostInterface, needs: NetFault['needs'] = {}): RigPlan {
  const isVdpa = face === 'vdpa';
  const queuePairs = face === 'kernel' ? 1 : random.between(1, 2);
  const packed = face === 'user' && (needs.packed ?? random.percent(35));
  const mergeable = random.percent(65);
  const iova =
    isVdpa || (needs.iotlb ?? random.percent(20)) ? 0x40_0000_0000 + random.below(64) * PAGE : null;
  const queues = 2 * queuePairs + (isVdpa ? 1 : 0);
  const big = needs.wrap === true ? 0 : random.percent(10) ? random.below(queues) : -1;
  const sizes = Array.from({ length: queues }, (_, index) => {
    if (packed) return random.pick([1, 2, 3, 5, 8, 13, 31, 64]);
    return index === big ? 1024 : random.pick([1, 2, 4, 8, 8, 16, 16, 32, 64]);
  });
  const starts = sizes.map((size) => {
    if (isVdpa || (needs.wrap !== true && random.percent(40))) return 0;
    if (packed) return random.below(size);
    const before = random.below(Math.min(size, 8)) + 1;
    return needs.wrap === true || random.percent(50) ? 1024 - before : 65_536 - before;
  });
  const hasAlias = needs.iotlb === true || random.percent(iova === null ? 25 : 50);
  return {
    face,
    queuePairs,
    packed,
    eventIdx: random.percent(50),
    indirect: random.percent(50),
    mergeable,
    iova,
    sizes,
    blocks: drawBlocks(random, hasAlias, needs.wordEdge === true),
    mostToGuest: random.pick(mergeable ? [1514, 1514, 4000, 9000, 20_000] : [1514, 1514, 4000]),
    mostFromGuest: random.pick([1514, 1514, 4000]),
    burst: random.between(1, 8),
    inFlight: needs.inFlight ?? random.pick([0, 0, 1, 3]),
    logCache: needs.logCache ?? (random.percent(30) ? random.between(1, 40) : 0),
    inflightRegion: face === 'user' && !packed && random.percent(30),
    logByAlias: hasAlias && random.percent(50),
    starts,
    splitsUsed: needs.wrap === true || random.percent(10),
    episodes: needs.wrap === true ? 0 : random.between(0, 3),
    warmUp: needs.wrap === true ? 0 : random.between(2, 6),
    turns: needs.wrap === true ? 1 : random.between(3, 8),
  };
}

/** Rings and buffers apart, neither at address 0, rings often across the edge of a word of the log. */
function drawBlocks(random: RigRandom, hasAlias: boolean, atEdge: boolean): RamBlock[] {
  const ringPage = random.pick([32, 54, 56, 60, 63, 118, 120]);
  const after = ringPage + RING_PAGES;
  // Often the second page of buffers begins a word of the log.
  const bufferPage =
    atEdge || random.percent(40) ? Math.ceil(after / 64) * 64 + 63 : after + random.pick([0, 3, 40]);
  const aliases = bufferPage + BUFFER_PAGES + random.below(30);
  const alias = (page: number) => (hasAlias ? { aliasGpa: page * PAGE } : {});
  return [
    { gpa: ringPage * PAGE, size: RING_PAGES * PAGE, uaddr: UADDR, ...alias(aliases) },
    {
      gpa: bufferPage * PAGE,
      size: BUFFER_PAGES * PAGE,
      uaddr: UADDR + 0x1000_0000,
      ...alias(aliases + RING_PAGES + random.below(5)),
    },
  ];
}

/** What guest and VMM acknowledge in a run, without LOG_ALL. */
export function planFeatures(plan: RigPlan): bigint {
  const bits: number[] = [VIRTIO_FEATURES.VERSION_1];
  const { INDIRECT_DESC, EVENT_IDX, NET_MRG_RXBUF, RING_PACKED, ACCESS_PLATFORM, NET_MQ } = VIRTIO_FEATURES;
  if (plan.eventIdx) bits.push(EVENT_IDX);
  if (plan.indirect) bits.push(INDIRECT_DESC);
  if (plan.mergeable) bits.push(NET_MRG_RXBUF);
  if (plan.packed) bits.push(RING_PACKED);
  if (plan.iova !== null) bits.push(ACCESS_PLATFORM);
  if (plan.face === 'kernel') bits.push(VHOST_FEATURES.NET_VIRTIO_NET_HDR);
  if (plan.face === 'user') bits.push(VHOST_USER_F_PROTOCOL_FEATURES);
  if (plan.face === 'vdpa') {
    const { NET_CTRL_VQ, NET_CTRL_RX, NET_CTRL_VLAN, NET_CTRL_MAC_ADDR } = VIRTIO_FEATURES;
    bits.push(NET_CTRL_VQ, NET_CTRL_RX, NET_CTRL_VLAN, NET_CTRL_MAC_ADDR);
    if (plan.queuePairs > 1) bits.push(NET_MQ);
  }
  return featureBits(...bits);
}
