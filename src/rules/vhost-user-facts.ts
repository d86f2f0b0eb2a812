import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import {
  VHOST_MAX_QUEUES,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_FEATURES,
  type VhostUserProtocolFeature,
  type VhostUserRequest,
} from '../uapi/vhost-user.js';
import { hasFeature, VIRTIO_FEATURES } from '../uapi/virtio.js';
import type { DeviceView, Watch } from './rule.js';

/** What a trace has told so far about one vhost-user session; undefined: not known. */
export class VhostUserFacts {
  /** The trace shows the beginning of the session. */
  opened = false;
  offered: bigint | undefined;
  /** SET_FEATURES; before the first one, nothing is acknowledged. */
  acked: bigint | undefined;
  protocolOffered: bigint | undefined;
  protocolAcked: bigint | undefined;
  /** Replies to memory requests have another shape from POSTCOPY_LISTEN on; until it is known to be off, they may have. */
  postcopy = true;

  /** Takes an event; to take it again changes nothing. */
  take(event: TraceEvent): void {
    switch (event.kind) {
      case 'vhost_open':
      case 'vhost_close':
        this.#open();
        return;
      case 'vhost_offered':
        if (event.features !== undefined) this.offered = BigInt(event.features);
        if (event.protocolFeatures !== undefined) this.protocolOffered = BigInt(event.protocolFeatures);
        return;
      case 'vhost_set_features':
        if (!event.errno) this.acked = wordOf(event.features);
        return;
      case 'vhost_set_protocol_features':
        if (!event.errno) this.protocolAcked = wordOf(event.features);
        return;
      case 'vhost_postcopy':
        if (event.step !== 'advise') this.postcopy = event.step === 'listen';
        return;
      case 'vhost_message':
        if (event.request === 'POSTCOPY_LISTEN') this.postcopy = true;
    }
  }

  #open(): void {
    this.opened = true;
    this.offered = undefined;
    this.acked = undefined;
    this.protocolOffered = undefined;
    this.protocolAcked = undefined;
    this.postcopy = false;
  }

  /** Whether a virtio feature is acknowledged; undefined: not known. */
  has(bit: number): boolean | undefined {
    return this.acked === undefined ? undefined : hasFeature(this.acked, bit);
  }

  /** Whether a protocol feature is acknowledged; undefined: not known. */
  hasProtocol(feature: VhostUserProtocolFeature): boolean | undefined {
    if (this.protocolAcked === undefined) return this.#protocol === false ? false : undefined;
    return hasFeature(this.protocolAcked, VHOST_USER_PROTOCOL_FEATURES[feature]);
  }

  /** Whether a protocol feature is offered; undefined: not known. */
  offersProtocol(feature: VhostUserProtocolFeature): boolean | undefined {
    if (this.protocolOffered !== undefined)
      return hasFeature(this.protocolOffered, VHOST_USER_PROTOCOL_FEATURES[feature]);
    return this.#protocol === false ? false : undefined;
  }

  /** Whether there are protocol features at all. */
  get #protocol(): boolean | undefined {
    return this.offered === undefined ? undefined : hasFeature(this.offered, VHOST_USER_F_PROTOCOL_FEATURES);
  }

  get packed(): boolean | undefined {
    return this.has(VIRTIO_FEATURES.RING_PACKED);
  }

  get logAll(): boolean | undefined {
    return this.has(VHOST_FEATURES.LOG_ALL);
  }
}

const wordOf = (features: number | string | undefined): bigint | undefined =>
  features === undefined ? undefined : BigInt(features);

const FACTS = new WeakMap<DeviceView, VhostUserFacts>();

const KINDS: readonly EventKind[] = [
  'vhost_open',
  'vhost_close',
  'vhost_offered',
  'vhost_set_features',
  'vhost_set_protocol_features',
  'vhost_postcopy',
  'vhost_message',
];

/**
 * Whether an event about a back end is of vhost-user: it says so, or its kind has no other interface. Queues
 * beyond those that a back end may have are left out, so that what is kept of them is bounded.
 */
export const ofVhostUser = (event: TraceEvent): boolean =>
  (!('interface' in event) || event.interface === 'user') &&
  !('index' in event && typeof event.index === 'number' && event.index >= VHOST_MAX_QUEUES);

