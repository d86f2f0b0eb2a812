import { manualProtectErrno, ringSizeErrno } from '../machines/kvm-dirty-calls.js';
import { KVM_DIRTY_RING_ENTRIES } from '../uapi/kvm.js';
import { kvmExample } from './kvm-example.js';
import type { Rule } from './rule.js';

const d = kvmExample();
/** Most slots of a VM that a rule remembers something about. */
const MOST_SLOTS = 32_768;

/** What a VM of KVM agrees on for its dirty logging. */
export const KVM_CAPABILITY_RULES: readonly Rule[] = [
  {
    id: 'KVM-MANUAL-01',
    title: 'INITIALLY_SET needs manual protection',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/manual-protect',
    about:
      'KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with INITIALLY_SET alone, or with an unknown flag, ends with EINVAL.',
    causes: 'Flags are looked at one by one.',
    needs: ['kvm_enable_cap'],
    device: (_view, scope) => ({
      kvm_enable_cap: (event) => {
        const { capability, argument, errno } = event;
        if (capability !== 'manual_protect' || argument === undefined || errno === undefined) return;
        scope.check();
        if (errno === 0 && manualProtectErrno(argument) !== 0)
          scope.fail(event, `flags ${argument} were taken for manual protection`, ['EINVAL']);
      },
    }),
    conformant: [d.open(), d.manual(3), d.manual(2, 'EINVAL')],
    violating: [d.open(), d.manual(2)],
  },
  {
    id: 'KVM-CAP-01',
    title: 'rings are had once, and before the first vCPU',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/dirty-ring-size',
    about: 'KVM_CAP_DIRTY_LOG_RING ends with EINVAL a second time, and when there is a vCPU.',
    causes: 'A vCPU without a ring writes unseen.',
    needs: ['kvm_enable_cap', 'kvm_vcpu'],
    refusal: {
      machine: 'kvm-vm',
      event: /^RING\.ok$/,
      message: () => 'dirty rings were enabled a second time, or with vCPUs',
    },
    conformant: [d.open(), d.ring(65_536), d.vcpu(), d.ring(65_536, 'EINVAL')],
    violating: [d.open(), d.vcpu(), d.ring(65_536)],
  },
  {
    id: 'KVM-CAP-02',
    title: 'a ring has a size that works',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/dirty-ring-size',
    about:
      'The size of a ring is a power of two of bytes, at least a page and the reserved entries, at most 65536 entries; else EINVAL, or E2BIG.',
    causes: 'A ring with no room for what a full one still gets.',
    needs: ['kvm_enable_cap'],
    device: (_view, scope) => ({
      kvm_enable_cap: (event) => {
        const { capability, argument, errno } = event;
        if (capability !== 'dirty_ring' && capability !== 'dirty_ring_acq_rel') return;
        if (argument === undefined || errno === undefined) return;
        scope.check();
        if (errno === 0 && ringSizeErrno(argument, KVM_DIRTY_RING_ENTRIES.reserved) !== 0)
          scope.fail(event, `a dirty ring of ${argument} bytes was taken`, ['EINVAL', 'E2BIG']);
      },
    }),
    conformant: [d.open(), d.ring(2048, 'EINVAL'), d.ring(65_536)],
    violating: [d.open(), d.ring(2048)],
  },
  {
    id: 'KVM-CAP-03',
    title: 'a bitmap beside the rings needs rings',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/dirty-ring-bitmap',
    about: 'KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP ends with EINVAL before the rings are enabled.',
    causes: 'The order of capabilities is not looked at.',
    needs: ['kvm_enable_cap'],
    refusal: {
      machine: 'kvm-vm',
      event: /^RING_BITMAP\.ok$/,
      message: () => 'a bitmap beside the rings was enabled, and there are no rings',
    },
    conformant: [d.open(), d.ring(65_536), d.ringBitmap()],
    violating: [d.open(), d.ringBitmap()],
  },
  {
    id: 'KVM-CAP-04',
    title: 'a bitmap beside the rings comes before the first slot',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/dirty-ring-bitmap',
    about:
      'KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP ends with EINVAL when there is a slot: that one would have no bitmap.',
    causes: 'Slots are made before the capabilities.',
    needs: ['kvm_enable_cap', 'kvm_memslot'],
    device: (_view, scope) => {
      const slots = new Set<number>();
      return {
        kvm_memslot: ({ slot, size, errno }) => {
          if (errno || size === undefined) return;
          if (BigInt(size) === 0n) slots.delete(slot);
          else if (slots.size < MOST_SLOTS) slots.add(slot);
        },
        kvm_enable_cap: (event) => {
          if (event.capability !== 'dirty_ring_with_bitmap' || event.errno === undefined) return;
          scope.check();
          if (event.errno === 0 && slots.size > 0)
            scope.fail(event, 'a bitmap beside the rings was enabled, and there are slots without one', [
              'EINVAL',
            ]);
        },
      };
    },
    conformant: [d.open(), d.ring(65_536), d.slot(0, true), d.slot(0, true, 0), d.ringBitmap()],
    violating: [d.open(), d.ring(65_536), d.slot(0, true), d.ringBitmap()],
  },
  {
    id: 'KVM-CAP-05',
    title: 'with rings alone there is no bitmap',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/dirty-ring-bitmap',
    about:
      'With rings, and no bitmap beside them, KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG end with ENXIO; otherwise they never do.',
    causes: 'An empty bitmap passes for "nothing dirty", while the pages are in the rings.',
    needs: ['kvm_enable_cap'],
    refusal: {
      machine: 'kvm-vm',
      event: /^BITMAP_CALL\./,
      message: ({ events, trace }) =>
        events[0] === 'BITMAP_CALL.ENXIO'
          ? `${call(trace.kind)} ended with ENXIO, and there is a bitmap`
          : `${call(trace.kind)} did not end with ENXIO, and dirty pages are in rings`,
    },
    conformant: [d.open(), d.ring(65_536), d.slot(0, true), d.get(0, undefined, 'ENXIO')],
    violating: [d.open(), d.ring(65_536), d.slot(0, true), d.get(0, [])],
  },
];

const call = (kind: string): string =>
  kind === 'kvm_dirty_log_get' ? 'KVM_GET_DIRTY_LOG' : 'KVM_CLEAR_DIRTY_LOG';
