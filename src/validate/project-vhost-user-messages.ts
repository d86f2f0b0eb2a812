import { vhostUserRequestShape } from '../machines/vhost-user-requests.js';
import type { EventOf } from '../trace/event.js';
import type { VhostUserRequest } from '../uapi/vhost-user.js';
import { type Observation, observation as seen } from './alternatives.js';
import type { DeviceMachine, DeviceTracker } from './device-tracker.js';
import { moveRing, moveRings, moveUnnamed, type Session, sessionOf } from './project-vhost-user-session.js';

/**
 * What a message says by its name alone. A log of QEMU has no payloads: which ring is meant is known while the
 * VMM says that it sets one up or takes one down.
 */

type Message = EventOf<'vhost_message'>;
type Step = (device: DeviceTracker, session: Session, event: Message) => void;

const to =
  (machine: DeviceMachine, ...events: string[]): Step =>
  (device, _session, event) => {
    device.observe(machine, seen(...events), event);
  };

/** A request about one ring. With `low` it starts or stops one, whether the trace says which or not. */
const ring =
  (what: Observation, low?: 0 | 1): Step =>
  (device, { window }, event) => {
    if (window !== undefined) moveRing(device, window, what, event);
    else if (low !== undefined) moveUnnamed(device, what, low, event);
  };

const both =
  (...steps: Step[]): Step =>
  (device, session, event) => {
    for (const step of steps) step(device, session, event);
  };

const ACKS = ['ACK.protocol', 'ACK.protocol.log', 'ACK.plain', 'ACK.plain.log'];
const RESETS = seen('RESET.kept', 'RESET.stopped');

const STOP = ring(seen('STOP'), 0);

const STEPS: { readonly [R in VhostUserRequest]?: Step } = {
  GET_FEATURES: to('vhost-user', 'OFFER.protocol', 'OFFER.plain'),
  SET_FEATURES: to('vhost-user', ...ACKS),
  SET_OWNER: to('vhost-user', 'OWNER'),
  GET_PROTOCOL_FEATURES: to('vhost-user', 'PROTOCOL.get'),
  SET_PROTOCOL_FEATURES: to('vhost-user', 'PROTOCOL.set'),
  SET_VRING_ENABLE: to('vhost-user', 'ENABLE'),
  SET_MEM_TABLE: to('vhost-user', 'MEM'),
  ADD_MEM_REG: to('vhost-user', 'MEM'),
  SET_LOG_BASE: to('vhost-user', 'LOG'),
  SET_VRING_NUM: ring(seen('NUM')),
  SET_VRING_BASE: ring(seen('BASE')),
  SET_VRING_ADDR: both(to('vhost-user', 'ADDR'), ring(seen('ADDR', 'ADDR.log'))),
  SET_VRING_KICK: ring(seen('KICK'), 1),
  GET_VRING_BASE: STOP,
  GET_VRING_BASE_SKIP_DRAIN: STOP,
  RESET_DEVICE: (device, _session, event) => moveRings(device, RESETS, event),
  SET_DEVICE_STATE_FD: to('vhost-user-transfer', 'BEGIN.save', 'BEGIN.load', 'REFUSED.save', 'REFUSED.load'),
  // The end of the data is no message: it is taken to have been there.
  CHECK_DEVICE_STATE: both(
    to('vhost-user-transfer', 'END'),
    to('vhost-user-transfer', 'CHECK.ok', 'CHECK.error'),
  ),
  POSTCOPY_ADVISE: to('vhost-user-postcopy', 'ADVISE'),
  POSTCOPY_LISTEN: to('vhost-user-postcopy', 'LISTEN'),
  POSTCOPY_END: to('vhost-user-postcopy', 'END'),
};

const OWN_MESSAGE = seen('MESSAGE');

/** Takes the request that is complete, unless the trace tells its like in full. */
export function takePending(device: DeviceTracker, session: Session): void {
  const { pending } = session;
  session.pending = undefined;
  const request = pending?.request as VhostUserRequest;
  if (pending && !session.decoded.has(request)) STEPS[request]?.(device, session, pending);
}

/** A message was sent. */
export function takeMessage(device: DeviceTracker, event: Message): void {
  const session = sessionOf(device);
  takePending(device, session);
  const { asked } = session;
  if (event.from === 'front_end') {
    if (!event.reply) ask(device, session, event);
  } else if (event.reply) {
    if (asked?.request === event.request) session.pending = asked;
    session.asked = undefined;
  } else if (asked?.request !== event.request) {
    device.observe('vhost-user', OWN_MESSAGE, event);
  }
}

function ask(device: DeviceTracker, session: Session, event: Message): void {
  const { asked } = session;
  // Without LOG_SHMFD a log is given without an answer.
  if (asked && vhostUserRequestShape(asked.request)?.reply === 'log') {
    session.pending = asked;
    takePending(device, session);
  }
  session.asked = event;
  const shape = vhostUserRequestShape(event.request);
  if (shape?.reply === 'ack' && !event.needReply) session.pending = event;
}
