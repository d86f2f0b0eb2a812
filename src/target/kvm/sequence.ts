import type { KvmCall, KvmMemslotCall } from '../../machines/kvm-dirty-calls.js';
import {
  KVM_DIRTY_LOG_MANUAL,
  KVM_DIRTY_LOG_PAGES,
  KVM_DIRTY_RING_ENTRIES,
  KVM_PAGE,
} from '../../uapi/kvm.js';
import type { Draw } from './draw.js';
import type { GuestAccess } from './guest-code.js';

/** How the VM of a sequence begins to log. */
export const KVM_LOG_MODES = ['auto', 'manual', 'initially_set', 'ring'] as const;
export type KvmLogMode = (typeof KVM_LOG_MODES)[number];

/** A step of a sequence: a call of KVM, with memory for its bitmap or without; or what guest and VMM do in between. */
export type KvmStep =
  | {
      readonly do: 'call';
      readonly call: KvmCall;
      /** The bitmap is looked for where there is no memory. */
      readonly nowhere?: boolean;
    }
  | {
      readonly do: 'touch';
      readonly vcpu: number;
      readonly access: GuestAccess;
      /** Pages of slots: number of the slot, and page of it. */
      readonly pages: readonly (readonly [slot: number, page: number])[];
      /** Where in each page. */
      readonly offset: number;
    }
  | { readonly do: 'run_immediately'; readonly vcpu: number }
  | { readonly do: 'harvest'; readonly vcpu: number; readonly most: number };

/** What has been set up so far, which the next step is drawn from. */
export interface Situation {
  readonly mode: KvmLogMode;
  /** Rings are hardly harvested, so that they get full. */
  readonly lazy: boolean;
  readonly vcpus: number;
  readonly slots: ReadonlyMap<
    number,
    { readonly gpa: number; readonly size: number; readonly uaddr: number }
  >;
  /** Where guest addresses are in this process. */
  userAddress(gpa: number): number;
}

/**
 * Where slots are: each begins at one of two places. Their sizes in pages are at, below and above the 64 pages that
 * the calls go by, and one bitmap word.
 */
const SLOTS = [
  { slot: 0, starts: [0x10, 0x11], pages: [1, 37, 64] },
  { slot: 1, starts: [0x48, 0x60], pages: [63, 65, 128] },
  { slot: 2, starts: [0xb0, 0x10], pages: [20, 64] },
] as const;
const SLOT_NUMBERS = SLOTS.map(({ slot }) => slot);
/** A slot that is not there, one above all that KVM has, others in address spaces that most VMs, or all, have not. */
const STRANGE_SLOTS = [7, 0xffff, 0x1_0000, 0x5_0001];
const MOST_VCPUS = 2;
/**
 * Accesses of one run: a ring is full when the entries that are kept free are left, and a KVM that emulates the
 * guest looks at that only now and then, so that a run must fit into these.
 */
const MOST_ACCESSES = 56;
/** Mostly the smallest: only that one gets full. */
const RING_SIZES = [4096, 4096, 4096, 8192, 65536] as const;
const STRANGE_RING_SIZES = [0, 16, 2048, 5000, 6144, 2 * KVM_DIRTY_RING_ENTRIES.most * 16];
const { PROTECT_ENABLE, INITIALLY_SET } = KVM_DIRTY_LOG_MANUAL;
const MANUAL_FLAGS = [0, PROTECT_ENABLE, INITIALLY_SET, PROTECT_ENABLE | INITIALLY_SET, 4, 5];

const call = (of: KvmCall, nowhere = false): KvmStep => ({
  do: 'call',
  call: of,
  ...(nowhere && { nowhere }),
});

/** The steps that a sequence begins with. */
export function firstSteps(draw: Draw, mode: KvmLogMode, smallestRing: number, at: Situation): KvmStep[] {
  const steps: KvmStep[] = [];
  if (draw.once(4)) steps.push(call(strangeCap(draw)));
  if (mode === 'manual') steps.push(call({ call: 'manual_protect', flags: PROTECT_ENABLE }));
  if (mode === 'initially_set')
    steps.push(call({ call: 'manual_protect', flags: PROTECT_ENABLE | INITIALLY_SET }));
  if (mode === 'ring')
    steps.push(call({ call: 'dirty_ring', bytes: Math.max(smallestRing, draw.pick(RING_SIZES)) }));
  for (let vcpu = 0; vcpu < MOST_VCPUS; vcpu++) steps.push(call({ call: 'create_vcpu' }));
  for (const slot of SLOT_NUMBERS) if (!draw.once(3)) steps.push(call(memslot(draw, slot, at)));
  return steps;
}