/**
 * A watch over the vhost-user events of a device, with what is known about its session at each of them. What
 * came over another interface is left out.
 */
export function withFacts(view: DeviceView, watch: (facts: VhostUserFacts) => Watch): Watch {
  const known = FACTS.get(view) ?? new VhostUserFacts();
  FACTS.set(view, known);
  const own = watch(known) as Record<string, ((event: TraceEvent) => void) | undefined>;
  const all: Record<string, (event: TraceEvent) => void> = {};
  for (const kind of new Set([...KINDS, ...Object.keys(own)])) {
    const handler = own[kind];
    all[kind] =
      kind === 'end'
        ? (handler as () => void)
        : (event) => {
            if (!ofVhostUser(event)) return;
            known.take(event);
            handler?.(event);
          };
  }
  return all as Watch;
}

/** The request behind each decoded kind of event; undefined: it is none, or one cannot tell which. */
const REQUESTS: { readonly [K in EventKind]?: (event: EventOf<K>) => VhostUserRequest | undefined } = {
  vhost_offered: ({ features, protocolFeatures }) =>
    features !== undefined
      ? 'GET_FEATURES'
      : protocolFeatures !== undefined
        ? 'GET_PROTOCOL_FEATURES'
        : undefined,
  vhost_set_owner: () => 'SET_OWNER',
  vhost_reset_owner: () => 'RESET_OWNER',
  vhost_set_features: () => 'SET_FEATURES',
  vhost_set_protocol_features: () => 'SET_PROTOCOL_FEATURES',
  vhost_mem_table: ({ change = 'table' }) =>
    change === 'table' ? 'SET_MEM_TABLE' : change === 'add' ? 'ADD_MEM_REG' : 'REM_MEM_REG',
  vhost_log_base: () => 'SET_LOG_BASE',
  vhost_log_fd: () => 'SET_LOG_FD',
  vring_num: () => 'SET_VRING_NUM',
  vring_base: () => 'SET_VRING_BASE',
  vring_base_read: () => 'GET_VRING_BASE',
  vring_addr: () => 'SET_VRING_ADDR',
  vring_kick_fd: () => 'SET_VRING_KICK',
  vring_call_fd: () => 'SET_VRING_CALL',
  vring_enable: () => 'SET_VRING_ENABLE',
  vhost_config: ({ write }) => (write ? 'SET_CONFIG' : 'GET_CONFIG'),
  vhost_iotlb: ({ type }) => (type === 'update' || type === 'invalidate' ? 'IOTLB_MSG' : undefined),
  vhost_reset_device: () => 'RESET_DEVICE',
  vhost_inflight: ({ set }) => (set ? 'SET_INFLIGHT_FD' : 'GET_INFLIGHT_FD'),
  vhost_state_fd: () => 'SET_DEVICE_STATE_FD',
  vhost_state_check: () => 'CHECK_DEVICE_STATE',
  vhost_postcopy: ({ step }) =>
    step === 'advise' ? 'POSTCOPY_ADVISE' : step === 'listen' ? 'POSTCOPY_LISTEN' : 'POSTCOPY_END',
  vhost_rarp: () => 'SEND_RARP',
};

/** Kinds of event that tell a request in full. */
export const VHOST_USER_DECODED: ReadonlySet<EventKind> = new Set(Object.keys(REQUESTS) as EventKind[]);

/** The request that an event tells, or undefined. */
export function decodedRequest(event: TraceEvent): VhostUserRequest | undefined {
  return (REQUESTS[event.kind] as ((event: TraceEvent) => VhostUserRequest | undefined) | undefined)?.(event);
}

/**
 * Watches the requests of the front end, each once: by its message where the trace has messages, else by the
 * event that tells it in full.
 */
export function onRequests(handler: (request: VhostUserRequest, event: TraceEvent) => void): Watch {
  let messages = false;
  const decoded = (event: TraceEvent) => {
    const request = messages ? undefined : decodedRequest(event);
    if (request) handler(request, event);
  };
  return {
    ...Object.fromEntries([...VHOST_USER_DECODED].map((kind) => [kind, decoded])),
    vhost_message: (event) => {
      if (event.from !== 'front_end' || event.reply) return;
      messages = true;
      if (typeof event.request === 'string') handler(event.request, event);
    },
  };
}
