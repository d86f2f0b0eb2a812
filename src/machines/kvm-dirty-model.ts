import { ERRNO } from '../uapi/errno.js';
import { KVM_DIRTY_LOG_MANUAL, KVM_DIRTY_RING_ENTRIES, KVM_PAGE, KVM_USER_MEMSLOTS } from '../uapi/kvm.js';
import {
  clearFits,
  clearStartsRight,
  type KvmCall,
  type KvmClearCall,
  type KvmHost,
  type KvmMemslotCall,
  manualProtectErrno,
  memslotArgumentErrno,
  ringSizeErrno,
  slotNumberErrno,
} from './kvm-dirty-calls.js';
import { kvmMemslot } from './kvm-memslot.js';
import { kvmVm } from './kvm-vm.js';
import { type Configuration, chartStep, initialConfiguration, type Machine } from './xstate.js';

/** How a call ended on a real kernel. */
export interface KvmOutcome {
  /** Positive; 0 for success. */
  readonly errno: number;
  /** KVM_GET_DIRTY_LOG: pages of the slot whose bit is set. */
  readonly pages?: readonly number[];
  /** KVM_RESET_DIRTY_RINGS: what it returned. */
  readonly count?: number;
}

/** What a call on a real kernel shows that the model has otherwise. */
export interface KvmDisagreement {
  /** `errno`: not the one foretold. `lost`: a page that had to be reported was not. `count`: of a reset. */
  readonly kind: 'errno' | 'lost' | 'count';
  readonly text: string;
  /** Pages that were lost. */
  readonly pages: readonly number[];
}

/** What taking an outcome has shown. */
export interface KvmAgreement {
  readonly disagreements: readonly KvmDisagreement[];
  /** Pages that GET reported and nobody is known to have written: allowed, and worth counting. */
  readonly unexplained: readonly number[];
}

/** Pages by what the next KVM_GET_DIRTY_LOG has to say about them; any other page may be reported as well. */
export interface KvmExpectation {
  /** In the report, or a write is lost. */
  readonly must: readonly number[];
  /** In this report or in a later one: written by a vCPU that has not left the guest since. */
  readonly may: readonly number[];
}

interface Slot {
  chart: Configuration;
  logs: boolean;
  gpa: number;
  size: number;
  uaddr: number;
  readonly: boolean;
  /** Bits that are set for certain. */
  readonly dirty: Set<number>;
  /** Written by a vCPU that was not seen to leave the guest since. */
  readonly unsettled: Set<number>;
}

const { PROTECT_ENABLE, INITIALLY_SET } = KVM_DIRTY_LOG_MANUAL;

/** The event of `PROTECT` in `kvm-vm` that these flags are. */
export function protectEvent(flags: number): string {
  if (flags & INITIALLY_SET) return 'PROTECT.initially_set';
  return flags & PROTECT_ENABLE ? 'PROTECT.manual' : 'PROTECT.off';
}

/** What a call that succeeded is to `kvm-vm`. */
const VM_EVENTS: { readonly [C in KvmCall['call']]?: (call: Extract<KvmCall, { call: C }>) => string } = {
  manual_protect: ({ flags }) => protectEvent(flags),
  dirty_ring: () => 'RING.ok',
  dirty_ring_with_bitmap: () => 'RING_BITMAP.ok',
  create_vcpu: () => 'VCPU.ok',
};

const { EINVAL = 22, ENOENT = 2, ENXIO = 6, EEXIST = 17 } = ERRNO;
const X86: KvmHost = {
  addressSpaces: 1,
  slots: KVM_USER_MEMSLOTS,
  reserved: KVM_DIRTY_RING_ENTRIES.reserved,
  ringWithBitmap: false,
};

/** The charts of all models; made once. */
let charts: readonly [vm: Machine, slot: Machine] | undefined;

/**
 * A VM's dirty logging without a VM: foretells the errno of each call by the charts `kvm-vm` and `kvm-memslot`, and
 * knows which pages a log has to report. Use: `predict` a call, make it, `take` its outcome; `write` what the guest
 * wrote in between. Nothing here calls a kernel.
 */
export class KvmDirtyModel {
  readonly host: KvmHost;
  readonly #vmChart: Machine;
  readonly #slotChart: Machine;
  #vm: Configuration;
  readonly #slots = new Map<number, Slot>();
  /** Pages that wait as dirty entries, and the vCPU whose ring they are in; a page is `slot page`. */
  readonly #waiting = new Map<string, number>();
  /** Pages whose entry is harvested and not reset: the next write to them goes unseen. */
  readonly #open = new Set<string>();
  #harvested = 0;