/** The next step, whatever the last ones came to. */
export function nextStep(draw: Draw, at: Situation): KvmStep {
  const roll = draw.below(100);
  if (roll < (at.lazy ? 55 : 30)) return someTouch(draw, at);
  if (roll < 45) return call({ call: 'get_dirty_log', slot: someSlot(draw) }, draw.once(12));
  if (roll < 60) return call(clear(draw, at), draw.once(20));
  if (roll < 70 && at.mode === 'ring') return at.lazy && !draw.once(4) ? someTouch(draw, at) : ringStep(draw);
  if (roll < 90) return call(memslot(draw, draw.pick(SLOT_NUMBERS), at));
  if (roll < 94) return { do: 'run_immediately', vcpu: draw.below(MOST_VCPUS) };
  if (roll < 96) return call({ call: 'reset_dirty_rings' });
  return call(strangeCap(draw));
}

const someTouch = (draw: Draw, at: Situation): KvmStep =>
  touch(draw, at) ?? call(memslot(draw, draw.pick(SLOT_NUMBERS), at));
const someSlot = (draw: Draw): number => (draw.once(8) ? draw.pick(STRANGE_SLOTS) : draw.pick(SLOT_NUMBERS));

function ringStep(draw: Draw): KvmStep {
  if (draw.once(3)) return call({ call: 'reset_dirty_rings' });
  const most = draw.once(3) ? 1 + draw.below(8) : Number.MAX_SAFE_INTEGER;
  return { do: 'harvest', vcpu: draw.below(MOST_VCPUS), most };
}

/** Capabilities at any time, with values that are refused too; rings come too late here, and manual modes change. */
function strangeCap(draw: Draw): KvmCall {
  const roll = draw.below(4);
  if (roll === 0) return { call: 'dirty_ring', bytes: draw.pick(STRANGE_RING_SIZES) };
  if (roll === 1) return { call: 'dirty_ring_with_bitmap' };
  return { call: 'manual_protect', flags: draw.pick(MANUAL_FLAGS) };
}

/** Makes a slot, changes its log, takes it away; or asks for what cannot be. */
function memslot(draw: Draw, number: number, at: Situation): KvmMemslotCall {
  const known = at.slots.get(number);
  const { starts, pages } = SLOTS[number]!;
  const gpa = known?.gpa ?? draw.pick(starts) * KVM_PAGE;
  const size = known?.size ?? draw.pick(pages) * KVM_PAGE;
  const log = known === undefined ? !draw.once(4) : draw.once(2);
  const uaddr = known?.uaddr ?? at.userAddress(gpa);
  const good = { call: 'memslot', slot: number, log, gpa, size, uaddr } as const;
  switch (draw.below(14)) {
    case 0:
      return { ...good, size: 0 };
    case 1:
      return { ...good, size: size + 512 };
    case 2:
      return { ...good, gpa: gpa + 1 };
    case 3:
      // A new slot could be had there, on the memory of another one.
      return { ...good, uaddr: uaddr + (known === undefined ? 1 : draw.pick([1, KVM_PAGE])) };
    case 4:
      return { ...good, size: draw.pick(pages) * KVM_PAGE };
    case 5:
      return { ...good, gpa: draw.pick(starts) * KVM_PAGE };
    case 7:
      return { ...good, readonly: known !== undefined };
    case 6:
      return { ...good, slot: draw.pick([0xffff, 0x5_0001]) };
    default:
      return good;
  }
}

function clear(draw: Draw, at: Situation): KvmCall {
  const slot = someSlot(draw);
  const slotPages = (at.slots.get(slot)?.size ?? 0) / KVM_PAGE;
  const first = draw.below(2) * KVM_DIRTY_LOG_PAGES + (draw.once(6) ? 1 + draw.below(63) : 0);
  const left = Math.max(0, slotPages - first);
  const pages = draw.once(3)
    ? draw.pick([0, 1, KVM_DIRTY_LOG_PAGES, KVM_DIRTY_LOG_PAGES + 1, left + 1, left + KVM_DIRTY_LOG_PAGES])
    : left;
  const set = pages === 0 ? [] : draw.several(draw.below(40), pages).map((page) => first + page);
  return { call: 'clear_dirty_log', slot, first, pages, set: [...new Set(set)] };
}

/** The guest goes through pages of slots that are there; undefined when there are none. */
function touch(draw: Draw, at: Situation): KvmStep | undefined {
  const slots = [...at.slots].filter(([, { size }]) => size > 0);
  if (slots.length === 0 || at.vcpus === 0) return undefined;
  const access = draw.pick<GuestAccess>(['write', 'write', 'write_word', 'write_and_exit', 'read']);
  const count = 1 + draw.below(access === 'write_word' ? MOST_ACCESSES / 2 : MOST_ACCESSES);
  const pages = Array.from({ length: count }, () => {
    const [slot, { size }] = draw.pick(slots);
    return [slot, draw.below(size / KVM_PAGE)] as const;
  });
  // A word at the last byte reaches into the next page, which is one of the same slot.
  const crosses =
    access === 'write_word' &&
    draw.once(2) &&
    pages.every(([slot, page]) => (page + 1) * KVM_PAGE < (at.slots.get(slot)?.size ?? 0));
  const offset = crosses ? KVM_PAGE - 1 : draw.below(KVM_PAGE - 1);
  return { do: 'touch', vcpu: draw.below(at.vcpus), access, pages, offset };
}
