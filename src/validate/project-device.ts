import { CALL_SITES, callEvent } from '../machines/vmm-set-state.js';
import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import { MIG_STATES, type MigState } from '../uapi/vfio.js';
import { observation as seen } from './alternatives.js';
import type { DeviceTracker } from './device-tracker.js';

/**
 * What each event about a device is to the machines that follow it. One function a kind; a kind that
 * is not here moves no machine.
 */
type Projection = { [K in EventKind]?: (device: DeviceTracker, event: EventOf<K>) => void };

const KNOWN_CALLS = new Set(CALL_SITES.map((site) => callEvent(site.state, site.recover)));

/** Observes a change that QEMU makes for one device. */
const source = (what: string) => (device: DeviceTracker, event: TraceEvent) => {
  device.observe('vmm-source', seen(what), event);
};
const destination = (what: string) => (device: DeviceTracker, event: TraceEvent) => {
  device.observe('vmm-destination', seen(what), event);
};

/** A result of a call whose errno may be unknown: success, failure, or either. */
function outcome(name: string, errno: number | undefined) {
  if (errno === undefined) return seen(`${name}.ok`, `${name}.error`);
  return seen(errno === 0 ? `${name}.ok` : `${name}.error`);
}

export const DEVICE_PROJECTION: Projection = {
  device_open: (device) => device.open(),
  capabilities: (device, event) => {
    if (event.flags !== undefined) device.setFlags(event.flags);
    device.dmaLogging = event.dmaLogging ?? device.dmaLogging;
    device.precopyInfoV2 = event.precopyInfoV2 ?? device.precopyInfoV2;
    device.resetOffered = event.reset ?? device.resetOffered;
  },
  set_state: setState,
  set_state_result: setStateResult,
  get_state: (device, { state, errno, ...rest }) => {
    if (state !== undefined && !errno)
      device.observe('vfio-device', seen(`GET.${state}`), { state, errno, ...rest } as TraceEvent);
  },
  reset: (device, event) => {
    if (event.offered === false) return;
    if (!event.errno) device.lastMove = 'reset';
    device.observe('vfio-device', outcome('RESET', event.errno), event);
    device.followed('dma-logging')?.observe(seen('RESET.ok'));
    if (event.errno === 0) device.followed('vfio-driver')?.observe(seen('RESET.ok'));
  },
  data_read: (device, event) => {
    if (event.result > 0) device.bytesRead += event.result;
    device.observe('vfio-device', readOutcome(event.result), event);
  },
  data_write: (device, event) => {
    if (event.result > 0) device.bytesWritten += event.result;
    device.observe('vfio-device', seen(event.result >= 0 ? 'WRITE.ok' : 'WRITE.error'), event);
  },
  precopy_info: (device, event) => {
    if (event.errno !== undefined) device.observe('vfio-device', precopyOutcome(event.errno), event);
  },
  data_size: (device, event) => {
    if (event.errno !== undefined) device.observe('vfio-device', outcome('DATA_SIZE', event.errno), event);
  },
  dma_logging_start: (device, event) => {
    device.observe('dma-logging', outcome('START', event.errno), event);
  },
  dma_logging_stop: (device, event) => {
    device.observe('dma-logging', outcome('STOP', event.errno), event);
  },
  dma_logging_report: (device, event) => {
    device.observe('dma-logging', outcome('REPORT', event.errno), event);
  },
  driver_arc: (device, event) => {
    const arc = seen(`ARC.${event.from}.${event.to}`);
    if (event.errno) return;
    device.transitions++;
    // A log line at the start of an arc does not tell whether the arc succeeded.
    device.observe('vfio-driver', arc, event, event.errno === undefined);
  },
  vmstate_prepare: (device, event) => {
    device.observe('vmm-source', seen('PREPARE'), event);
    device.host.observe('vm-phases', seen('PREPARE'), event);
  },
  vmstate_change: (device, event) => {
    device.observe('vmm-source', seen('CHANGE'), event);
    device.host.observe('vm-phases', seen('CHANGE'), event);
  },
  notifier: (device, event) => {
    const events = event.event ? [event.event] : ['setup', 'switchover', 'done', 'failed'];
    device.observe('vmm-source', seen(...events.map((each) => `NOTIFIER.${each}`)), event);
  },
  save_setup: source('SAVE.setup'),
  save_iterate: source('SAVE.iterate'),
  save_complete_start: source('SAVE.drain'),
  save_complete: (device, event) => {
    device.observe('vmm-source', seen('SAVE.drained'), event);
    // A drain without error has read the stream to its end.
    if (event.errno === 0) device.observe('vfio-device', seen('READ.end'), event);
  },
  save_config: source('SAVE.config'),
  save_cleanup: source('SAVE.cleanup'),
  load_record: destination('LOAD.record'),
  load_config_start: destination('LOAD.config_start'),
  load_config_end: destination('LOAD.config_end'),
  load_cleanup: destination('LOAD.cleanup'),
};