  /** @param host what the host offers, where it differs from x86 with one address space and no PML */
  constructor(host: Partial<KvmHost> = {}) {
    this.host = { ...X86, ...host };
    charts ??= [kvmVm(), kvmMemslot()];
    [this.#vmChart, this.#slotChart] = charts;
    this.#vm = initialConfiguration(this.#vmChart);
  }

  /** States of the regions of `kvm-vm`. */
  get vm(): Configuration {
    return this.#vm;
  }

  /** The state of a slot in `kvm-memslot`. */
  slotState(slot: number): string {
    return this.#chartOf(slot)[0]!;
  }

  /** The errno with which KVM answers a call now; 0 for success. Changes nothing. */
  predict(call: KvmCall): number {
    switch (call.call) {
      case 'manual_protect':
        return manualProtectErrno(call.flags);
      case 'dirty_ring':
        return ringSizeErrno(call.bytes, this.host.reserved) || (this.#vmTakes('RING.ok') ? 0 : EINVAL);
      case 'dirty_ring_with_bitmap':
        return this.host.ringWithBitmap && this.#slots.size === 0 && this.#vmTakes('RING_BITMAP.ok')
          ? 0
          : EINVAL;
      case 'create_vcpu':
        return 0;
      case 'memslot':
        return this.#memslotErrno(call);
      case 'get_dirty_log':
        return this.#noBitmap() || slotNumberErrno(call.slot, this.host) || this.#without(call.slot, 'GET');
      case 'clear_dirty_log':
        return this.#clearErrno(call);
      case 'reset_dirty_rings':
        return this.#vmTakes('RESET_CALL.ok') ? 0 : EINVAL;
    }
  }

  /** Takes what a call came to. The model follows the kernel where the two disagree. */
  take(call: KvmCall, outcome: KvmOutcome): KvmAgreement {
    const foretold = this.predict(call);
    const disagreements: KvmDisagreement[] = [];
    if (foretold !== outcome.errno)
      disagreements.push({
        kind: 'errno',
        text: `${call.call} ended with errno ${outcome.errno}; the model has ${foretold}`,
        pages: [],
      });
    if (outcome.errno !== 0) return { disagreements, unexplained: [] };
    if (call.call === 'get_dirty_log') {
      const { lost, unexplained } = this.#reported(call.slot, outcome.pages ?? []);
      if (lost.length > 0)
        disagreements.push({
          kind: 'lost',
          text: `${lost.length} pages of slot ${call.slot} were written and are not reported, first page ${lost[0]}`,
          pages: lost,
        });
      return { disagreements, unexplained };
    }
    if (call.call === 'reset_dirty_rings') disagreements.push(...this.#reset(outcome.count));
    else this.#apply(call);
    return { disagreements, unexplained: [] };
  }

  /**
   * A vCPU has written a page of a slot. `settled`: it has left the guest since, so that a page-modification log is
   * emptied; otherwise the page may wait there for one more reading.
   */
  write(slot: number, page: number, { settled = true, vcpu = 0 } = {}): void {
    const known = this.#slots.get(slot);
    if (known === undefined || !this.logs(slot) || known.readonly || page >= known.size / KVM_PAGE) return;
    if (this.#vm[1] !== 'bitmap') this.#push(known, `${slot} ${page}`, vcpu);
    else if (settled || known.dirty.has(page)) known.dirty.add(page);
    else known.unsettled.add(page);
  }

  /** KVM has written a page for nobody's vCPU: in a bitmap if there is one, with rings alone nowhere. */
  kernelWrite(slot: number, page: number): void {
    const known = this.#slots.get(slot);
    if (known && this.logs(slot) && this.#vm[1] !== 'ring') known.dirty.add(page);
  }

  /** All vCPUs have left the guest: what they wrote is in the logs. */
  settle(): void {
    for (const { dirty, unsettled } of this.#slots.values()) {
      for (const page of unsettled) dirty.add(page);
      unsettled.clear();
    }
  }

  /** Whether a slot logs. */
  logs(slot: number): boolean {
    return this.#slots.get(slot)?.logs ?? false;
  }

  /** What the next KVM_GET_DIRTY_LOG of a slot has to report, ascending. */
  expected(slot: number): KvmExpectation {
    const known = this.#slots.get(slot);
    const sorted = (pages: Iterable<number> = []) => [...pages].sort((a, b) => a - b);
    return { must: sorted(known?.dirty), may: sorted(known?.unsettled) };
  }

  /** Pages that have to be found in the ring of a vCPU, as slot and page. */
  waiting(vcpu = 0): readonly (readonly [slot: number, page: number])[] {
    return [...this.#waiting]
      .filter(([, ring]) => ring === vcpu)
      .map(([key]) => key.split(' ').map(Number) as [number, number]);
  }

  /** User space harvested an entry. False: nobody is known to have written the page, which is allowed. */
  harvest(slot: number, page: number): boolean {
    const key = `${slot} ${page}`;
    this.#harvested++;
    this.#open.add(key);
    return this.#waiting.delete(key);
  }

  /**
   * A page is in a ring once until it was reset, whoever writes it. Where INITIALLY_SET is on, none is protected in
   * the first place, and it may not come at all.
   */
  #push({ chart }: Slot, key: string, vcpu: number): void {
    if (chart[0] === 'initially_set') return;
    if (!this.#open.has(key) && !this.#waiting.has(key)) this.#waiting.set(key, vcpu);
  }

  #reset(count: number | undefined): KvmDisagreement[] {
    const harvested = this.#harvested;
    this.#harvested = 0;
    this.#open.clear();
    if (count === undefined || count === harvested) return [];
    const text = `KVM_RESET_DIRTY_RINGS reset ${count} entries; ${harvested} were harvested`;
    return [{ kind: 'count', text, pages: [] }];
  }

  #reported(slot: number, pages: readonly number[]): { lost: number[]; unexplained: number[] } {
    const known = this.#slots.get(slot);
    if (!known) return { lost: [], unexplained: [...pages] };
    const seen = new Set(pages);
    const lost = [...known.dirty].filter((page) => !seen.has(page)).sort((a, b) => a - b);
    const unexplained = pages.filter((page) => !known.dirty.has(page) && !known.unsettled.has(page));
    const clears = this.#vm[0] === 'auto';
    for (const page of pages) known.unsettled.delete(page);
    known.dirty.clear();
    // With manual protection a bit stays until CLEAR takes it away.
    if (!clears) for (const page of pages) known.dirty.add(page);
    return { lost, unexplained };
  }

  #apply(call: KvmCall): void {
    if (call.call === 'memslot') this.#setMemslot(call);
    else if (call.call === 'clear_dirty_log') this.#clear(call);
    else this.#step(VM_EVENTS[call.call]?.(call as never) ?? '');
  }

  #clear({ slot, first, pages, set }: KvmClearCall): void {
    const known = this.#slots.get(slot);
    for (const page of set) if (page >= first && page < first + pages) known?.dirty.delete(page);
  }

  #setMemslot({ slot, log, gpa, size, uaddr, readonly = false }: KvmMemslotCall): void {
    if (size === 0) {
      this.#slots.delete(slot);
      return;
    }
    const before = this.#slots.get(slot);
    const event = !log ? 'SET.no_log' : this.#vm[0] === 'initially_set' ? 'SET.log_all' : 'SET.log';
    const chart = chartStep(this.#slotChart, this.#chartOf(slot), event) ?? this.#chartOf(slot);
    const keeps = log && before !== undefined && this.logs(slot);
    const known = before ?? { dirty: new Set<number>(), unsettled: new Set<number>() };
    const logs = chartStep(this.#slotChart, chart, 'GET.ok') !== null;
    this.#slots.set(slot, { ...known, chart, logs, gpa, size, uaddr, readonly });
    if (keeps) return;
    for (const key of this.#open) if (key.startsWith(`${slot} `)) this.#open.delete(key);
    known.dirty.clear();
    known.unsettled.clear();
    if (event === 'SET.log_all' && this.#vm[1] !== 'ring')
      for (let page = 0; page < size / KVM_PAGE; page++) known.dirty.add(page);
  }

  #memslotErrno(call: KvmMemslotCall): number {
    const wrong = memslotArgumentErrno(call) || slotNumberErrno(call.slot, this.host);
    if (wrong) return wrong;
    const { slot, gpa, size, uaddr, readonly = false } = call;
    const before = this.#slots.get(slot);
    if (size === 0) return chartStep(this.#slotChart, this.#chartOf(slot), 'DELETE.ok') === null ? EINVAL : 0;
    const same = before?.size === size && before.uaddr === uaddr && before.readonly === readonly;
    if (before && !same) return EINVAL;
    if (before?.gpa === gpa) return 0;
    return this.#overlaps(slot, gpa, size) ? EEXIST : 0;
  }

  #overlaps(slot: number, gpa: number, size: number): boolean {
    for (const [number, other] of this.#slots) {
      if (number === slot || number >>> 16 !== slot >>> 16) continue;
      if (gpa < other.gpa + other.size && other.gpa < gpa + size) return true;
    }
    return false;
  }

  #clearErrno({ slot, first, pages }: KvmClearCall): number {
    const early = this.#noBitmap() || slotNumberErrno(slot, this.host);
    if (early) return early;
    if (!clearStartsRight(first)) return EINVAL;
    const without = this.#without(slot, 'CLEAR');
    if (without) return without;
    return clearFits(first, pages, this.#slots.get(slot)!.size / KVM_PAGE) ? 0 : EINVAL;
  }

  #noBitmap(): number {
    return this.#vmTakes('BITMAP_CALL.ENXIO') ? ENXIO : 0;
  }

  #without(slot: number, call: 'GET' | 'CLEAR'): number {
    return chartStep(this.#slotChart, this.#chartOf(slot), `${call}.ENOENT`) === null ? 0 : ENOENT;
  }

  #chartOf(slot: number): Configuration {
    return this.#slots.get(slot)?.chart ?? initialConfiguration(this.#slotChart);
  }

  #vmTakes(event: string): boolean {
    return chartStep(this.#vmChart, this.#vm, event) !== null;
  }

  #step(event: string): void {
    this.#vm = chartStep(this.#vmChart, this.#vm, event) ?? this.#vm;
  }
}
