import { device, vmm } from './example.js';
import type { Rule, Scope, Watch } from './rule.js';

const d = device('iommu0');
const t = device('container0');
const v = vmm();
const alloc = (dirtyTracking: boolean, hwpt = 1) =>
  d.event('iommufd_hwpt_alloc', { hwpt, dirtyTracking, errno: 0 });
const set = (on: boolean, errno = 0) => d.event('iommufd_set_dirty', { hwpt: 1, on, errno });
const read = (fields: object = {}) =>
  d.event('iommufd_dirty_bitmap', {
    hwpt: 1,
    iova: 0,
    length: 0x10_0000,
    pageSize: 4096,
    noClear: false,
    errno: 0,
    ...fields,
  });
const unmap = (iova = 0, length = 0x10_0000) => d.event('iommufd_unmap', { iova, length, errno: 0 });
const track = (on: boolean) => t.event('type1_dirty', { on, errno: 0 });
const get = (fields: object = {}) =>
  t.event('type1_dirty_bitmap', { iova: 0, length: 0x10_0000, pageSize: 4096, errno: 0, ...fields });
const type1Unmap = (dirtyBitmap: boolean, errno = 0) =>
  t.event('type1_unmap', { iova: 0, length: 0x10_0000, dirtyBitmap, errno });

