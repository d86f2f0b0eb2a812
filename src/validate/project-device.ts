import { inSavingGroup } from '../machines/vfio-arcs.js';
import { CALL_SITES, callEvent } from '../machines/vmm-set-state.js';
import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import { MIG_STATES, type MigState } from '../uapi/vfio.js';
import { observation as seen } from './alternatives.js';
import type { DeviceTracker } from './device-tracker.js';
import { DIRTY_LOG_PROJECTION } from './project-dirty-log.js';
import { VHOST_INTERFACE_PROJECTION } from './project-vhost-interfaces.js';

/**
 * What each event about a device is to the machines that follow it. One function a kind; a kind that
 * is not here moves no machine.
 */
export type DeviceProjection = { [K in EventKind]?: (device: DeviceTracker, event: EventOf<K>) => void };

/** Observations are looked up by state, not put together from names: this is the hot path. */
function byState<T>(make: (state: MigState) => T): Readonly<Record<MigState, T>> {
  return Object.fromEntries(MIG_STATES.map((state) => [state, make(state)])) as Record<MigState, T>;
}

const setNames = (state: MigState): string[] => [`SET.${state}`, `SET.${state}.data_fd`];
const RESET_TO = (state: MigState): string[] => (state === 'RUNNING' ? ['RESET.ok'] : []);

const GET = byState((state) => seen(`GET.${state}`));
const NOW = byState((state) => seen(`NOW.${state}`));
const SET = byState((state) => ({
  withFd: seen(`SET.${state}.data_fd`),
  withoutFd: seen(`SET.${state}`),
  either: seen(...setNames(state)),
  /** Nobody saw a request: by a request or, to RUNNING, by a reset. */
  somehow: seen(...setNames(state), ...RESET_TO(state)),
  /** After a request that failed: by the recover state's request or by a reset. */
  afterAll: seen(...setNames(state), 'RESET.ok'),
}));
const FAIL = byState((requested) => ({
  at: byState((at) => seen(`FAIL.${requested}.${at}`)),
  anywhere: seen(...MIG_STATES.map((at) => `FAIL.${requested}.${at}`)),
}));
const ARC = byState((from) => byState((to) => seen(`ARC.${from}.${to}`)));
const READ = {
  data: seen('READ.data'),
  end: seen('READ.end'),
  ENOMSG: seen('READ.ENOMSG'),
  error: seen('READ.error'),
};
const WRITE = { ok: seen('WRITE.ok'), error: seen('WRITE.error') };
const PREPARE = seen('PREPARE');
const CHANGE = seen('CHANGE');
const DRAINED = seen('SAVE.drained');
const RESET_OK = seen('RESET.ok');

/** The calls that QEMU has, by requested and recover state. */
const CALLS = new Map(
  MIG_STATES.map((state) => [
    state as string | number,
    new Map(
      CALL_SITES.filter((site) => site.state === state).map((site) => [
        site.recover,
        seen(callEvent(site.state, site.recover)),
      ]),
    ),
  ]),
);

/** Observes a change that QEMU makes for one device. */
const source = (name: string) => {
  const what = seen(name);
  return (device: DeviceTracker, event: TraceEvent) => {
    device.observe('vmm-source', what, event);
  };
};
const destination = (name: string) => {
  const what = seen(name);
  return (device: DeviceTracker, event: TraceEvent) => {
    device.observe('vmm-destination', what, event);
  };
};

/** The results of a call whose errno may be unknown: success, failure, or either. */
function outcomes(name: string) {
  const either = seen(`${name}.ok`, `${name}.error`);
  const [ok, error] = [seen(`${name}.ok`), seen(`${name}.error`)];
  return (errno: number | undefined) => (errno === undefined ? either : errno === 0 ? ok : error);
}

const resetOutcome = outcomes('RESET');
const dataSizeOutcome = outcomes('DATA_SIZE');
const startOutcome = outcomes('START');
const stopOutcome = outcomes('STOP');
const reportOutcome = outcomes('REPORT');
const PRECOPY = {
  ok: seen('PRECOPY_INFO.ok'),
  refused: seen('PRECOPY_INFO.refused'),
  error: seen('PRECOPY_INFO.error'),
};
const NOTIFIER = {
  setup: seen('NOTIFIER.setup'),
  switchover: seen('NOTIFIER.switchover'),
  done: seen('NOTIFIER.done'),
  failed: seen('NOTIFIER.failed'),
};
const ANY_NOTIFIER = seen('NOTIFIER.setup', 'NOTIFIER.switchover', 'NOTIFIER.done', 'NOTIFIER.failed');

