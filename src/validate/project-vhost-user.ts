import { decodedRequest, VHOST_USER_DECODED } from '../rules/vhost-user-facts.js';
import type { EventOf, TraceEvent } from '../trace/event.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../uapi/vhost-user.js';
import { hasFeature } from '../uapi/virtio.js';
import { type Observation, observation as seen } from './alternatives.js';
import type { DeviceMachine, DeviceTracker } from './device-tracker.js';
import type { DeviceProjection } from './project-device.js';
import { takeMessage, takePending } from './project-vhost-user-messages.js';
import {
  beginSession,
  currentSession,
  mayRun,
  moveRing,
  moveRings,
  sessionOf,
} from './project-vhost-user-session.js';

const observe =
  (machine: DeviceMachine, what: Observation) =>
  (device: DeviceTracker, event: TraceEvent & { errno?: number | undefined }) => {
    if (!event.errno) device.observe(machine, what, event);
  };

const ACK = new Map(
  [true, false].map((protocol) => [
    protocol,
    new Map(
      [true, false].map((log) => [log, seen(`ACK.${protocol ? 'protocol' : 'plain'}${log ? '.log' : ''}`)]),
    ),
  ]),
);
const ANY_ACK = seen('ACK.protocol', 'ACK.protocol.log', 'ACK.plain', 'ACK.plain.log');
const OFFER = { protocol: seen('OFFER.protocol'), plain: seen('OFFER.plain') };
const PROTOCOL = { get: seen('PROTOCOL.get'), set: seen('PROTOCOL.set') };
const ADDR = { plain: seen('ADDR'), log: seen('ADDR.log'), either: seen('ADDR', 'ADDR.log') };
const ENABLE = seen('ENABLE');
const RING_ENABLE = { on: seen('ENABLE.on'), off: seen('ENABLE.off') };
const [NUM, BASE, KICK, STOP] = [seen('NUM'), seen('BASE'), seen('KICK'), seen('STOP')];
const [KICKED, INBAND, AUTO, END] = [seen('KICKED'), seen('INBAND'), seen('AUTO'), seen('END')];
const [WORK, EFFECT, WRITE, OWN_MESSAGE] = [seen('WORK'), seen('EFFECT'), seen('WRITE'), seen('MESSAGE')];
/** libvhost-user only disables the rings; the text has everything return to its first state. */
const RESET_DEVICE = seen('RESET.kept', 'RESET.stopped');
const POSTCOPY = { advise: seen('ADVISE'), listen: seen('LISTEN'), end: seen('END') };

function offered({ features, protocolFeatures }: EventOf<'vhost_offered'>): Observation[] {
  return [
    ...(features === undefined
      ? []
      : [hasFeature(BigInt(features), VHOST_USER_F_PROTOCOL_FEATURES) ? OFFER.protocol : OFFER.plain]),
    ...(protocolFeatures === undefined ? [] : [PROTOCOL.get]),
  ];
}

function setFeatures(device: DeviceTracker, event: EventOf<'vhost_set_features'>): void {
  if (event.errno) return;
  const session = sessionOf(device);
  const word = event.features === undefined ? undefined : BigInt(event.features);
  const protocol = word !== undefined && hasFeature(word, VHOST_USER_F_PROTOCOL_FEATURES);
  const log = word !== undefined && hasFeature(word, VHOST_FEATURES.LOG_ALL);
  device.observe('vhost-user', word === undefined ? ANY_ACK : ACK.get(protocol)!.get(log)!, event);
  if (word !== undefined && !protocol) {
    session.automatic = true;
    moveRings(device, AUTO, event);
  }
  for (const index of session.rings.keys()) mayRun(device, index, event);
}

function stateFd(device: DeviceTracker, event: EventOf<'vhost_state_fd'>): void {
  const directions = event.direction ? [event.direction] : ['save', 'load'];
  const words = event.errno === undefined ? ['BEGIN', 'REFUSED'] : [event.errno === 0 ? 'BEGIN' : 'REFUSED'];
  const what = words.flatMap((word) => directions.map((direction) => `${word}.${direction}`));
  device.observe('vhost-user-transfer', seen(...what), event);
}

function check(device: DeviceTracker, event: EventOf<'vhost_state_check'>): void {
  const { errno } = event;
  const results = errno === undefined ? ['ok', 'error'] : [errno === 0 ? 'ok' : 'error'];
  device.observe('vhost-user-transfer', seen(...results.map((result) => `CHECK.${result}`)), event);
}

/** A request about one ring. */
const toRing =
  (what: Observation) =>
  (device: DeviceTracker, event: TraceEvent & { index: number; errno?: number | undefined }) => {
    if (!event.errno) moveRing(device, event.index, what, event);
  };