function readOutcome(result: number) {
  if (result > 0) return seen('READ.data');
  if (result === 0) return seen('READ.end');
  return seen(result === -ERRNO.ENOMSG! ? 'READ.ENOMSG' : 'READ.error');
}

function precopyOutcome(errno: number) {
  if (errno === 0) return seen('PRECOPY_INFO.ok');
  return seen(
    errno === ERRNO.EINVAL || errno === ERRNO.ENOTTY ? 'PRECOPY_INFO.refused' : 'PRECOPY_INFO.error',
  );
}

function setState(device: DeviceTracker, event: EventOf<'set_state'>): void {
  device.request = event;
  if (event.recover === undefined) return;
  const name = callEvent(String(event.state), event.recover);
  device.observe('vmm-set-state', seen(name), event);
  // A call that QEMU does not have is reported once, by vmm-set-state.
  if (!KNOWN_CALLS.has(name)) return;
  device.observe(event.state === 'RESUMING' ? 'vmm-destination' : 'vmm-source', seen(name), event);
}

function setStateResult(device: DeviceTracker, event: EventOf<'set_state_result'>): void {
  const { request } = device;
  device.request = null;
  if (event.state !== undefined && event.errno === undefined)
    device.observe('vmm-set-state', seen(`NOW.${event.state}`), event);
  if (event.errno) failed(device, request, event);
  else arrived(device, request, event);
}

/** The device has reached a state: the requested one, or one after a failure that was not shown. */
function arrived(
  device: DeviceTracker,
  request: EventOf<'set_state'> | null,
  event: EventOf<'set_state_result'>,
): void {
  const requested = request?.state;
  const state = event.state ?? (typeof requested === 'string' ? requested : undefined);
  if (state === undefined) return;
  device.transitions++;
  device.lastMove = 'set';
  if (event.errno === 0 || requested === state) {
    device.observe('vfio-device', setEvents(state, event.dataFd), event);
  } else if (requested === undefined) {
    device.observe(
      'vfio-device',
      seen(...setNames(state), ...(state === 'RUNNING' ? ['RESET.ok'] : [])),
      event,
    );
  } else {
    // QEMU went to its recover state, or reset the device: the request itself has failed somewhere.
    const lost = device
      .machine('vfio-device')
      .observe(seen(...MIG_STATES.map((at) => `FAIL.${requested}.${at}`)));
    const back = state === request?.recover ? setNames(state) : [...setNames(state), 'RESET.ok'];
    if (lost || state === 'RUNNING') device.observe('vfio-device', seen(...back), event);
  }
}

function failed(
  device: DeviceTracker,
  request: EventOf<'set_state'> | null,
  event: EventOf<'set_state_result'>,
): void {
  const requested = request?.state;
  device.lastMove = 'failed';
  if (typeof requested !== 'string') {
    if (event.state !== undefined) device.observe('vfio-device', seen(`GET.${event.state}`), event);
    return;
  }
  const at = event.state === undefined ? MIG_STATES : [event.state];
  device.observe('vfio-device', seen(...at.map((state) => `FAIL.${requested}.${state}`)), event);
}

const setNames = (state: MigState): string[] => [`SET.${state}`, `SET.${state}.data_fd`];

function setEvents(state: MigState, dataFd: boolean | undefined) {
  if (dataFd === undefined) return seen(...setNames(state));
  return seen(dataFd ? `SET.${state}.data_fd` : `SET.${state}`);
}
