import type { KvmCall, KvmOutcome } from '../../src/machines/index.js';
import { ERRNO } from '../../src/uapi/errno.js';

/** How the naive KVM may go wrong. */
export type KvmFault =
  | 'no_protect_after_get'
  | 'clear_takes_neighbours'
  | 'get_without_log'
  | 'ring_overwrites';

interface Slot {
  gpa: number;
  uaddr: number;
  pages: number;
  readonly: boolean;
  /** One entry a page; null while the slot does not log. */
  bits: boolean[] | null;
  /** Pages whose next write is not seen. */
  open: boolean[];
}

const E = (name: string): KvmOutcome => ({ errno: ERRNO[name]! });
const OK: KvmOutcome = { errno: 0 };
const PAGE = 4096;

/** KVM's dirty logging, written down once more with arrays and without charts: what the model is held against. */
export class NaiveKvm {
  manual = 0;
  ring = 0;
  withBitmap = false;
  vcpus = 0;
  readonly slots = new Map<number, Slot>();
  /** The ring of the only vCPU: entries from the first that was not reset. */
  entries: { slot: number; page: number; harvested: boolean }[] = [];

  constructor(
    readonly offersBitmap = true,
    readonly fault?: KvmFault,
  ) {}

  run(call: KvmCall): KvmOutcome {
    switch (call.call) {
      case 'manual_protect':
        if (![0, 1, 3].includes(call.flags)) return E('EINVAL');
        this.manual = call.flags;
        return OK;
      case 'dirty_ring': {
        const power = call.bytes > 0 && (call.bytes & (call.bytes - 1)) === 0;
        if (!power || call.bytes < 4096) return E('EINVAL');
        if (call.bytes > 1 << 20) return E('E2BIG');
        if (this.ring > 0 || this.vcpus > 0) return E('EINVAL');
        this.ring = call.bytes;
        return OK;
      }
      case 'dirty_ring_with_bitmap':
        if (!this.offersBitmap || this.ring === 0 || this.slots.size > 0) return E('EINVAL');
        this.withBitmap = true;
        return OK;
      case 'create_vcpu':
        this.vcpus++;
        return OK;
      case 'memslot':
        return this.#memslot(call);
      case 'get_dirty_log':
        return this.#get(call.slot);
      case 'clear_dirty_log':
        return this.#clear(call);
      case 'reset_dirty_rings':
        return this.#reset();
    }
  }

  /** The guest writes a page. */
  write(number: number, page: number): void {
    const slot = this.slots.get(number);
    if (!slot?.bits || slot.readonly || page >= slot.pages || slot.open[page]) return;
    slot.open[page] = true;
    if (this.ring === 0) slot.bits[page] = true;
    else if (this.fault === 'ring_overwrites' && this.entries.length > 0)
      this.entries[this.entries.length - 1] = { slot: number, page, harvested: false };
    else this.entries.push({ slot: number, page, harvested: false });
  }

  /** The next dirty entry of the ring, harvested. */
  harvest(): { slot: number; page: number } | undefined {
    const next = this.entries.find(({ harvested }) => !harvested);
    if (next) next.harvested = true;
    return next;
  }

  #memslot(call: Extract<KvmCall, { call: 'memslot' }>): KvmOutcome {
    const before = this.slots.get(call.slot);
    if (call.size % PAGE || call.gpa % PAGE || call.uaddr % PAGE) return E('EINVAL');
    if (call.slot >= 32_764) return E('EINVAL');
    if (call.size === 0) return this.slots.delete(call.slot) ? OK : E('EINVAL');
    const pages = call.size / PAGE;
    const readonly = call.readonly ?? false;
    if (before && (before.pages !== pages || before.uaddr !== call.uaddr || before.readonly !== readonly))
      return E('EINVAL');
    for (const [number, other] of this.slots) {
      const apart = call.gpa >= other.gpa + other.pages * PAGE || other.gpa >= call.gpa + call.size;
      if (number !== call.slot && !apart && before?.gpa !== call.gpa) return E('EEXIST');
    }
    const all = this.manual === 3;
    const fresh = () => Array.from({ length: pages }, () => all);
    const bits = call.log ? (before?.bits ?? fresh()) : null;
    const open = call.log ? (before?.bits ? before.open : fresh()) : [];
    this.slots.set(call.slot, { gpa: call.gpa, uaddr: call.uaddr, pages, readonly, bits, open });
    return OK;
  }

  #logOf(number: number): Slot | KvmOutcome {
    if (this.ring > 0 && !this.withBitmap) return E('ENXIO');
    if (number >= 32_764) return E('EINVAL');
    const slot = this.slots.get(number);
    return slot?.bits ? slot : E('ENOENT');
  }

  #get(number: number): KvmOutcome {
    const slot = this.#logOf(number);
    if ('errno' in slot)
      return this.fault === 'get_without_log' && slot.errno === ERRNO.ENOENT ? { errno: 0, pages: [] } : slot;
    const pages = slot.bits!.flatMap((set, page) => (set ? [page] : []));
    if (this.manual === 0)
      for (const page of pages) {
        slot.bits![page] = false;
        slot.open[page] = this.fault === 'no_protect_after_get';
      }
    return { errno: 0, pages };
  }

  #clear({ slot: number, first, pages, set }: Extract<KvmCall, { call: 'clear_dirty_log' }>): KvmOutcome {
    const slot = this.#logOf(number);
    if ('errno' in slot && slot.errno !== ERRNO.ENOENT) return slot;
    if (first % 64 !== 0) return E('EINVAL');
    if ('errno' in slot) return slot;
    const left = slot.pages - first;
    if (left < 0 || pages > left || (pages < left && pages % 64 !== 0)) return E('EINVAL');
    for (let page = first; page < first + pages; page++) {
      const asked =
        set.includes(page) ||
        (this.fault === 'clear_takes_neighbours' && (set.includes(page - 1) || set.includes(page + 1)));
      if (asked && slot.bits![page]) [slot.bits![page], slot.open[page]] = [false, false];
    }
    return OK;
  }

  #reset(): KvmOutcome {
    if (this.ring === 0) return E('EINVAL');
    const end = this.entries.findIndex(({ harvested }) => !harvested);
    const done = this.entries.splice(0, end < 0 ? this.entries.length : end);
    for (const { slot, page } of done) {
      const known = this.slots.get(slot);
      if (known?.bits && page < known.pages) known.open[page] = false;
    }
    return { errno: 0, count: done.length };
  }
}
