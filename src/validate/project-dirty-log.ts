import { protectEvent } from '../machines/index.js';
import { ERRNO } from '../uapi/errno.js';
import { KVM_DIRTY_GFN_FLAGS, KVM_EXIT_DIRTY_RING_FULL } from '../uapi/kvm.js';
import { observation as seen } from './alternatives.js';
import type { DeviceTracker } from './device-tracker.js';
import type { DeviceProjection } from './project-device.js';

/** The results of a call whose errno may be unknown: success, failure, or either. */
function outcomes(name: string) {
  const either = seen(`${name}.ok`, `${name}.error`);
  const [ok, error] = [seen(`${name}.ok`), seen(`${name}.error`)];
  return (errno: number | undefined) => (errno === undefined ? either : errno === 0 ? ok : error);
}

/** As `outcomes`, where ENOENT says something of its own. */
function logOutcomes(name: string) {
  const either = seen(`${name}.ok`, `${name}.ENOENT`, `${name}.error`);
  const [ok, error, none] = [seen(`${name}.ok`), seen(`${name}.error`), seen(`${name}.ENOENT`)];
  return (errno: number | undefined) => {
    if (errno === undefined) return either;
    if (errno === 0) return ok;
    return errno === ERRNO.ENOENT ? none : error;
  };
}

const getOutcome = logOutcomes('GET');
const clearOutcome = logOutcomes('CLEAR');
const startOutcome = outcomes('START');
const stopOutcome = outcomes('STOP');
const type1Get = outcomes('GET');
const enableOutcome = {
  on: [seen('ENABLE.ok'), seen('SET.error'), seen('ENABLE.ok', 'SET.error')],
  off: [seen('DISABLE.ok'), seen('SET.error'), seen('DISABLE.ok', 'SET.error')],
} as const;
const READ = {
  clear: [seen('READ.clear'), seen('READ.error'), seen('READ.clear', 'READ.error')],
  keep: [seen('READ.keep'), seen('READ.error'), seen('READ.keep', 'READ.error')],
} as const;
const UNMAP = {
  bitmap: [seen('UNMAP.bitmap'), seen('UNMAP.error'), seen('UNMAP.bitmap', 'UNMAP.error')],
  plain: [seen('UNMAP.plain'), seen('UNMAP.error'), seen('UNMAP.plain', 'UNMAP.error')],
} as const;
const which = (errno: number | undefined): 0 | 1 | 2 => (errno === undefined ? 2 : errno === 0 ? 0 : 1);

const SLOT = {
  noLog: seen('SET.no_log'),
  log: seen('SET.log'),
  logAll: seen('SET.log_all'),
  either: seen('SET.log', 'SET.log_all'),
  error: seen('SET.error'),
  deleted: seen('DELETE.ok'),
};
const BITMAP_CALL = { ENXIO: seen('BITMAP_CALL.ENXIO'), taken: seen('BITMAP_CALL.taken') };
const RESET_CALL = { ok: seen('RESET_CALL.ok'), EINVAL: seen('RESET_CALL.EINVAL') };
const RING = {
  dirty: seen('HARVEST.dirty'),
  empty: seen('HARVEST.empty'),
  taken: seen('RESET.taken'),
  none: seen('RESET.none'),
  error: seen('RESET.error'),
  full: seen('FULL'),
};

/** KVM_GET_DIRTY_LOG or KVM_CLEAR_DIRTY_LOG: with rings alone neither gets as far as the slot. */
function bitmapCall(device: DeviceTracker, event: { errno?: number | undefined } & KvmCallEvent): boolean {
  if (event.errno === undefined) return true;
  const what = event.errno === ERRNO.ENXIO ? BITMAP_CALL.ENXIO : BITMAP_CALL.taken;
  device.observe('kvm-vm', what, event);
  return event.errno !== ERRNO.ENXIO;
}

type KvmCallEvent = Parameters<NonNullable<DeviceProjection['kvm_dirty_log_get' | 'kvm_dirty_log_clear']>>[1];

