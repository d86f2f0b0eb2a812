import { KVM_DIRTY_GFN_FLAGS, KVM_EXIT_DIRTY_RING_FULL, KVM_PAGE } from '../uapi/kvm.js';
import { kvmExample } from './kvm-example.js';
import type { Rule } from './rule.js';

const d = kvmExample();
/** Most slots, and most vCPUs, of a VM that a rule remembers something about. */
const MOST = { slots: 32_768, vcpus: 8192 };
const ringed = [d.open(), d.ring(65_536), d.vcpu(), d.slot(0, true, 100)];

/** The dirty rings of KVM. */
export const KVM_DIRTY_RING_RULES: readonly Rule[] = [
  {
    id: 'KVM-RING-01',
    title: 'only dirty entries are harvested',
    party: 'vmm',
    level: 'must',
    clause: 'kvm/dirty-ring',
    about:
      'User space takes the entries of a ring in order, up to the first that KVM has not made dirty. An entry that is empty, or harvested already, names no page.',
    causes: 'The VMM runs ahead of KVM, or does not wrap where the ring does.',
    needs: ['kvm_dirty_gfn'],
    refusal: {
      machine: 'kvm-dirty-ring',
      event: /^HARVEST\.empty$/,
      exercisedBy: /^HARVEST\./,
      message: ({ trace }) =>
        `an entry was harvested with the flags ${'flags' in trace ? trace.flags : '?'}: it was not dirty`,
    },
    conformant: [...ringed, d.harvest(0, 3), d.reset(1)],
    violating: [...ringed, d.harvest(0, 3), d.harvest(0, 4, KVM_DIRTY_GFN_FLAGS.EMPTY), d.reset(1)],
  },
  {
    id: 'KVM-RING-02',
    title: 'only harvested entries are reset',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/dirty-ring',
    about:
      'KVM_RESET_DIRTY_RINGS empties entries that user space has harvested. One that nobody has seen is not reset.',
    causes: 'Pages that were written and never transferred.',
    needs: ['kvm_dirty_gfn', 'kvm_reset_dirty_rings'],
    refusal: {
      machine: 'kvm-dirty-ring',
      event: /^RESET\.taken$/,
      exercisedBy: /^RESET\./,
      message: () => 'entries were reset, and none was harvested since the last reset',
    },
    conformant: [...ringed, d.harvest(0, 3), d.reset(1), d.reset(0)],
    violating: [...ringed, d.harvest(0, 3), d.reset(1), d.reset(2)],
  },
  {
    id: 'KVM-RING-03',
    title: 'harvested entries are reset',
    party: 'vmm',
    level: 'note',
    clause: 'kvm/dirty-ring',
    about:
      'The reset goes through each ring up to the first entry that is not harvested. Where entries were harvested and none is reset, some were skipped, and their pages are not watched.',
    causes: 'Entries are harvested out of order, or their flags are not written back.',
    needs: ['kvm_dirty_gfn', 'kvm_reset_dirty_rings'],
    refusal: {
      machine: 'kvm-dirty-ring',
      event: /^RESET\.none$/,
      exercisedBy: /^RESET\./,
      message: () => 'entries were harvested, and the reset found none',
    },
    conformant: [...ringed, d.harvest(0, 3), d.reset(1)],
    violating: [...ringed, d.harvest(0, 3), d.reset(0)],
  },
  {
    id: 'KVM-RING-04',
    title: 'as many entries are reset as were harvested',
    party: 'vmm',
    level: 'note',
    clause: 'kvm/dirty-ring',
    about:
      'A reset that is not interrupted empties all entries that were harvested before it. More than that were never seen; fewer leave pages that nobody watches.',
    causes: 'Entries that were skipped, or harvested twice.',
    needs: ['kvm_dirty_gfn', 'kvm_reset_dirty_rings'],
    device: (_view, scope) => {
      let harvested = 0;
      let certain = true;
      return {
        kvm_dirty_gfn: ({ flags }) => {
          const { DIRTY, RESET } = KVM_DIRTY_GFN_FLAGS;
          if (flags === undefined || (flags & (DIRTY | RESET)) === DIRTY) harvested++;
        },
        kvm_reset_dirty_rings: (event) => {
          const { errno, count } = event;
          // One that was interrupted has reset some.
          if (errno || count === undefined) certain = false;
          else if (certain && harvested > 0) {
            scope.check();
            if (count !== harvested && count !== 0)
              scope.fail(event, `${harvested} entries were harvested, and ${count} are reset`);
          }
          if (!errno) [harvested, certain] = [0, true];
        },
      };
    },
    conformant: [...ringed, d.harvest(0, 3), d.harvest(0, 4), d.reset(2)],
    violating: [...ringed, d.harvest(0, 3), d.harvest(0, 4), d.reset(1)],
  },
  {
    id: 'KVM-RING-05',
    title: 'a reset needs rings',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/dirty-ring',
    about: 'KVM_RESET_DIRTY_RINGS ends with EINVAL in a VM without rings, and never in one that has them.',
    causes: 'A VM whose rings were refused is taken for one that has them.',
    needs: ['kvm_enable_cap', 'kvm_reset_dirty_rings'],
    refusal: {
      machine: 'kvm-vm',
      event: /^RESET_CALL\./,
      message: ({ events }) =>
        events[0] === 'RESET_CALL.ok'
          ? 'KVM_RESET_DIRTY_RINGS succeeded in a VM without rings'
          : 'KVM_RESET_DIRTY_RINGS ended with EINVAL in a VM with rings',
    },
    conformant: [d.open(), d.reset(undefined, 'EINVAL'), d.ring(65_536), d.reset(0)],
    violating: [d.open(), d.ring(512, 'EINVAL'), d.reset(0)],
  },
  {
    id: 'KVM-RING-06',
    title: 'entries name pages of slots that log',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/dirty-ring',
    about: 'The page of an entry lies inside the slot that it names.',
    causes: 'The offset is counted from guest address 0, not from the slot.',
    needs: ['kvm_dirty_gfn', 'kvm_memslot'],
    device: (_view, scope) => {
      const sizes = new Map<number, number>();
      return {
        kvm_memslot: ({ slot, size, errno }) => {
          // Entries of a slot that was taken away may still be found.
          if (errno || size === undefined || BigInt(size) === 0n) return;
          if (sizes.size < MOST.slots)
            sizes.set(slot, Math.max(Number(size) / KVM_PAGE, sizes.get(slot) ?? 0));
        },
        kvm_dirty_gfn: (event) => {
          const size = sizes.get(event.slot);
          if (size === undefined || event.flags === KVM_DIRTY_GFN_FLAGS.EMPTY) return;
          scope.check();
          if (event.page >= size)
            scope.fail(event, `an entry names page ${event.page} of slot ${event.slot}, which has ${size}`);
        },
      };
    },
    conformant: [...ringed, d.harvest(0, 99), d.reset(1)],
    violating: [...ringed, d.harvest(0, 100), d.reset(1)],
  },
  {
    id: 'KVM-RING-07',
    title: 'a vCPU with a full ring is not entered again before the reset',
    party: 'vmm',
    level: 'should',
    clause: 'kvm/dirty-ring',
    about:
      'After KVM_EXIT_DIRTY_RING_FULL the entries are harvested and reset; before that KVM_RUN returns the same way at once.',
    causes: 'The VMM goes round without harvesting, or harvests and forgets the reset.',
    needs: ['kvm_exit', 'kvm_reset_dirty_rings'],
    device: (_view, scope) => {
      const full = new Set<number>();
      return {
        kvm_reset_dirty_rings: ({ errno }) => {
          if (!errno) full.clear();
        },
        kvm_exit: (event) => {
          if (event.reason !== KVM_EXIT_DIRTY_RING_FULL || event.errno) return;
          scope.check();
          if (full.has(event.vcpu))
            scope.fail(event, `vCPU ${event.vcpu} was entered again with a full ring, and nothing was reset`);
          if (full.size < MOST.vcpus) full.add(event.vcpu);
        },
      };
    },
    conformant: [...ringed, d.full(), d.harvest(0, 3), d.reset(1), d.full(), d.harvest(0, 3), d.reset(1)],
    violating: [...ringed, d.full(), d.full(), d.harvest(0, 3), d.reset(1)],
  },
  {
    id: 'KVM-RING-08',
    title: 'what is in the rings comes out in the order of the writes',
    party: 'kernel',
    level: 'must',
    clause: 'kvm/no-lost-write',
    about:
      'A ring holds pages in the order in which its vCPU wrote them for the first time since their reset. In a VM with one vCPU, a page that comes out before one that was written earlier means that the earlier one is lost.',
    causes: 'An entry that was overwritten when the ring was full, or never pushed.',
    needs: ['kvm_guest_write', 'kvm_dirty_gfn', 'kvm_memslot', 'kvm_vcpu'],
    device: (_view, scope) => {
      const rings = new RingOrder();
      return {
        kvm_vcpu: ({ errno }) => {
          if (!errno) rings.vcpus++;
        },
        kvm_memslot: ({ slot, errno, log }) => {
          if (!errno) rings.memslot(slot, log);
        },
        kvm_enable_cap: ({ capability }) => {
          if (capability === 'manual_protect') rings.giveUp();
        },
        kvm_reset_dirty_rings: ({ errno, count }) => rings.reset(errno ? undefined : count),
        kvm_guest_write: ({ slot, pages }) => rings.write(slot, pages),
        kvm_dirty_gfn: (event) => {
          const missing = rings.harvest(event.slot, event.page);
          if (missing === undefined) return;
          scope.check();
          if (missing.length > 0)
            scope.fail(
              event,
              `page ${event.page} comes out of the ring, and page ${missing[0]} was written before it`,
            );
        },
      };
    },
    conformant: [
      ...ringed,
      d.write(0, [[3, 1]]),
      d.write(0, [[9, 1]]),
      d.harvest(0, 3),
      d.harvest(0, 9),
      d.reset(2),
    ],
    violating: [...ringed, d.write(0, [[3, 1]]), d.write(0, [[9, 1]]), d.harvest(0, 9), d.reset(1)],
  },
];

