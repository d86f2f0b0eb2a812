import type { EventOf, TraceEvent } from '../trace/event.js';
import { VHOST_MAX_QUEUES, type VhostUserRequest } from '../uapi/vhost-user.js';
import { type Observation, observation as seen } from './alternatives.js';
import type { DeviceTracker } from './device-tracker.js';

/** What is kept of a vhost-user session beside its machines. */
export interface Session {
  /** Rings that were named, with what they had done at the last look. */
  readonly rings: Map<number, { avail: number; used: number } | undefined>;
  /** SET_FEATURES came without bit 30: rings are enabled. */
  automatic: boolean;
  /** Kicks come as messages. */
  inband: boolean;
  /** Requests that the trace tells in full: their messages move nothing. */
  readonly decoded: Set<VhostUserRequest>;
  /** A ring was started or stopped, and the trace does not say which. */
  blind: boolean;
  /** The connection has ended. */
  closed: boolean;
  /** The ring that the VMM is setting up or taking down. */
  window: number | undefined;
  /** The front end's last request. */
  asked: EventOf<'vhost_message'> | undefined;
  /** A request that is complete, and is taken by its message alone if nothing tells it in full. */
  pending: EventOf<'vhost_message'> | undefined;
}

const SESSIONS = new WeakMap<DeviceTracker, Session>();

const newSession = (): Session => ({
  rings: new Map(),
  automatic: false,
  inband: false,
  decoded: new Set(),
  blind: false,
  closed: false,
  window: undefined,
  asked: undefined,
  pending: undefined,
});

/** The session that a device has now; undefined when it has none, or is none of vhost-user. */
export function currentSession(device: DeviceTracker): Session | undefined {
  const session = SESSIONS.get(device);
  return session?.closed ? undefined : session;
}

/** The session of a device of which something was said over vhost-user; a new one after the last has ended. */
export function sessionOf(device: DeviceTracker): Session {
  const session = SESSIONS.get(device);
  if (session && !session.closed) return session;
  if (session) device.open();
  return beginSession(device);
}

/** A connection was made: its session begins. */
export function beginSession(device: DeviceTracker): Session {
  const session = newSession();
  SESSIONS.set(device, session);
  return session;
}

const WORDS = ['stopped', 'armed', 'started'];
const LEVEL_OF: Readonly<Record<string, number>> = { unstarted: 0, stopped: 0, armed: 1, started: 2 };
const HIGHEST = 2;
/** What is known of the ring that is furthest: between which levels it is. */
const LEVELS: readonly (readonly Observation[])[] = WORDS.map((_, low) =>
  WORDS.map((_word, high) => seen(...WORDS.slice(low, high + 1).map((word) => `RINGS.${word}`))),
);
const AUTO = seen('AUTO');
const RUN = { plain: seen('RUN'), logged: seen('RUN.log') };

/** Lets a ring take an observation, and the device what has become of its rings by that. */
export function moveRing(device: DeviceTracker, index: number, what: Observation, event: TraceEvent): void {
  const session = sessionOf(device);
  if (!session.rings.has(index)) {
    if (session.rings.size >= VHOST_MAX_QUEUES) return;
    session.rings.set(index, undefined);
    if (session.automatic) device.part('vhost-user-vring', index).observe(AUTO);
  }
  const ring = device.part('vhost-user-vring', index);
  const before = ring.key;
  device.observePart('vhost-user-vring', index, what, event);
  // A ring that was started unnamed may be this one, though it did not move by what was known of it.
  if (ring.key !== before || session.blind) settle(device, session, event);
}

/** Lets all rings that were named take an observation. */
export function moveRings(device: DeviceTracker, what: Observation, event: TraceEvent): void {
  for (const index of sessionOf(device).rings.keys()) moveRing(device, index, what, event);
}

/** A ring has moved that the trace does not name: any may have. The furthest one is at least as far as `low` now. */
export function moveUnnamed(device: DeviceTracker, what: Observation, low: 0 | 1, event: TraceEvent): void {
  const session = sessionOf(device);
  session.blind = true;
  for (const index of session.rings.keys()) device.part('vhost-user-vring', index).observeMaybe(what);
  settle(device, session, event, low);
}

/** Tells the machines of the device how far its rings are. */
function settle(device: DeviceTracker, session: Session, event: TraceEvent, least = 0): void {
  let low = least;
  let high = session.blind || !device.opened ? HIGHEST : least;
  for (const index of session.rings.keys()) {
    const levels = device
      .part('vhost-user-vring', index)
      .states()
      .map((state) => LEVEL_OF[state]!);
    low = Math.max(low, Math.min(...levels));
    high = Math.max(high, ...levels);
  }
  const what = LEVELS[low]![high]!;
  device.observe('vhost-user', what, event);
  device.observe('vhost-user-transfer', what, event);
}

/** Where the back end surely may run an enabled ring now, the log has to be there. */
export function mayRun(device: DeviceTracker, index: number, event: TraceEvent): void {
  const ring = device.part('vhost-user-vring', index).configurations();
  if (!ring.every((each) => /^(armed|started) enabled /.test(each))) return;
  const logged = ring.every((each) => each.endsWith(' logged'));
  if (logged || ring.every((each) => each.endsWith(' plain')))
    device.observe('vhost-user', logged ? RUN.logged : RUN.plain, event);
}
