import { vhostUserRequestShape } from '../machines/vhost-user-requests.js';
import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import {
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_FEATURES,
  type VhostUserProtocolFeature,
  type VhostUserRequest,
} from '../uapi/vhost-user.js';
import { featureBits, VIRTIO_FEATURES } from '../uapi/virtio.js';

/** Short words for the examples of vhost-user's rules. */

type Fields<K extends EventKind> = Partial<Omit<EventOf<K>, 'kind' | 'host' | 'device' | 'interface'>>;

/** Features of the examples' back end. */
export const FEATURES = featureBits(
  VIRTIO_FEATURES.VERSION_1,
  VHOST_FEATURES.LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
);
/** What its front end acknowledges while nothing is logged. */
export const PLAIN = FEATURES & ~featureBits(VHOST_FEATURES.LOG_ALL);

/** A word of features as events carry it. */
export const word = (features: bigint): string => `0x${features.toString(16)}`;
/** A word of protocol features. */
export const protocolWord = (...names: VhostUserProtocolFeature[]): string =>
  word(featureBits(...names.map((name) => VHOST_USER_PROTOCOL_FEATURES[name])));

/** Protocol features of the examples. */
export const PROTOCOL: readonly VhostUserProtocolFeature[] = [
  'LOG_SHMFD',
  'RARP',
  'REPLY_ACK',
  'DEVICE_STATE',
];

/** A back end of the examples: its events, each with a default host and name. */
export function backEnd(host = 'source', id = 'net0') {
  const event = <K extends EventKind>(kind: K, fields: Fields<K> | object = {}): TraceEvent =>
    ({ kind, host, device: id, interface: 'user', ...fields }) as unknown as TraceEvent;
  /** An event whose kind has no interface. */
  const bare = <K extends EventKind>(kind: K, fields: Fields<K> | object = {}): TraceEvent =>
    ({ kind, host, device: id, ...fields }) as unknown as TraceEvent;
  const enable = (index: number, on = true): TraceEvent => event('vring_enable', { index, on });
  const kickFd = (index: number): TraceEvent => event('vring_kick_fd', { index, attached: true });
  const addr = (index: number, log = false): TraceEvent =>
    event('vring_addr', { index, log, logGuestAddr: 0x10000 * (index + 1) });
  const base = (index: number, num = 0): TraceEvent => event('vring_base', { index, num });
  const features = (word_: bigint): TraceEvent => event('vhost_set_features', { features: word(word_) });
  const table = (size = 0x100_0000): TraceEvent => event('vhost_mem_table', { regions: [{ gpa: 0, size }] });
  const offer = (
    offered = FEATURES,
    protocol: readonly VhostUserProtocolFeature[] = PROTOCOL,
  ): TraceEvent[] => [
    event('vhost_open'),
    event('vhost_offered', { features: word(offered) }),
    event('vhost_offered', { protocolFeatures: protocolWord(...protocol) }),
    event('vhost_set_protocol_features', { features: protocolWord(...protocol) }),
    event('vhost_set_owner'),
  ];
  const ring = (index: number, { log = false, from = 0 } = {}): TraceEvent[] => [
    event('vring_num', { index, num: 256 }),
    base(index, from),
    addr(index, log),
    kickFd(index),
  ];
  return {
    event,
    bare,
    enable,
    kickFd,
    addr,
    base,
    features,
    table,
    /** The connection begins, as far as SET_OWNER. */
    offer,
    ring,
    /** A connection with one ring that may be kicked. */
    started: (protocol: readonly VhostUserProtocolFeature[] = PROTOCOL): TraceEvent[] => [
      ...offer(FEATURES, protocol),
      enable(0),
      features(PLAIN),
      table(),
      ...ring(0),
    ],
    kick: (index = 0): TraceEvent => event('vring_kick', { index }),
    stop: (index = 0, num = 0): TraceEvent => event('vring_base_read', { index, num, errno: 0 }),
    log: (size = 512): TraceEvent => event('vhost_log_base', { size }),
    write: (what: EventOf<'vhost_write'>['what'], index: number | undefined = 0): TraceEvent =>
      bare('vhost_write', { ...(index === undefined ? {} : { index }), what, address: 0x8000, length: 64 }),
    stateFd: (direction: 'save' | 'load', errno = 0): TraceEvent =>
      event('vhost_state_fd', { direction, errno }),
    stateEnd: (): TraceEvent => event('vhost_state_end'),
    check: (errno = 0): TraceEvent => event('vhost_state_check', { errno }),
    postcopy: (step: 'advise' | 'listen' | 'end'): TraceEvent => event('vhost_postcopy', { step }),
    /** A request as a message, with the size and descriptors that the text gives it. */
    asks: (request: VhostUserRequest, fields: Fields<'vhost_message'> = {}): TraceEvent =>
      bare('vhost_message', {
        request,
        from: 'front_end',
        reply: false,
        size: vhostUserRequestShape(request)!.payload?.[0] ?? 0,
        fds: vhostUserRequestShape(request)!.fds[0],
        ...fields,
      }),
    /** A reply as a message. */
    answers: (request: VhostUserRequest, fields: Fields<'vhost_message'> = {}): TraceEvent =>
      bare('vhost_message', { request, from: 'back_end', reply: true, size: 8, fds: 0, ...fields }),
  };
}