const REQUESTS: DeviceProjection = {
  vhost_offered: (device, event) => {
    if (!event.errno) for (const what of offered(event)) device.observe('vhost-user', what, event);
  },
  vhost_set_owner: observe('vhost-user', seen('OWNER')),
  vhost_set_features: setFeatures,
  vhost_set_protocol_features: (device, event) => {
    if (event.errno) return;
    const word = event.features === undefined ? 0n : BigInt(event.features);
    sessionOf(device).inband = hasFeature(word, VHOST_USER_PROTOCOL_FEATURES.INBAND_NOTIFICATIONS);
    device.observe('vhost-user', PROTOCOL.set, event);
  },
  vhost_mem_table: (device, event) => {
    if (!event.errno && event.change !== 'remove') device.observe('vhost-user', seen('MEM'), event);
  },
  vhost_log_base: observe('vhost-user', seen('LOG')),
  vring_num: toRing(NUM),
  vring_base: toRing(BASE),
  vring_base_read: (device, event) => {
    if (event.errno || event.shadow) return;
    moveRing(device, event.index, STOP, event);
    sessionOf(device).rings.set(event.index, undefined);
  },
  vring_addr: (device, event) => {
    if (event.errno) return;
    device.observe('vhost-user', seen('ADDR'), event);
    const { log } = event;
    moveRing(device, event.index, log === undefined ? ADDR.either : log ? ADDR.log : ADDR.plain, event);
    mayRun(device, event.index, event);
  },
  // Without a descriptor the back end polls the ring.
  vring_kick_fd: (device, event) => {
    if (event.errno) return;
    moveRing(device, event.index, KICK, event);
    sessionOf(device).rings.set(event.index, undefined);
    mayRun(device, event.index, event);
  },
  vring_enable: (device, event) => {
    if (event.errno) return;
    device.observe('vhost-user', ENABLE, event);
    moveRing(device, event.index, event.on ? RING_ENABLE.on : RING_ENABLE.off, event);
    mayRun(device, event.index, event);
  },
  vhost_iotlb: (device, event) => {
    if (event.type === 'miss' || event.type === 'access_fail')
      device.observe('vhost-user', OWN_MESSAGE, event);
  },
  vhost_reset_device: (device, event) => {
    if (!event.errno) moveRings(device, RESET_DEVICE, event);
  },
  vhost_state_fd: stateFd,
  vhost_state_check: check,
  vhost_postcopy: (device, event) => {
    if (!event.errno) device.observe('vhost-user-postcopy', POSTCOPY[event.step], event);
  },
};

/** Lets requests that are told in full move the machines, and keeps their messages from it. */
function decoded(): DeviceProjection {
  const all: Record<string, (device: DeviceTracker, event: never) => void> = {};
  for (const kind of VHOST_USER_DECODED) {
    const move = REQUESTS[kind] as ((device: DeviceTracker, event: never) => void) | undefined;
    all[kind] = (device, event) => {
      const session = sessionOf(device);
      const request = decodedRequest(event);
      if (request) session.decoded.add(request);
      takePending(device, session);
      move?.(device, event);
    };
  }
  return all as DeviceProjection;
}

/** The VMM begins or ends to set up a ring, or to take it down. */
const aroundRing = (device: DeviceTracker, event: EventOf<'vring_start' | 'vring_stop'>): void => {
  const session = currentSession(device);
  if (!session) return;
  takePending(device, session);
  session.window = event.begin ? event.index : undefined;
};

/** What each event of vhost-user is to the machines that follow it. */
export const VHOST_USER_PROJECTION: DeviceProjection = {
  ...decoded(),
  vhost_open: (device) => {
    device.open();
    beginSession(device);
  },
  vhost_close: (device) => {
    const session = sessionOf(device);
    takePending(device, session);
    session.closed = true;
  },
  vhost_message: takeMessage,
  vring_start: aroundRing,
  vring_stop: aroundRing,
  vring_kick: (device, event) => {
    const session = sessionOf(device);
    takePending(device, session);
    moveRing(device, event.index, session.inband ? INBAND : KICKED, event);
  },
  vhost_state_end: (device, event) => {
    takePending(device, sessionOf(device));
    device.observe('vhost-user-transfer', END, event);
  },
  vhost_write: (device, event) => {
    const session = currentSession(device);
    if (!session) return;
    takePending(device, session);
    device.observe('vhost-user', WRITE, event);
    if (event.index !== undefined)
      moveRing(device, event.index, event.what === 'buffer' ? EFFECT : WORK, event);
  },
  vring_progress: (device, event) => {
    const session = currentSession(device);
    if (!session) return;
    takePending(device, session);
    const { index, avail, used } = event;
    const last = session.rings.get(index);
    if (last && (avail > last.avail || used > last.used)) moveRing(device, index, WORK, event);
    if (session.rings.has(index)) session.rings.set(index, { avail, used });
  },
};