/** Dirty tracking by page tables of iommufd and by type1 containers. */
export const DIRTY_TRACKER_RULES: readonly Rule[] = [
  {
    id: 'DIRTY-IOMMU-01',
    title: 'dirty tracking is for page tables that were made for it',
    party: 'kernel',
    level: 'must',
    clause: 'iommufd/hwpt-alloc',
    about:
      'IOMMU_HWPT_SET_DIRTY_TRACKING and _GET_DIRTY_BITMAP of a page table that was made without DIRTY_TRACKING end with an error.',
    causes:
      'The driver of the IOMMU takes the request, and its page table has no dirty bits: all pages pass for clean.',
    needs: ['iommufd_hwpt_alloc', 'iommufd_set_dirty'],
    refusal: {
      machine: 'iommufd-dirty',
      event: /^(ENABLE|DISABLE|READ)\./,
      message: ({ events }) => `${events[0]} came for a page table that was made without dirty tracking`,
    },
    conformant: [d.event('device_open'), alloc(false), set(true, 95), alloc(true), set(true), read()],
    violating: [d.event('device_open'), alloc(false), set(true)],
  },
  {
    id: 'DIRTY-IOMMU-02',
    title: 'a bitmap is asked by whole pages',
    party: 'kernel',
    level: 'must',
    clause: 'iommufd/get-dirty',
    about:
      'IOMMU_HWPT_GET_DIRTY_BITMAP with page size 0, or with a range that is no multiple of it, ends with EINVAL.',
    causes: 'Bits stand for other pages than the caller takes them for.',
    needs: ['iommufd_dirty_bitmap'],
    device: (_view, scope) => ({ iommufd_dirty_bitmap: (event) => wholePages(event, scope) }),
    conformant: [d.event('device_open'), alloc(true), set(true), read(), read({ iova: 512, errno: 22 })],
    violating: [d.event('device_open'), alloc(true), set(true), read({ iova: 512 })],
  },
  {
    id: 'DIRTY-IOMMU-03',
    title: 'a range does not wrap',
    party: 'kernel',
    level: 'must',
    clause: 'iommufd/get-dirty',
    about: 'IOMMU_HWPT_GET_DIRTY_BITMAP of a range that goes over 2^64 ends with EOVERFLOW.',
    causes: 'The end is computed without a look at the carry.',
    needs: ['iommufd_dirty_bitmap'],
    device: (_view, scope) => ({
      iommufd_dirty_bitmap: (event) => {
        const { iova, length, errno } = event;
        if (errno === undefined || iova === undefined || length === undefined) return;
        scope.check();
        if (errno === 0 && BigInt(iova) + BigInt(length) > 1n << 64n)
          scope.fail(event, 'a dirty bitmap of a range over 2^64 was given', ['EOVERFLOW']);
      },
    }),
    conformant: [d.event('device_open'), alloc(true), read()],
    violating: [d.event('device_open'), alloc(true), read({ iova: '0xfffffffffffff000', length: 0x2000 })],
  },
  {
    id: 'DIRTY-IOMMU-04',
    title: 'NO_CLEAR is followed by the unmap',
    party: 'vmm',
    level: 'should',
    clause: 'iommufd/no-clear',
    about:
      'A reading with NO_CLEAR is meant for a range that is unmapped next. Where the range stays, its dirty bits stay too, and every later reading has them again.',
    causes: 'NO_CLEAR is used to have a look.',
    needs: ['iommufd_dirty_bitmap', 'iommufd_unmap'],
    device: (_view, scope) => {
      const kept = new Map<number, { from: bigint; to: bigint }>();
      return {
        iommufd_unmap: ({ iova, length, errno }) => {
          if (errno || iova === undefined || length === undefined) {
            kept.clear();
            return;
          }
          const [from, to] = [BigInt(iova), BigInt(iova) + BigInt(length)];
          for (const [hwpt, range] of kept) if (range.from < to && from < range.to) kept.delete(hwpt);
        },
        iommufd_dirty_bitmap: (event) => {
          const { hwpt, iova, length, noClear, errno } = event;
          if (errno || iova === undefined || length === undefined) return;
          const [from, to] = [BigInt(iova), BigInt(iova) + BigInt(length)];
          const before = kept.get(hwpt);
          if (before && before.from < to && from < before.to) {
            scope.fail(event, 'the range of a reading with NO_CLEAR is read again, and was not unmapped');
            kept.delete(hwpt);
          }
          if (!noClear) return;
          scope.check();
          if (kept.size < MOST_TABLES) kept.set(hwpt, { from, to });
        },
      };
    },
    conformant: [d.event('device_open'), alloc(true), set(true), read({ noClear: true }), unmap(), read()],
    violating: [d.event('device_open'), alloc(true), set(true), read({ noClear: true }), read(), unmap()],
  },
  {
    id: 'DIRTY-IOMMU-05',
    title: 'a range is read before it is unmapped',
    party: 'vmm',
    level: 'note',
    clause: 'iommufd/no-clear',
    about:
      'The dirty bits of a range go with its mapping. While tracking is on, a range of guest memory is read before it is unmapped; for what is no guest memory that does not matter, and a trace does not tell them apart.',
    causes: 'A mapping is taken away in the middle of a migration, as by a vIOMMU.',
    needs: ['iommufd_set_dirty', 'iommufd_unmap', 'iommufd_dirty_bitmap'],
    device: (_view, scope) => {
      const on = new Set<number>();
      let last: { from: bigint; to: bigint } | undefined;
      return {
        iommufd_set_dirty: ({ hwpt, on: now, errno }) => {
          if (errno) return;
          if (!now) on.delete(hwpt);
          else if (on.size < MOST_TABLES) on.add(hwpt);
        },
        iommufd_dirty_bitmap: ({ iova, length, errno }) => {
          if (errno || iova === undefined || length === undefined) return;
          last = { from: BigInt(iova), to: BigInt(iova) + BigInt(length) };
        },
        iommufd_unmap: (event) => {
          const { iova, length, errno } = event;
          if (errno || on.size === 0 || iova === undefined || length === undefined) return;
          scope.check();
          const [from, to] = [BigInt(iova), BigInt(iova) + BigInt(length)];
          if (!last || from < last.from || to > last.to)
            scope.fail(event, 'a range is unmapped while pages are tracked, and was not read right before');
          last = undefined;
        },
      };
    },
    conformant: [d.event('device_open'), alloc(true), set(true), read({ noClear: true }), unmap()],
    violating: [d.event('device_open'), alloc(true), set(true), read(), unmap(), unmap(0x20_0000)],
  },
  {
    id: 'DIRTY-IOMMU-06',
    title: 'page tables are read a last time after the VM has stopped',
    party: 'vmm',
    level: 'must',
    clause: 'kvm/other-writers',
    about:
      'What devices wrote through a page table until the VM stopped is in a reading after that: no other log has it. Each page table that is tracked is read between the stop of the VM and the end of the migration.',
    causes: 'Only the log of KVM is read in the last pass.',
    needs: ['iommufd_set_dirty', 'iommufd_dirty_bitmap', 'vm_state', 'migration_status'],
    host: (_host, scope) => {
      const last = new LastReading(scope);
      return {
        ...last.watch(),
        iommufd_set_dirty: ({ device: of, hwpt, on, errno }) => {
          if (!errno) last.tracks(`${of} page table ${hwpt}`, on);
        },
        iommufd_dirty_bitmap: ({ device: of, hwpt, errno }) => {
          if (!errno) last.read(`${of} page table ${hwpt}`);
        },
      };
    },
    conformant: [
      d.event('device_open'),
      alloc(true),
      set(true),
      read(),
      v.stop(),
      read(),
      v.status('completed'),
    ],
    violating: [d.event('device_open'), alloc(true), set(true), read(), v.stop(), v.status('completed')],
  },
  {
    id: 'DIRTY-TYPE1-01',
    title: 'dirty pages are had while they are tracked',
    party: 'kernel',
    level: 'must',
    clause: 'type1/dirty-pages',
    about: 'GET_BITMAP of a container that does not track ends with EINVAL.',
    causes: 'An empty bitmap passes for "nothing dirty".',
    needs: ['type1_dirty', 'type1_dirty_bitmap'],
    refusal: {
      machine: 'type1-dirty',
      event: /^GET\.ok$/,
      exercisedBy: /^GET\./,
      message: () => 'GET_BITMAP succeeded, and pages are not tracked',
    },
    conformant: [t.event('device_open'), get({ errno: 22 }), track(true), track(true), get(), track(false)],
    violating: [t.event('device_open'), track(true), track(false), get()],
  },
  {
    id: 'DIRTY-TYPE1-02',
    title: 'dirty bits come with an unmap while they are tracked',
    party: 'kernel',
    level: 'must',
    clause: 'type1/unmap',
    about: 'VFIO_IOMMU_UNMAP_DMA with GET_DIRTY_BITMAP ends with EINVAL while pages are not tracked.',
    causes: 'The bitmap comes back untouched.',
    needs: ['type1_dirty', 'type1_unmap'],
    refusal: {
      machine: 'type1-dirty',
      event: /^UNMAP\.bitmap$/,
      exercisedBy: /^UNMAP\./,
      message: () => 'an unmap has given a dirty bitmap, and pages are not tracked',
    },
    conformant: [t.event('device_open'), type1Unmap(true, 22), track(true), type1Unmap(true)],
    violating: [t.event('device_open'), track(true), track(false), type1Unmap(true)],
  },
  {
    id: 'DIRTY-TYPE1-03',
    title: 'a bitmap is asked by whole pages',
    party: 'kernel',
    level: 'must',
    clause: 'type1/dirty-pages',
    about:
      'GET_BITMAP with page size 0, of an empty range, or of one that is no multiple of the page size, ends with EINVAL.',
    causes: 'Bits stand for other pages than the caller takes them for.',
    needs: ['type1_dirty_bitmap'],
    device: (_view, scope) => ({ type1_dirty_bitmap: (event) => wholePages(event, scope) }),
    conformant: [t.event('device_open'), track(true), get(), get({ length: 100, errno: 22 })],
    violating: [t.event('device_open'), track(true), get({ length: 100 })],
  },
  {
    id: 'DIRTY-TYPE1-04',
    title: 'an unmap while pages are tracked asks for their bits',
    party: 'vmm',
    level: 'note',
    clause: 'type1/unmap',
    about:
      'While pages are tracked, VFIO_IOMMU_UNMAP_DMA of guest memory has GET_DIRTY_BITMAP; for what is no guest memory that does not matter, and a trace does not tell them apart.',
    causes: 'A mapping is taken away in the middle of a migration, as by a vIOMMU.',
    needs: ['type1_dirty', 'type1_unmap'],
    device: (_view, scope) => {
      let on = false;
      return {
        type1_dirty: ({ on: now, errno }) => {
          if (!errno) on = now;
        },
        type1_unmap: (event) => {
          if (!on || event.errno || event.dirtyBitmap === undefined) return;
          scope.check();
          if (!event.dirtyBitmap)
            scope.fail(event, 'a range is unmapped without its dirty bits, and pages are tracked');
        },
      };
    },
    conformant: [t.event('device_open'), track(true), type1Unmap(true), track(false)],
    violating: [t.event('device_open'), track(true), type1Unmap(false), track(false)],
  },
  {
    id: 'DIRTY-TYPE1-05',
    title: 'a container is read a last time after the VM has stopped',
    party: 'vmm',
    level: 'must',
    clause: 'kvm/other-writers',
    about:
      'What devices of a container wrote until the VM stopped is in a reading after that: no other log has it. A container that tracks is read between the stop of the VM and the end of the migration.',
    causes: 'Only the log of KVM is read in the last pass.',
    needs: ['type1_dirty', 'type1_dirty_bitmap', 'vm_state', 'migration_status'],
    host: (_host, scope) => {
      const last = new LastReading(scope);
      return {
        ...last.watch(),
        type1_dirty: ({ device: of, on, errno }) => {
          if (!errno) last.tracks(of, on);
        },
        type1_dirty_bitmap: ({ device: of, errno }) => {
          if (!errno) last.read(of);
        },
      };
    },
    conformant: [t.event('device_open'), track(true), get(), v.stop(), get(), v.status('completed')],
    violating: [t.event('device_open'), track(true), get(), v.stop(), v.status('completed')],
  },
];

