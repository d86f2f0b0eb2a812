import { from as clause } from './clauses.js';
import { createMachine, type Machine, stateIn } from './xstate.js';

/**
 * What a VM of KVM has agreed on for dirty logging; every slot of it follows.
 *
 * Events: `PROTECT.off`, `PROTECT.manual`, `PROTECT.initially_set` KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with these
 * flags; `RING.ok`, `RING_BITMAP.ok` the capabilities of rings; `VCPU.ok` KVM_CREATE_VCPU; `BITMAP_CALL.ENXIO`,
 * `BITMAP_CALL.taken` KVM_GET_DIRTY_LOG or KVM_CLEAR_DIRTY_LOG that ended with ENXIO, or otherwise;
 * `RESET_CALL.ok`, `RESET_CALL.EINVAL` KVM_RESET_DIRTY_RINGS. What else fails changes nothing, and has no event.
 */
export function kvmVm(): Machine {
  const manual = { meta: clause('kvm/manual-protect') };
  const size = { meta: clause('kvm/dirty-ring-size') };
  const ring = { meta: clause('kvm/dirty-ring') };
  const backup = { meta: clause('kvm/dirty-ring-bitmap') };
  const protect = {
    'PROTECT.off': { target: 'auto', ...manual },
    'PROTECT.manual': { target: 'manual', ...manual },
    'PROTECT.initially_set': { target: 'initially_set', ...manual },
  };
  return createMachine({
    id: 'kvm-vm',
    type: 'parallel',
    description: 'How a VM logs dirty pages.',
    states: {
      protect: {
        initial: 'auto',
        states: {
          auto: {
            description: 'GET clears what it gives, and protects those pages.',
            meta: clause('kvm/get-dirty-log'),
            on: protect,
          },
          manual: { description: 'GET only reads; CLEAR clears and protects.', ...manual, on: protect },
          initially_set: {
            description: 'As manual, and a log starts with every page dirty.',
            ...manual,
            on: protect,
          },
        },
      },
      tracking: {
        initial: 'bitmap',
        states: {
          bitmap: {
            description: 'A slot that logs has a bitmap.',
            meta: clause('kvm/get-dirty-log'),
            on: {
              'RING.ok': { target: 'ring', guard: stateIn({ vcpus: 'none' }), ...size },
              'BITMAP_CALL.taken': { meta: clause('kvm/get-dirty-log') },
              'RESET_CALL.EINVAL': ring,
            },
          },
          ring: {
            description: 'Each vCPU has a ring; there is no bitmap to ask for.',
            ...ring,
            on: {
              'RING_BITMAP.ok': { target: 'ring_with_bitmap', ...backup },
              'BITMAP_CALL.ENXIO': backup,
              'RESET_CALL.ok': ring,
            },
          },
          ring_with_bitmap: {
            description: 'Each vCPU has a ring, and writes without a vCPU go to the bitmap of their slot.',
            ...backup,
            on: { 'RING_BITMAP.ok': backup, 'BITMAP_CALL.taken': backup, 'RESET_CALL.ok': ring },
          },
        },
      },
      vcpus: {
        initial: 'none',
        states: {
          none: {
            description: 'No vCPU yet: rings can be had.',
            ...size,
            on: { 'VCPU.ok': { target: 'some', ...size } },
          },
          some: { description: 'There are vCPUs.', ...size, on: { 'VCPU.ok': size } },
        },
      },
    },
  });
}
