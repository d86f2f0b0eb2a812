import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { ERRNO } from '../../src/uapi/errno.js';
import { KVM_EXIT_DIRTY_RING_FULL } from '../../src/uapi/kvm.js';

const event = (kind: string, fields: object = {}): TraceEvent =>
  traceEventSchema.parse({ kind, host: 'host', file: 'log', line: 7, ...fields });
const onDevice = (kind: string, fields: object = {}): TraceEvent => event(kind, { device: 'vf0', ...fields });
const vdpa = { interface: 'vdpa' };

/** Results that a call may be told with: success, two errors, and nothing. */
const ANY_RESULT = [{ errno: 0 }, { errno: ERRNO.EBUSY }, { errno: ERRNO.EINVAL }, {}];
const withAnyResult = (kind: string, fields: object = {}) =>
  ANY_RESULT.map((result) => onDevice(kind, { ...fields, ...result }));

/** The trace events behind the events of machines that follow vDPA devices, by machine and first word. */
const MAKERS: Readonly<Record<string, Readonly<Record<string, (word: string) => TraceEvent[]>>>> = {
  'vdpa-device': {
    STATUS: () => [...withAnyResult('vdpa_status', { status: 3 }), ...withAnyResult('vdpa_status')],
    NOW: () => withAnyResult('vdpa_status_read', { status: 3 }),
    SUSPEND: () => withAnyResult('vdpa_suspend'),
    RESUME: () => withAnyResult('vdpa_resume'),
    BACKEND: () => withAnyResult('vhost_set_backend_features', { ...vdpa, features: 64 }),
    WRITE: () => [onDevice('vhost_write', { what: 'buffer', address: 0, length: 1 })],
    ASK: (word) => ASKED[word]!(),
  },
  'vdpa-vring': {
    ADDR: () => withAnyResult('vring_addr', { ...vdpa, index: 0 }),
    ENABLE: () => withAnyResult('vring_enable', { ...vdpa, index: 0, on: true }),
    GO: () => withAnyResult('vdpa_status', { status: 15 }),
    RESET: () => withAnyResult('vdpa_status', { status: 0 }),
    WRITE: () => [onDevice('vhost_write', { index: 0, what: 'buffer', address: 0, length: 1 })],
  },
  'vdpa-shadow': {
    BASE: (word) => withAnyResult('vring_base', { ...vdpa, index: 0, num: 0, shadow: word === 'shadow' }),
    RESET: () => withAnyResult('vdpa_status', { status: 0 }),
    MIGRATION: (word) => [event('migration_status', { status: word })],
  },
  'iommufd-dirty': {
    ALLOC: () => withAnyResult('iommufd_hwpt_alloc', { hwpt: 1, dirtyTracking: true }),
    ENABLE: () => withAnyResult('iommufd_set_dirty', { hwpt: 1, on: true }),
    DISABLE: () => withAnyResult('iommufd_set_dirty', { hwpt: 1, on: false }),
    SET: () => withAnyResult('iommufd_set_dirty', { hwpt: 1, on: true }),
    READ: () => withAnyResult('iommufd_dirty_bitmap', { hwpt: 1 }),
  },
  'type1-dirty': {
    START: () => withAnyResult('type1_dirty', { on: true }),
    STOP: () => withAnyResult('type1_dirty', { on: false }),
    GET: () => withAnyResult('type1_dirty_bitmap'),
    UNMAP: () => withAnyResult('type1_unmap', { dirtyBitmap: true }),
  },
  'kvm-vm': {
    PROTECT: () => withAnyResult('kvm_enable_cap', { capability: 'manual_protect', argument: 1 }),
    RING: () => withAnyResult('kvm_enable_cap', { capability: 'dirty_ring', argument: 65_536 }),
    RING_BITMAP: () => withAnyResult('kvm_enable_cap', { capability: 'dirty_ring_with_bitmap' }),
    VCPU: () => withAnyResult('kvm_vcpu'),
    BITMAP_CALL: () => [
      ...withAnyResult('kvm_dirty_log_get', { slot: 0 }),
      ...withAnyResult('kvm_dirty_log_clear', { slot: 0, first: 0, pages: 64 }),
    ],
    RESET_CALL: () => withAnyResult('kvm_reset_dirty_rings'),
  },
  'kvm-memslot': {
    SET: () => withAnyResult('kvm_memslot', { slot: 0, log: true }),
    DELETE: () => withAnyResult('kvm_memslot', { slot: 0, log: false, size: 0 }),
    GET: () => withAnyResult('kvm_dirty_log_get', { slot: 0 }),
    CLEAR: () => withAnyResult('kvm_dirty_log_clear', { slot: 0, first: 0, pages: 64 }),
  },
  'kvm-dirty-ring': {
    HARVEST: () => [1, 0, 3].map((flags) => onDevice('kvm_dirty_gfn', { vcpu: 0, slot: 0, page: 0, flags })),
    RESET: () => withAnyResult('kvm_reset_dirty_rings', { count: 0 }),
    FULL: () => [onDevice('kvm_exit', { vcpu: 0, reason: KVM_EXIT_DIRTY_RING_FULL })],
  },
};

const ASKED: Readonly<Record<string, () => TraceEvent[]>> = {
  features: () => withAnyResult('vhost_set_features', { ...vdpa, features: 0 }),
  ring: () => [
    ...withAnyResult('vring_addr', { ...vdpa, index: 0 }),
    ...withAnyResult('vring_base', { ...vdpa, index: 0 }),
  ],
  base: () => withAnyResult('vring_base_read', { ...vdpa, index: 0 }),
  group_asid: () => withAnyResult('vdpa_group_asid', { group: 0, asid: 0 }),
  enable: () => withAnyResult('vring_enable', { ...vdpa, index: 0, on: true }),
};

/** The trace events that may stand behind an event of a machine for vDPA, KVM, iommufd or type1; else undefined. */
export function dirtyTraceEvents(machine: string, name: string): TraceEvent[] | undefined {
  const makers = MAKERS[machine];
  if (makers === undefined) return undefined;
  const [what = '', word = ''] = name.split('.');
  return makers[what]!(word);
}

/** Events that a trace can show and no chart has. */
export const DIRTY_STRANGERS: Readonly<Record<string, readonly string[]>> = {
  'kvm-dirty-ring': ['HARVEST.empty'],
};
