import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import { MIGRATION_STATUSES } from '../uapi/qemu.js';
import { type Observation, observation as seen } from './alternatives.js';
import type { HostTracker } from './host-tracker.js';
import { observeMigration } from './project-vdpa.js';

/** What each event about a whole host is to the machines that follow it and its devices. */
type Projection = { [K in EventKind]?: (host: HostTracker, event: EventOf<K>) => void };

const STATUS = Object.fromEntries(MIGRATION_STATUSES.map((status) => [status, seen(`STATUS.${status}`)]));
const VM = { start: seen('VM.start'), stop: seen('VM.stop') };
const ACK = { needed: seen('ACK.needed'), none: seen('ACK.none') };
const CLEANUP = seen('CLEANUP');
const LOAD = { setup: seen('LOAD.setup'), failed: seen('LOAD.failed') };

/** Tells all devices that QEMU does something for all of them. */
function tell(
  host: HostTracker,
  name: 'vmm-source' | 'vmm-destination',
  what: Observation,
  event: TraceEvent,
): void {
  for (const device of host.devices.values()) device.observe(name, what, event);
}

export const HOST_PROJECTION: Projection = {
  vmm_version: (host, event) => {
    host.version = `${event.name} ${event.version}`;
  },
  vm_state: (host, event) => {
    const what = event.running ? VM.start : VM.stop;
    if (!event.running && event.reason === 'finish-migrate' && host.vmRunning !== false)
      host.observe('switchover-ack', seen('SWITCHOVER'), event);
    host.vmRunning = event.running;
    host.observe('vm-phases', what, event);
    tell(host, 'vmm-source', what, event);
    if (event.running) tell(host, 'vmm-destination', what, event);
  },
  run_state: (host, event) => {
    if (event.from !== undefined) host.observe('run-state', seen(`RUN.${event.from}.${event.to}`), event);
  },
  migration_status: (host, event) => {
    host.status = event.status;
    host.observe('migration-status', STATUS[event.status]!, event);
    for (const device of host.devices.values()) observeMigration(device, event);
    if (event.status === 'setup') {
      host.machine('switchover-ack').observe(seen('SETUP'));
      host.machine('switchover-ack-legacy').observe(seen('SETUP'));
    }
  },
  source_setup: (host) => {
    host.isSource = true;
  },
  source_cleanup: (host, event) => tell(host, 'vmm-source', CLEANUP, event),
  destination_setup: (host, event) => {
    host.isDestination = true;
    tell(host, 'vmm-destination', LOAD.setup, event);
  },
  destination_load_end: (host, event) => {
    if (event.errno !== 0) tell(host, 'vmm-destination', LOAD.failed, event);
  },
  query_pending: (host, event) => {
    if (event.ackTotal === undefined) return;
    host.observe('switchover-ack', event.ackTotal > 0 ? ACK.needed : ACK.none, event);
  },
  switchover_ack: (host, event) => {
    const what = event.pending === undefined || event.pending === 0 ? 'ACK.all' : 'ACK.some';
    host.observe('switchover-ack', seen(what), event);
  },
  switchover_ack_needed: (host, event) => {
    host.observe('switchover-ack-legacy', seen(event.pending > 0 ? 'NEED.some' : 'NEED.none'), event);
  },
  switchover_approved: (host, event) => {
    if (event.pending === undefined) return;
    host.observe('switchover-ack-legacy', seen(event.pending > 0 ? 'APPROVED.more' : 'APPROVED.last'), event);
  },
};