export const DEVICE_PROJECTION: DeviceProjection = {
  ...VHOST_INTERFACE_PROJECTION,
  ...DIRTY_LOG_PROJECTION,
  device_open: (device) => device.open(),
  capabilities: (device, event) => {
    if (event.flags !== undefined) device.setFlags(event.flags);
    device.dmaLogging = event.dmaLogging ?? device.dmaLogging;
    device.precopyInfoV2 = event.precopyInfoV2 ?? device.precopyInfoV2;
    device.resetOffered = event.reset ?? device.resetOffered;
  },
  set_state: setState,
  set_state_result: setStateResult,
  get_state: (device, event) => {
    if (event.state !== undefined && !event.errno) device.observe('vfio-device', GET[event.state], event);
  },
  reset: (device, event) => {
    if (event.offered === false) return;
    if (event.errno === 0) device.leftIn = null;
    const recovers = device.called && device.lastMove === 'failed';
    if (!event.errno) device.lastMove = 'reset';
    device.observe('vfio-device', resetOutcome(event.errno), event);
    device.followed('dma-logging')?.observe(RESET_OK);
    if (event.errno !== 0) return;
    device.followed('vfio-driver')?.observe(RESET_OK);
    if (recovers) device.observe('vmm-set-state', NOW.RUNNING, event);
    device.called = false;
  },
  data_read: (device, event) => {
    // A read of nothing gives nothing, wherever the stream stands.
    if (event.size === 0) return;
    if (event.result > 0) device.bytesRead += event.result;
    device.observe('vfio-device', readOutcome(event.result), event);
  },
  data_write: (device, event) => {
    if (event.result > 0) device.bytesWritten += event.result;
    device.observe('vfio-device', event.result >= 0 ? WRITE.ok : WRITE.error, event);
  },
  precopy_info: (device, event) => {
    if (event.errno !== undefined) device.observe('vfio-device', precopyOutcome(event.errno), event);
  },
  data_size: (device, event) => {
    if (event.errno !== undefined) device.observe('vfio-device', dataSizeOutcome(event.errno), event);
  },
  dma_logging_start: (device, event) => {
    device.observe('dma-logging', startOutcome(event.errno), event);
  },
  dma_logging_stop: (device, event) => {
    device.observe('dma-logging', stopOutcome(event.errno), event);
  },
  dma_logging_report: (device, event) => {
    device.observe('dma-logging', reportOutcome(event.errno), event);
  },
  driver_arc: (device, event) => {
    const arc = ARC[event.from][event.to];
    if (event.errno) return;
    device.transitions++;
    // A log line at the start of an arc does not tell whether the arc succeeded.
    device.observe('vfio-driver', arc, event, event.errno === undefined);
  },
  vmstate_prepare: (device, event) => {
    device.observe('vmm-source', PREPARE, event);
    device.host.observe('vm-phases', PREPARE, event);
  },
  vmstate_change: (device, event) => {
    device.observe('vmm-source', CHANGE, event);
    device.host.observe('vm-phases', CHANGE, event);
  },
  notifier: (device, event) => {
    device.observe('vmm-source', event.event ? NOTIFIER[event.event] : ANY_NOTIFIER, event);
  },
  save_setup: source('SAVE.setup'),
  save_iterate: source('SAVE.iterate'),
  save_complete_start: source('SAVE.drain'),
  save_complete: (device, event) => {
    device.observe('vmm-source', DRAINED, event);
    // A drain without error has read the stream to its end.
    if (event.errno === 0) device.observe('vfio-device', READ.end, event);
  },
  save_config: source('SAVE.config'),
  save_cleanup: source('SAVE.cleanup'),
  load_record: destination('LOAD.record'),
  load_config_start: destination('LOAD.config_start'),
  load_config_end: destination('LOAD.config_end'),
  load_cleanup: destination('LOAD.cleanup'),
};

function readOutcome(result: number) {
  if (result > 0) return READ.data;
  if (result === 0) return READ.end;
  return result === -ERRNO.ENOMSG! ? READ.ENOMSG : READ.error;
}

function precopyOutcome(errno: number) {
  if (errno === 0) return PRECOPY.ok;
  return errno === ERRNO.EINVAL || errno === ERRNO.ENOTTY ? PRECOPY.refused : PRECOPY.error;
}

function setState(device: DeviceTracker, event: EventOf<'set_state'>): void {
  device.request = event;
  if (event.recover === undefined) return;
  device.called = true;
  const call = CALLS.get(event.state)?.get(event.recover);
  // A call that QEMU does not have is reported once, by vmm-set-state.
  device.observe('vmm-set-state', call ?? seen(callEvent(String(event.state), event.recover)), event);
  if (call) device.observe(event.state === 'RESUMING' ? 'vmm-destination' : 'vmm-source', call, event);
}

function setStateResult(device: DeviceTracker, event: EventOf<'set_state_result'>): void {
  const { request } = device;
  device.request = null;
  // A VMM believes in a state when its own log says so, or when its call, or the recovery from it, succeeded.
  const believed = event.errno === undefined || (device.called && event.errno === 0);
  if (event.state !== undefined && believed) {
    device.called = false;
    device.observe('vmm-set-state', NOW[event.state], event);
  }
  if (event.errno) failed(device, request, event);
  else {
    arrived(device, request, event);
    device.leftIn = null;
  }
}

type Request = EventOf<'set_state'> | null;

/** The device has reached a state: the requested one, or one after a failure that was not shown. */
function arrived(device: DeviceTracker, request: Request, event: EventOf<'set_state_result'>): void {
  const requested = request?.state;
  const state = event.state ?? (typeof requested === 'string' ? requested : undefined);
  if (state === undefined) return;
  device.transitions++;
  device.lastMove = 'set';
  device.saved ||= inSavingGroup(state);
  if (event.errno === 0 || requested === state) {
    const { either, withFd, withoutFd } = SET[state];
    const how = event.dataFd === undefined ? either : event.dataFd ? withFd : withoutFd;
    device.observe('vfio-device', how, event);
  } else if (typeof requested !== 'string') {
    device.observe('vfio-device', SET[state].somehow, event);
  } else {
    // QEMU went to its recover state, or reset the device: the request itself has failed somewhere.
    device.machine('vfio-device').observe(FAIL[requested].anywhere);
    device.observe(
      'vfio-device',
      state === request?.recover ? SET[state].either : SET[state].afterAll,
      event,
    );
  }
}

function failed(device: DeviceTracker, request: Request, event: EventOf<'set_state_result'>): void {
  const requested = request?.state;
  device.lastMove = 'failed';
  if (typeof requested === 'string') {
    const { at, anywhere } = FAIL[requested];
    device.observe('vfio-device', event.state === undefined ? anywhere : at[event.state], event);
  } else if (event.state !== undefined) {
    device.observe('vfio-device', GET[event.state], event);
  }
}