/** A slot that logs from now on: how its log begins depends on what the VM has agreed on. */
function logging(device: DeviceTracker) {
  const protect = device.machine('kvm-vm').states();
  const all = protect.filter((state) => state === 'initially_set').length;
  if (all === 0) return SLOT.log;
  return all === protect.length ? SLOT.logAll : SLOT.either;
}

/** What each event of KVM, iommufd and a type1 container is to the machines that follow it. */
export const DIRTY_LOG_PROJECTION: DeviceProjection = {
  kvm_enable_cap: (device, event) => {
    if (event.errno) return;
    if (event.capability === 'manual_protect') {
      if (event.argument !== undefined) device.observe('kvm-vm', seen(protectEvent(event.argument)), event);
    } else {
      const ring = event.capability !== 'dirty_ring_with_bitmap';
      device.observe('kvm-vm', seen(ring ? 'RING.ok' : 'RING_BITMAP.ok'), event);
    }
  },
  kvm_vcpu: (device, event) => {
    if (!event.errno) device.observe('kvm-vm', seen('VCPU.ok'), event);
  },
  kvm_memslot: (device, event) => {
    const { slot, log, size, errno } = event;
    if (errno) device.observePart('kvm-memslot', slot, SLOT.error, event);
    else if (size === 0 || size === '0x0') device.observePart('kvm-memslot', slot, SLOT.deleted, event);
    else device.observePart('kvm-memslot', slot, log ? logging(device) : SLOT.noLog, event);
  },
  kvm_dirty_log_get: (device, event) => {
    if (bitmapCall(device, event))
      device.observePart('kvm-memslot', event.slot, getOutcome(event.errno), event);
  },
  kvm_dirty_log_clear: (device, event) => {
    if (bitmapCall(device, event))
      device.observePart('kvm-memslot', event.slot, clearOutcome(event.errno), event);
  },
  kvm_dirty_gfn: (device, event) => {
    const { DIRTY, RESET } = KVM_DIRTY_GFN_FLAGS;
    const dirty = event.flags === undefined || (event.flags & (DIRTY | RESET)) === DIRTY;
    device.observe('kvm-dirty-ring', dirty ? RING.dirty : RING.empty, event);
  },
  kvm_reset_dirty_rings: (device, event) => {
    const { errno, count } = event;
    if (errno === 0) device.observe('kvm-vm', RESET_CALL.ok, event);
    else if (errno === ERRNO.EINVAL) device.observe('kvm-vm', RESET_CALL.EINVAL, event);
    if (errno) device.observe('kvm-dirty-ring', RING.error, event);
    else if (count !== undefined) device.observe('kvm-dirty-ring', count > 0 ? RING.taken : RING.none, event);
  },
  kvm_exit: (device, event) => {
    if (event.reason === KVM_EXIT_DIRTY_RING_FULL && !event.errno)
      device.observe('kvm-dirty-ring', RING.full, event);
  },
  iommufd_hwpt_alloc: (device, event) => {
    if (event.errno || event.hwpt === undefined) return;
    const what = seen(event.dirtyTracking ? 'ALLOC.dirty' : 'ALLOC.plain');
    device.observePart('iommufd-dirty', event.hwpt, what, event);
  },
  iommufd_set_dirty: (device, event) => {
    const what = enableOutcome[event.on ? 'on' : 'off'][which(event.errno)];
    device.observePart('iommufd-dirty', event.hwpt, what, event);
  },
  iommufd_dirty_bitmap: (device, event) => {
    const what = READ[event.noClear ? 'keep' : 'clear'][which(event.errno)];
    device.observePart('iommufd-dirty', event.hwpt, what, event);
  },
  type1_dirty: (device, event) => {
    device.observe('type1-dirty', (event.on ? startOutcome : stopOutcome)(event.errno), event);
  },
  type1_dirty_bitmap: (device, event) => {
    device.observe('type1-dirty', type1Get(event.errno), event);
  },
  type1_unmap: (device, event) => {
    device.observe('type1-dirty', UNMAP[event.dirtyBitmap ? 'bitmap' : 'plain'][which(event.errno)], event);
  },
};