/** Most page tables that are remembered. */
const MOST_TABLES = 1024;

interface Asked {
  readonly iova?: number | string | undefined;
  readonly length?: number | string | undefined;
  readonly pageSize?: number | string | undefined;
  readonly errno?: number | undefined;
}

/** A bitmap that was given for a range that is no number of whole pages. */
function wholePages(event: Parameters<Scope['fail']>[0] & Asked, scope: Scope): void {
  const { iova, length, pageSize, errno } = event;
  if (errno === undefined || iova === undefined || length === undefined || pageSize === undefined) return;
  scope.check();
  if (errno !== 0) return;
  const page = BigInt(pageSize);
  if (page === 0n || BigInt(iova) % page !== 0n || BigInt(length) % page !== 0n)
    scope.fail(event, `a dirty bitmap of ${length} bytes at ${iova} was given in pages of ${pageSize}`, [
      'EINVAL',
    ]);
}

/** What is tracked, and was not read since the VM stopped. */
class LastReading {
  readonly #tracked = new Set<string>();
  readonly #unread = new Set<string>();

  constructor(readonly scope: Scope) {}

  tracks(name: string, on: boolean): void {
    if (on && this.#tracked.size < MOST_TABLES) this.#tracked.add(name);
    else this.#tracked.delete(name);
    this.#unread.delete(name);
  }

  read(name: string): void {
    this.#unread.delete(name);
  }

  watch(): Watch {
    return {
      vm_state: ({ running }) => {
        this.#unread.clear();
        if (!running) for (const name of this.#tracked) this.#unread.add(name);
      },
      migration_status: (event) => {
        if (event.status !== 'completed' || this.#tracked.size === 0) return;
        this.scope.check();
        for (const name of this.#unread)
          this.scope.fail(event, `the migration is completed, and ${name} was not read since the VM stopped`);
        this.#unread.clear();
      },
    };
  }
}
