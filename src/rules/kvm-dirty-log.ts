import { clearStartsRight } from '../machines/kvm-dirty-calls.js';
import { KVM_DIRTY_LOG_PAGES, KVM_PAGE } from '../uapi/kvm.js';
import { vmm } from './example.js';
import { KvmContent, pageList } from './kvm-content.js';
import { kvmExample } from './kvm-example.js';
import type { Rule } from './rule.js';

const d = kvmExample();
const v = vmm();
/** Most slots of a VM that a rule remembers something about. */
const MOST_SLOTS = 32_768;

/** The dirty log of KVM: bitmaps of slots. */
export const KVM_DIRTY_LOG_RULES: readonly Rule[] = [
  {
    id: 'KVM-LOG-01',
    title: 'a slot without a log has none to give',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/get-dirty-log',
    about:
      'KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG of a slot that is not there or does not log end with ENOENT.',
    causes: 'An empty bitmap is given instead, which passes for "nothing dirty".',
    needs: ['kvm_memslot', 'kvm_dirty_log_get'],
    refusal: {
      machine: 'kvm-memslot',
      event: /^(GET|CLEAR)\.ok$/,
      exercisedBy: /^(GET|CLEAR)\./,
      message: ({ trace }) => `${call(trace.kind)} succeeded on a slot that does not log`,
    },
    conformant: [d.open(), d.slot(0, false), d.get(0, undefined, 'ENOENT'), d.slot(0, true), d.get(0, [])],
    violating: [d.open(), d.slot(0, false), d.get(0, [])],
  },
  {
    id: 'KVM-LOG-02',
    title: 'a slot that logs has a log',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/get-dirty-log',
    about: 'KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG of a slot that logs do not end with ENOENT.',
    causes: 'The bitmap went with a change of the slot that had to keep it.',
    needs: ['kvm_memslot', 'kvm_dirty_log_get'],
    refusal: {
      machine: 'kvm-memslot',
      event: /^(GET|CLEAR)\.ENOENT$/,
      exercisedBy: /^(GET|CLEAR)\./,
      message: ({ trace }) => `${call(trace.kind)} ended with ENOENT, and the slot logs`,
    },
    conformant: [d.open(), d.slot(0, true), d.get(0, [])],
    violating: [d.open(), d.slot(0, true), d.get(0, undefined, 'ENOENT')],
  },
  {
    id: 'KVM-SLOT-01',
    title: 'a slot that is not there cannot be taken away',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/memslot',
    about: 'KVM_SET_USER_MEMORY_REGION of size 0 for a slot that is not there ends with EINVAL.',
    causes: 'A VMM of its own in the place of KVM.',
    needs: ['kvm_memslot'],
    refusal: {
      machine: 'kvm-memslot',
      event: /^DELETE\.ok$/,
      message: () => 'a slot that is not there was taken away',
    },
    conformant: [d.open(), d.slot(0, true), d.slot(0, false, 0)],
    violating: [d.open(), d.slot(0, true), d.slot(0, false, 0), d.slot(0, false, 0)],
  },
  {
    id: 'KVM-SLOT-02',
    title: 'a slot keeps its size',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/memslot',
    about:
      'KVM_SET_USER_MEMORY_REGION with another size for a slot that is there ends with EINVAL: its bitmap would not fit.',
    causes: 'The slot is exchanged without being taken away first.',
    needs: ['kvm_memslot'],
    device: (_view, scope) => {
      const sizes = new Map<number, bigint>();
      return {
        kvm_memslot: (event) => {
          const { slot, errno } = event;
          if (event.size === undefined || errno === undefined) return;
          const [size, before] = [BigInt(event.size), sizes.get(slot)];
          if (before !== undefined && size !== 0n && size !== before) {
            scope.check();
            if (errno === 0)
              scope.fail(event, `slot ${slot} had ${before} bytes and took ${size}`, ['EINVAL']);
          }
          if (errno !== 0) return;
          if (size === 0n) sizes.delete(slot);
          else if (sizes.size < MOST_SLOTS) sizes.set(slot, size);
        },
      };
    },
    conformant: [d.open(), d.slot(0, true, 100), d.slot(0, true, 50, 'EINVAL')],
    violating: [d.open(), d.slot(0, true, 100), d.slot(0, true, 50)],
  },
  {
    id: 'KVM-CLEAR-01',
    title: 'CLEAR goes by 64 pages',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/clear-dirty-log',
    about:
      'KVM_CLEAR_DIRTY_LOG ends with EINVAL when the first page is no multiple of 64, or the number of pages is none and does not reach the end of the slot, or the range goes beyond it.',
    causes: 'Bits of neighbouring words are cleared with it.',
    needs: ['kvm_dirty_log_clear'],
    device: (_view, scope) => {
      const sizes = new Map<number, number>();
      return {
        kvm_memslot: ({ slot, size, errno }) => {
          if (errno) return;
          sizes.delete(slot);
          if (size !== undefined && sizes.size < MOST_SLOTS) sizes.set(slot, Number(size) / KVM_PAGE);
        },
        kvm_dirty_log_clear: (event) => {
          const { slot, first, pages, errno } = event;
          if (errno === undefined) return;
          scope.check();
          const slotPages = sizes.get(slot);
          const ends = pages % KVM_DIRTY_LOG_PAGES === 0 || first + pages === (slotPages ?? first + pages);
          const beyond = slotPages !== undefined && first + pages > slotPages;
          if (errno === 0 && (!clearStartsRight(first) || !ends || beyond))
            scope.fail(event, `KVM_CLEAR_DIRTY_LOG took ${pages} pages from page ${first}`, ['EINVAL']);
        },
      };
    },
    conformant: [
      d.open(),
      d.slot(0, true, 100),
      d.clear(0, 64, 36, []),
      d.clear(0, 1, 64, [], 'EINVAL'),
      d.clear(0, 0, 128, [], 'EINVAL'),
    ],
    violating: [d.open(), d.slot(0, true, 100), d.clear(0, 0, 65, [])],
  },
  {
    id: 'KVM-LOG-03',
    title: 'no write to a slot that logs is lost',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/no-lost-write',
    about:
      'A page that the guest wrote while its slot logs is in the next reading. With manual protection it is in every reading until CLEAR has taken its bit; a log that began with INITIALLY_SET has every page until then. A page that was not written may be in a reading all the same.',
    causes:
      'A page that was not protected again after a reading, a huge page of which one part was marked, a bit that CLEAR took with its neighbours.',
    needs: ['kvm_memslot', 'kvm_dirty_log_get'],
    device: (_view, scope) => {
      const content = new KvmContent();
      return {
        kvm_enable_cap: (event) => content.cap(event),
        kvm_memslot: (event) => content.memslot(event),
        kvm_guest_write: (event) => content.write(event),
        kvm_dirty_log_clear: (event) => content.clear(event),
        kvm_dirty_log_get: (event) => {
          const lost = content.get(event);
          if (lost === undefined) return;
          scope.check();
          if (lost.length > 0)
            scope.fail(event, `${pageList(lost)} of slot ${event.slot} had to be reported, and is not`);
        },
      };
    },
    conformant: [
      d.open(),
      d.manual(1),
      d.slot(0, true, 100),
      d.write(0, [[3, 2]]),
      d.get(0, [[3, 2]]),
      d.clear(0, 0, 64, [[3, 1]]),
      d.get(0, [[4, 1]]),
    ],
    violating: [d.open(), d.slot(0, true, 100), d.write(0, [[3, 2]]), d.get(0, [[4, 1]])],
  },
  {
    id: 'KVM-LOG-04',
    title: 'no page beyond the slot is reported',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/get-dirty-log',
    about: 'Bits behind the last page of a slot are 0 in its log.',
    causes: 'A log that began with every bit set, rounded up to words.',
    needs: ['kvm_memslot', 'kvm_dirty_log_get'],
    device: (_view, scope) => {
      const sizes = new Map<number, number>();
      return {
        kvm_memslot: ({ slot, size, errno }) => {
          if (errno) return;
          sizes.delete(slot);
          if (size !== undefined && sizes.size < MOST_SLOTS) sizes.set(slot, Number(size) / KVM_PAGE);
        },
        kvm_dirty_log_get: (event) => {
          const size = sizes.get(event.slot);
          if (event.errno || event.pages === undefined || size === undefined) return;
          scope.check();
          for (const [first, count] of event.pages)
            if (count > 0 && first + count > size) {
              scope.fail(
                event,
                `page ${first + count - 1} is reported of slot ${event.slot}, which has ${size}`,
              );
              return;
            }
        },
      };
    },
    conformant: [d.open(), d.manual(3), d.slot(0, true, 100), d.get(0, [[0, 100]])],
    violating: [d.open(), d.manual(3), d.slot(0, true, 100), d.get(0, [[0, 128]])],
  },
  {
    id: 'KVM-VMM-01',
    title: 'the log is read a last time after the VM has stopped',
    party: 'vmm',
    level: 'must',
    clause: 'kvm/no-lost-write',
    about:
      'What the vCPUs wrote until they stopped is in a reading after that: each slot that logs is read, or its rings are harvested, between the stop of the VM and the end of the migration.',
    causes: 'The last reading is made before the vCPUs stop: memory that the guest loses.',
    needs: ['kvm_memslot', 'kvm_dirty_log_get', 'vm_state', 'migration_status'],
    host: (_host, scope) => {
      const vms = new Map<string, { logs: Set<number>; unread: Set<number> }>();
      const of = (vm: string) => {
        const known = vms.get(vm) ?? { logs: new Set(), unread: new Set() };
        vms.set(vm, known);
        return known;
      };
      return {
        kvm_memslot: ({ device, slot, log, size, errno }) => {
          if (errno) return;
          const { logs, unread } = of(device);
          if (log && size !== 0 && size !== '0x0' && logs.size < MOST_SLOTS) logs.add(slot);
          else logs.delete(slot);
          unread.delete(slot);
        },
        vm_state: ({ running }) => {
          for (const { logs, unread } of vms.values()) {
            unread.clear();
            if (!running) for (const slot of logs) unread.add(slot);
          }
        },
        kvm_dirty_log_get: ({ device, slot, errno }) => {
          if (!errno) of(device).unread.delete(slot);
        },
        kvm_dirty_gfn: ({ device }) => of(device).unread.clear(),
        kvm_reset_dirty_rings: ({ device }) => of(device).unread.clear(),
        migration_status: (event) => {
          if (event.status !== 'completed') return;
          for (const [vm, { logs, unread }] of vms) {
            if (logs.size > 0) scope.check();
            if (unread.size > 0)
              scope.fail(
                event,
                `the migration is completed, and slot ${[...unread].slice(0, 5).join(', ')} was not read since the VM stopped`,
                [],
                vm,
              );
            unread.clear();
          }
        },
      };
    },
    conformant: [
      d.open(),
      d.slot(0, true),
      d.get(0, []),
      v.stop(),
      d.get(0, []),
      v.status('completed'),
      d.slot(0, false),
    ],
    violating: [d.open(), d.slot(0, true), d.get(0, []), v.stop(), v.status('completed'), d.slot(0, false)],
  },
];

const call = (kind: string): string =>
  kind === 'kvm_dirty_log_get' ? 'KVM_GET_DIRTY_LOG' : 'KVM_CLEAR_DIRTY_LOG';
