import type { VdpaStatusState } from '../machines/index.js';
import type { EventOf } from '../trace/event.js';
import type { MigrationStatus } from '../uapi/qemu.js';
import { VHOST_BACKEND_FEATURES } from '../uapi/vhost.js';
import { hasFeature, VIRTIO_STATUS } from '../uapi/virtio.js';
import { type Observation, observation as seen } from './alternatives.js';
import type { DeviceTracker } from './device-tracker.js';
import type { DeviceProjection } from './project-device.js';

/** The bit of a status that counts most. */
export function vdpaStatusOf(status: number): VdpaStatusState {
  if (status & VIRTIO_STATUS.FAILED) return 'failed';
  if (status & VIRTIO_STATUS.DRIVER_OK) return 'driver_ok';
  if (status & VIRTIO_STATUS.FEATURES_OK) return 'features_ok';
  if (status & VIRTIO_STATUS.DRIVER) return 'driver';
  return status & VIRTIO_STATUS.ACKNOWLEDGE ? 'acknowledged' : 'reset';
}

/** The results of a call that a log may show before it is made: what cannot be told may be either. */
function outcomes(name: string) {
  const either = seen(`${name}.ok`, `${name}.error`);
  const [ok, error] = [seen(`${name}.ok`), seen(`${name}.error`)];
  return (errno: number | undefined) => (errno === undefined ? either : errno === 0 ? ok : error);
}

const suspendOutcome = outcomes('SUSPEND');
const resumeOutcome = outcomes('RESUME');
const FAILED_STATUS = seen('STATUS.error');
const [GO, RESET, ADDR] = [seen('GO'), seen('RESET'), seen('ADDR')];
const ENABLE = { on: seen('ENABLE.on'), off: seen('ENABLE.off') };
const ASK = {
  features: seen('ASK.features'),
  ring: seen('ASK.ring'),
  base: seen('ASK.base'),
  asid: seen('ASK.group_asid'),
  enable: seen('ASK.enable'),
};
const BASE = { guest: seen('BASE.guest'), shadow: seen('BASE.shadow') };
const BACKEND = { late: seen('BACKEND.late'), plain: seen('BACKEND.plain') };
const WRITE = seen('WRITE.memory');
const MIGRATION = {
  setup: seen('MIGRATION.setup'),
  active: seen('MIGRATION.active'),
  completed: seen('MIGRATION.completed'),
  failed: seen('MIGRATION.failed'),
};
/** What a status is to shadow virtqueues; one that is not here changes nothing for them. */
const OF_STATUS: { readonly [S in MigrationStatus]?: Observation } = {
  setup: MIGRATION.setup,
  active: MIGRATION.active,
  'pre-switchover': MIGRATION.active,
  device: MIGRATION.active,
  completed: MIGRATION.completed,
  failing: MIGRATION.failed,
  failed: MIGRATION.failed,
  cancelling: MIGRATION.failed,
  cancelled: MIGRATION.failed,
};

/** The status of the VM's migration has changed: what that is to a device with shadow virtqueues. */
export function observeMigration(device: DeviceTracker, event: EventOf<'migration_status'>): void {
  const what = OF_STATUS[event.status];
  if (what && device.followed('vdpa-shadow')) device.observe('vdpa-shadow', what, event);
}

/** Events that all interfaces have are about a vDPA device when something of vDPA was seen before. */
const isVdpa = (device: DeviceTracker): boolean => device.followed('vdpa-device') !== undefined;

/** What each event of vhost-vdpa is to the machines that follow it. */
export const VDPA_PROJECTION: DeviceProjection = {
  vhost_open: (device) => {
    device.open();
    device.machine('vdpa-device');
    device.machine('vdpa-shadow');
  },
  vdpa_status: (device, event) => {
    if (event.errno) device.observe('vdpa-device', FAILED_STATUS, event);
    if (event.errno || event.status === undefined) return;
    const state = vdpaStatusOf(event.status);
    device.observe('vdpa-device', seen(`STATUS.${state}`), event);
    if (event.status === 0) {
      device.observeParts('vdpa-vring', RESET, event);
      device.observe('vdpa-shadow', RESET, event);
    } else if (state === 'driver_ok') device.observeParts('vdpa-vring', GO, event);
  },
  vdpa_status_read: (device, event) => {
    if (event.errno || event.status === undefined) return;
    device.observe('vdpa-device', seen(`NOW.${vdpaStatusOf(event.status)}`), event);
  },
  vdpa_suspend: (device, event) => {
    device.observe('vdpa-device', suspendOutcome(event.errno), event);
  },
  vdpa_resume: (device, event) => {
    device.observe('vdpa-device', resumeOutcome(event.errno), event);
  },
  vdpa_group_asid: (device, event) => {
    device.observe('vdpa-device', ASK.asid, event);
  },
  vhost_set_features: (device, event) => {
    device.observe('vdpa-device', ASK.features, event);
  },
  vhost_set_backend_features: (device, event) => {
    if (event.errno || event.features === undefined) return;
    const late = hasFeature(BigInt(event.features), VHOST_BACKEND_FEATURES.ENABLE_AFTER_DRIVER_OK);
    device.observe('vdpa-device', late ? BACKEND.late : BACKEND.plain, event);
  },
  vring_addr: (device, event) => {
    device.observe('vdpa-device', ASK.ring, event);
    if (!event.errno) device.observePart('vdpa-vring', event.index, ADDR, event);
  },
  vring_base: (device, event) => {
    device.observe('vdpa-device', ASK.ring, event);
    if (event.errno || event.shadow === undefined) return;
    device.observe('vdpa-shadow', event.shadow ? BASE.shadow : BASE.guest, event);
  },
  vring_base_read: (device, event) => {
    if (!event.shadow) device.observe('vdpa-device', ASK.base, event);
  },
  vring_enable: (device, event) => {
    if (event.on) device.observe('vdpa-device', ASK.enable, event);
    if (!event.errno) device.observePart('vdpa-vring', event.index, event.on ? ENABLE.on : ENABLE.off, event);
  },
  vhost_write: (device, event) => {
    if (!isVdpa(device) || !device.observe('vdpa-device', WRITE, event)) return;
    if (event.index !== undefined) device.observePart('vdpa-vring', event.index, WRITE, event);
  },
};
