import type { EventOf, TraceEvent } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import { hasFeature } from '../uapi/virtio.js';
import { type Observation, observation as seen } from './alternatives.js';
import type { DeviceTracker } from './device-tracker.js';
import type { DeviceProjection } from './project-device.js';

/** Most rings of a device of which it is remembered whether they run. */
const MAX_RINGS = 1024;

/** Rings that have a backend, by device. */
const ATTACHED = new WeakMap<DeviceTracker, Set<number>>();

function attachedOf(device: DeviceTracker): Set<number> {
  const known = ATTACHED.get(device);
  if (known) return known;
  const made = new Set<number>();
  ATTACHED.set(device, made);
  return made;
}

/** The results of a request that may be refused for more than one reason, by its errno. */
function outcomes(name: string) {
  const either = seen(`${name}.ok`, `${name}.error`);
  const [ok, error] = [seen(`${name}.ok`), seen(`${name}.error`)];
  return (errno: number | undefined) => (errno === undefined ? either : errno === 0 ? ok : error);
}

const ownerOutcome = outcomes('OWNER');
const numOutcome = outcomes('NUM');
const baseOutcome = outcomes('BASE');
const [OWNER_RESET, RING_RESET, VMM_RESET] = [seen('OWNER.reset'), seen('RESET'), seen('RESET')];
const [ASK_OK, ASK_DENIED, ASK_BASE] = [seen('ASK.ok'), seen('ASK.denied'), seen('ASK.base')];
const [MEM, HALT] = [seen('MEM'), seen('HALT')];
const LOG = { base: seen('LOG.base'), none: seen('LOG.none') };
const LOG_ALL = {
  on: seen('LOG_ALL.on'),
  off: seen('LOG_ALL.off'),
  either: seen('LOG_ALL.on', 'LOG_ALL.off'),
};
const ADDR = { log: seen('ADDR.log'), plain: seen('ADDR.plain'), either: seen('ADDR.log', 'ADDR.plain') };
const RUN = { log: seen('RUN.log'), plain: seen('RUN'), either: seen('RUN', 'RUN.log') };
const FLAG = { on: seen('FLAG.on'), off: seen('FLAG.off') };
const [ATTACH, DETACH] = [seen('ATTACH'), seen('DETACH')];
const START = { begin: seen('START.begin'), end: seen('START.end') };
const STOP = { begin: seen('STOP.begin'), end: seen('STOP.end') };

type Result = TraceEvent & { errno?: number | undefined };

/** A request that only the owner may make. @returns whether it was carried out, as far as is known */
function owned(device: DeviceTracker, event: Result): boolean {
  if (event.errno === 0) device.observe('vhost-device', ASK_OK, event);
  else if (event.errno === ERRNO.EPERM) device.observe('vhost-device', ASK_DENIED, event);
  return !event.errno;
}

/** What both machines of a device take alike. */
function both(device: DeviceTracker, what: Observation, event: TraceEvent): void {
  device.observe('vhost-device', what, event);
  device.observe('vhost-vmm', what, event);
}

/** The log switch of a ring, or undefined while it is not known. */
function flagOf(device: DeviceTracker, index: number): boolean | undefined {
  const ring = device.part('vhost-vring', index).configurations();
  if (ring.every((each) => each.endsWith(' logged'))) return true;
  return ring.every((each) => each.endsWith(' plain')) ? false : undefined;
}

/** A ring runs with the log as it is now. */
function runs(device: DeviceTracker, index: number, event: TraceEvent): void {
  const flag = flagOf(device, index);
  const what = flag === undefined ? RUN.either : flag ? RUN.log : RUN.plain;
  device.observe('vhost-vmm', what, event);
}

function setFeatures(device: DeviceTracker, event: EventOf<'vhost_set_features'>): void {
  if (event.errno) return;
  const { features } = event;
  const on = features === undefined ? undefined : hasFeature(BigInt(features), VHOST_FEATURES.LOG_ALL);
  both(device, on === undefined ? LOG_ALL.either : on ? LOG_ALL.on : LOG_ALL.off, event);
  for (const index of attachedOf(device)) runs(device, index, event);
}

function setAddr(device: DeviceTracker, event: EventOf<'vring_addr'>): void {
  if (!owned(device, event)) return;
  const { index, log } = event;
  const before = flagOf(device, index);
  const what = log === undefined ? ADDR.either : log ? ADDR.log : ADDR.plain;
  device.observePart('vhost-vring', index, what, event);
  if (!attachedOf(device).has(index) || log === undefined) return;
  runs(device, index, event);
  if (before === !log) device.observe('vhost-vmm', log ? FLAG.on : FLAG.off, event);
}

function setBackend(device: DeviceTracker, event: EventOf<'vring_backend'>): void {
  if (!owned(device, event)) return;
  const rings = attachedOf(device);
  const { index, attached } = event;
  device.observePart('vhost-vring', index, attached ? ATTACH : DETACH, event);
  if (attached) {
    if (rings.size < MAX_RINGS) rings.add(index);
    device.observe('vhost-device', RUN.plain, event);
    runs(device, index, event);
  } else if (rings.delete(index) && rings.size === 0) device.observe('vhost-device', HALT, event);
}

/** Starts and stops of QEMU name no interface: they are of kernel vhost when something else was. */
const around =
  (what: { begin: Observation; end: Observation }) =>
  (device: DeviceTracker, event: EventOf<'vhost_dev_start' | 'vhost_dev_stop'>) => {
    if (device.followed('vhost-device'))
      device.observe('vhost-vmm', event.begin ? what.begin : what.end, event);
  };

/** What each event of kernel vhost is to the machines that follow it. */
export const VHOST_PROJECTION: DeviceProjection = {
  vhost_open: (device) => {
    device.open();
    attachedOf(device).clear();
    device.machine('vhost-device');
    device.machine('vhost-vmm');
  },
  vhost_set_owner: (device, event) => {
    device.observe('vhost-device', ownerOutcome(event.errno), event);
  },
  vhost_reset_owner: (device, event) => {
    if (!owned(device, event)) return;
    attachedOf(device).clear();
    device.observe('vhost-device', OWNER_RESET, event);
    device.observe('vhost-vmm', VMM_RESET, event);
    device.observeParts('vhost-vring', RING_RESET, event);
  },
  vhost_set_features: setFeatures,
  vhost_mem_table: (device, event) => {
    if (owned(device, event)) device.observe('vhost-device', MEM, event);
  },
  vhost_log_base: (device, event) => {
    if (owned(device, event)) both(device, event.none ? LOG.none : LOG.base, event);
  },
  vhost_log_fd: (device, event) => {
    owned(device, event);
  },
  vring_num: (device, event) => {
    owned(device, event);
    device.observePart('vhost-vring', event.index, numOutcome(event.errno), event);
  },
  vring_base: (device, event) => {
    owned(device, event);
    device.observePart('vhost-vring', event.index, baseOutcome(event.errno), event);
  },
  vring_base_read: (device, event) => {
    if (!event.shadow && owned(device, event))
      device.observePart('vhost-vring', event.index, ASK_BASE, event);
  },
  vring_addr: setAddr,
  vring_kick_fd: (device, event) => {
    owned(device, event);
  },
  vring_call_fd: (device, event) => {
    owned(device, event);
  },
  vring_backend: setBackend,
  vhost_dev_start: around(START),
  vhost_dev_stop: around(STOP),
};
