import { MIG_STATES, type MigState } from '../uapi/vfio.js';
import type { CapabilitySet } from './capabilities.js';
import type { ClauseId } from './clauses.js';

/** One step of the device FSM that a variant driver implements. */
export interface Arc {
  readonly from: MigState;
  readonly to: MigState;
  readonly clause: ClauseId;
  /** Whether a device with these capabilities has the arc. */
  readonly when: (caps: CapabilitySet) => boolean;
}

const always = () => true;
const p2p = (caps: CapabilitySet) => caps.p2p;
const noP2p = (caps: CapabilitySet) => !caps.p2p;
const preCopy = (caps: CapabilitySet) => caps.preCopy;
const preCopyNoP2p = (caps: CapabilitySet) => caps.preCopy && !caps.p2p;
const preCopyP2p = (caps: CapabilitySet) => caps.preCopy && caps.p2p;

const arc = (from: MigState, to: MigState, clause: ClauseId, when: Arc['when']): Arc => ({
  from,
  to,
  clause,
  when,
});

/** Every arc of the uAPI. The next-hop table, the charts and the checks are derived from this list. */
export const ARCS: readonly Arc[] = [
  arc('STOP', 'STOP_COPY', 'uapi/stop-copy', always),
  arc('STOP_COPY', 'STOP', 'uapi/stop-copy-end', always),
  arc('STOP', 'RESUMING', 'uapi/resuming', always),
  arc('RESUMING', 'STOP', 'uapi/resuming-stop', always),
  arc('RUNNING', 'STOP', 'uapi/stop', noP2p),
  arc('STOP', 'RUNNING', 'uapi/running', noP2p),
  arc('RUNNING', 'RUNNING_P2P', 'uapi/running-p2p', p2p),
  arc('RUNNING_P2P', 'RUNNING', 'uapi/running', p2p),
  arc('RUNNING_P2P', 'STOP', 'uapi/stop', p2p),
  arc('STOP', 'RUNNING_P2P', 'uapi/running-p2p', p2p),
  arc('RUNNING', 'PRE_COPY', 'uapi/pre-copy', preCopy),
  arc('PRE_COPY', 'RUNNING', 'uapi/pre-copy-end', preCopy),
  arc('PRE_COPY', 'STOP_COPY', 'uapi/saving-group', preCopyNoP2p),
  arc('RUNNING_P2P', 'PRE_COPY_P2P', 'uapi/pre-copy', preCopyP2p),
  arc('PRE_COPY_P2P', 'RUNNING_P2P', 'uapi/pre-copy-end', preCopyP2p),
  arc('PRE_COPY', 'PRE_COPY_P2P', 'uapi/saving-group', preCopyP2p),
  arc('PRE_COPY_P2P', 'PRE_COPY', 'uapi/saving-group', preCopyP2p),
  arc('PRE_COPY_P2P', 'STOP_COPY', 'uapi/saving-group', preCopyP2p),
];

const arcsBySet = new WeakMap<CapabilitySet, readonly Arc[]>();

/** The arcs of a device with these capabilities. */
export function arcsOf(caps: CapabilitySet): readonly Arc[] {
  const known = arcsBySet.get(caps);
  if (known) return known;
  const arcs = ARCS.filter((each) => each.when(caps));
  arcsBySet.set(caps, arcs);
  return arcs;
}

/** Whether a device with these capabilities has the state at all. ERROR is everybody's. */
export function hasState(state: MigState, caps: CapabilitySet): boolean {
  return state === 'ERROR' || arcsOf(caps).some((each) => each.from === state);
}

/** In these states a save session is open: the uAPI's saving group. */
export function inSavingGroup(state: MigState): boolean {
  return state === 'PRE_COPY' || state === 'PRE_COPY_P2P' || state === 'STOP_COPY';
}

/** In PRE_COPY and PRE_COPY_P2P the device runs and its data ends only for the time being. */
export function inPreCopy(state: MigState): boolean {
  return state === 'PRE_COPY' || state === 'PRE_COPY_P2P';
}

/** The device may change memory or its own state. */
export function isRunning(state: MigState): boolean {
  return state === 'RUNNING' || state === 'RUNNING_P2P' || inPreCopy(state);
}

/** The device may start peer-to-peer DMA. */
export function mayDoP2p(state: MigState): boolean {
  return state === 'RUNNING' || state === 'PRE_COPY';
}

/** In these states a data_fd belongs to the device. */
export function hasSession(state: MigState): boolean {
  return inSavingGroup(state) || state === 'RESUMING';
}

/** Whether a change from one state to another begins a new session, and so returns a data_fd. */
export function opensSession(from: MigState, to: MigState): boolean {
  return from !== to && hasSession(to) && !(inSavingGroup(from) && inSavingGroup(to));
}

/**
 * The path rule. A path between two states of the saving group stays inside it (the session goes on);
 * every other path has no saving-group state in its interior.
 */
function mayPass(from: MigState, to: MigState, interior: MigState): boolean {
  return inSavingGroup(interior) === (inSavingGroup(from) && inSavingGroup(to));
}

/**
 * The hops that a request for `to` makes in state `from`, by the uAPI's path rule; the last is `to`.
 * `[]` when `from` is `to`; null when there is no such path: the request fails.
 */
export function requestedPath(from: MigState, to: MigState, caps: CapabilitySet): MigState[] | null {
  const known = pathsBySet.get(caps) ?? new Map<string, readonly MigState[] | null>();
  pathsBySet.set(caps, known);
  const key = `${from}>${to}`;
  let path = known.get(key);
  if (path === undefined) {
    path = findPath(from, to, caps);
    known.set(key, path);
  }
  return path === null ? null : [...path];
}

const pathsBySet = new WeakMap<CapabilitySet, Map<string, readonly MigState[] | null>>();

function findPath(from: MigState, to: MigState, caps: CapabilitySet): MigState[] | null {
  if (from === 'ERROR' || to === 'ERROR' || !hasState(from, caps) || !hasState(to, caps)) return null;
  if (from === to) return [];
  const arcs = arcsOf(caps);
  const cameFrom = new Map<MigState, MigState>();
  const queue: MigState[] = [from];
  for (const state of queue) {
    for (const { to: next } of arcs.filter((each) => each.from === state)) {
      if (next === from || cameFrom.has(next) || (next !== to && !mayPass(from, to, next))) continue;
      cameFrom.set(next, state);
      if (next === to) return walkBack(cameFrom, from, to);
      queue.push(next);
    }
  }
  return null;
}

function walkBack(cameFrom: Map<MigState, MigState>, from: MigState, to: MigState): MigState[] {
  const path: MigState[] = [];
  for (let state = to; state !== from; state = cameFrom.get(state)!) path.unshift(state);
  return path;
}

/**
 * What the kernel's `vfio_mig_get_next_state()` answers: the next hop, `from` itself when nothing is
 * to do, or null for -EINVAL.
 */
export function nextHop(from: MigState, to: MigState, caps: CapabilitySet): MigState | null {
  const path = requestedPath(from, to, caps);
  return path === null ? null : (path[0] ?? from);
}

/** The full table of requested paths, over all eight states. */
export function allPaths(caps: CapabilitySet): Record<MigState, Record<MigState, MigState[] | null>> {
  return Object.fromEntries(
    MIG_STATES.map((from) => [
      from,
      Object.fromEntries(MIG_STATES.map((to) => [to, requestedPath(from, to, caps)])),
    ]),
  ) as Record<MigState, Record<MigState, MigState[] | null>>;
}
