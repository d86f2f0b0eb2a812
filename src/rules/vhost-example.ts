import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import type { VhostInterface } from '../uapi/vhost-backend.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../uapi/vhost-user.js';
import { featureBits, VIRTIO_FEATURES } from '../uapi/virtio.js';

/** Short words for the examples of rules about vhost back ends, whatever their interface. */

type Fields<K extends EventKind> = Partial<Omit<EventOf<K>, 'kind' | 'host' | 'device' | 'interface'>>;

/** Feature words as events carry them. */
export const word = (...bits: number[]): string => `0x${featureBits(...bits).toString(16)}`;
/** What the examples' back ends offer. */
export const OFFERED = word(VIRTIO_FEATURES.VERSION_1, VHOST_FEATURES.LOG_ALL);
/** What is acknowledged while nothing is logged, and while buffers are. */
export const PLAIN = word(VIRTIO_FEATURES.VERSION_1);
export const LOGGED = OFFERED;

/** Guest memory of the examples, in bytes. */
export const MEMORY = 0x100_0000;
/** Where the used part of a ring is in guest memory. */
export const usedAt = (index: number): number => 0x10000 * (index + 1);

interface RingOptions {
  /** VHOST_VRING_F_LOG. */
  log?: boolean;
  num?: number;
  base?: number;
}

const LOG_SHMFD = word(VHOST_USER_PROTOCOL_FEATURES.LOG_SHMFD);

/** A back end of the examples: requests succeed unless an errno is named. */
export function backEndOf(via: VhostInterface = 'kernel', id = 'net0', host = 'source') {
  /** An event whose kind has no interface. */
  const bare = <K extends EventKind>(kind: K, fields: Fields<K> | object = {}): TraceEvent =>
    ({ kind, host, device: id, ...fields }) as unknown as TraceEvent;
  const event = <K extends EventKind>(kind: K, fields: Fields<K> | object = {}): TraceEvent =>
    bare(kind, { interface: via, ...fields });
  const request = <K extends EventKind>(
    kind: K,
    fields: Fields<K> | object = {},
    errno?: string,
  ): TraceEvent => event(kind, { ...fields, errno: errno === undefined ? 0 : ERRNO[errno]! });
  const open = (): TraceEvent => event('vhost_open');
  const owner = (errno?: string): TraceEvent => request('vhost_set_owner', {}, errno);
  /** vhost-user has protocol features as well, and one bit for them. */
  const own = via === 'user' ? featureBits(VHOST_USER_F_PROTOCOL_FEATURES) : 0n;
  const withOwn = (features: string): string => `0x${(BigInt(features) | own).toString(16)}`;
  const features = (features: string = PLAIN, errno?: string): TraceEvent =>
    request('vhost_set_features', { features: withOwn(features) }, errno);
  const offered = (features: string = OFFERED): TraceEvent =>
    event('vhost_offered', { features: withOwn(features), errno: 0 });
  const table = (size = MEMORY, errno?: string): TraceEvent =>
    request('vhost_mem_table', { regions: [{ gpa: 0, size }] }, errno);
  const num = (index: number, num: number, errno?: string): TraceEvent =>
    request('vring_num', { index, num }, errno);
  const base = (index: number, num: number, errno?: string): TraceEvent =>
    request('vring_base', { index, num }, errno);
  const baseRead = (index: number, num: number, errno?: string): TraceEvent =>
    request('vring_base_read', { index, num }, errno);
  const addr = (index: number, log = false, fields: Fields<'vring_addr'> = {}, errno?: string): TraceEvent =>
    request('vring_addr', { index, log, logGuestAddr: usedAt(index), ...fields }, errno);
  const backend = (index: number, attached = true, errno?: string): TraceEvent =>
    request('vring_backend', { index, attached }, errno);
  /** What lets a ring run once it is set up, and what stops it. */
  const run = (index: number): TraceEvent[] =>
    via === 'kernel' ? [backend(index)] : [request('vring_enable', { index, on: true })];
  const halt = (index: number, num = 0): TraceEvent[] =>
    via === 'kernel' ? [backend(index, false), baseRead(index, num)] : [baseRead(index, num)];
  const ring = (index: number, options: RingOptions = {}): TraceEvent[] => [
    num(index, options.num ?? 256),
    base(index, options.base ?? 0),
    addr(index, options.log),
    request('vring_kick_fd', { index, attached: true }),
  ];
  const log = (size: number | undefined = MEMORY / 4096 / 8, errno?: string): TraceEvent =>
    request('vhost_log_base', size === undefined ? {} : { size }, errno);
  const protocol = [
    request('vhost_offered', { protocolFeatures: LOG_SHMFD }),
    request('vhost_set_protocol_features', { features: LOG_SHMFD }),
  ];
  const setUp = (): TraceEvent[] => [
    open(),
    offered(),
    ...(via === 'user' ? protocol : []),
    owner(),
    features(),
    table(),
  ];
  return {
    event,
    bare,
    request,
    open,
    offered,
    owner,
    features,
    table,
    num,
    base,
    baseRead,
    addr,
    backend,
    run,
    halt,
    ring,
    log,
    /** Opened, owned, with features and memory, and no ring. */
    setUp,
    /** The first `rings` rings run. */
    started: (rings = 1, options: RingOptions = {}): TraceEvent[] => [
      ...setUp(),
      ...Array.from({ length: rings }, (_, index) => [...ring(index, options), ...run(index)]).flat(),
    ],
    /** Logging is switched on in the order of a VMM: log, features, rings. */
    logOn: (rings = 1): TraceEvent[] => [
      log(),
      features(LOGGED),
      ...Array.from({ length: rings }, (_, index) => addr(index, true)),
    ],
    logOff: (rings = 1): TraceEvent[] => [
      features(PLAIN),
      ...Array.from({ length: rings }, (_, index) => addr(index, false)),
    ],
    write: (what: EventOf<'vhost_write'>['what'], address: number, length: number, index = 0): TraceEvent =>
      bare('vhost_write', { index, what, address, length }),
    /** The VMM reads the log: single pages. */
    read: (pages: readonly number[], final = false): TraceEvent =>
      bare('vhost_log_read', { pages: pages.map((page) => [page, 1]), final }),
    changed: (...pages: number[]): TraceEvent =>
      bare('vhost_page_change', { pages: pages.map((page) => [page, 1]) }),
  };
}