/** Most pages that are waited for. */
const MOST_PAGES = 65_536;

/** The order of writes and of entries, in a VM with one vCPU. */
class RingOrder {
  vcpus = 0;
  /** Pages that wait in the ring, by `slot page`: the number of the write. Map order is the order of writes. */
  readonly #waiting = new Map<string, number>();
  /** Pages that came out before the trace told of their write. */
  readonly #early = new Set<string>();
  /** Pages that are harvested and not reset: a write to them makes no entry. */
  readonly #open = new Set<string>();
  readonly #logs = new Set<number>();
  #write = 0;
  #harvested = 0;
  #lost = false;

  memslot(slot: number, log: boolean): void {
    if (log) this.#logs.add(slot);
    else this.#logs.delete(slot);
    // What a slot had pushed before the change, and what it pushes again, cannot be told apart.
    for (const set of [this.#waiting, this.#early, this.#open])
      for (const key of set.keys()) if (key.startsWith(`${slot} `)) set.delete(key);
  }

  /** With manual protection a page may be open from the start; such a VM is left alone. */
  giveUp(): void {
    this.#lost = true;
  }

  reset(count: number | undefined): void {
    // One that was interrupted has reset some, and nobody knows which.
    if (count !== this.#harvested) this.#lost = true;
    this.#harvested = 0;
    this.#open.clear();
  }

  write(slot: number, runs: readonly (readonly [number, number])[]): void {
    this.#write++;
    if (!this.#logs.has(slot)) return;
    let looked = 0;
    for (const [first, count] of runs)
      for (let page = first; page < first + count; page++) {
        if (this.#waiting.size >= MOST_PAGES || ++looked > MOST_PAGES) {
          this.#lost = true;
          return;
        }
        const key = `${slot} ${page}`;
        if (this.#early.delete(key) || this.#open.has(key) || this.#waiting.has(key)) continue;
        this.#waiting.set(key, this.#write);
      }
  }

  /** Pages that had to come out before this one; undefined where that cannot be told. */
  harvest(slot: number, page: number): readonly number[] | undefined {
    const key = `${slot} ${page}`;
    const written = this.#waiting.get(key);
    this.#waiting.delete(key);
    this.#harvested++;
    if (this.#open.size < MOST_PAGES) this.#open.add(key);
    else this.#lost = true;
    if (written === undefined) {
      if (this.#early.size < MOST_PAGES) this.#early.add(key);
      return undefined;
    }
    if (this.vcpus !== 1 || this.#lost) return undefined;
    for (const [other, number] of this.#waiting) {
      if (number >= written) break;
      return [Number(other.split(' ')[1])];
    }
    return [];
  }
}
