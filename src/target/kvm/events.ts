import type { KvmCall } from '../../machines/kvm-dirty-calls.js';
import type { KvmOutcome } from '../../machines/kvm-dirty-model.js';
import type { TraceEvent } from '../../trace/event.js';
import type { DirtyGfn } from './vcpu.js';
import type { GuestRun } from './vm.js';

type Body<K extends TraceEvent['kind'] = TraceEvent['kind']> = {
  [E in K]: Omit<Extract<TraceEvent, { kind: E }>, 'host' | 'device' | 't'>;
}[K];

/** Runs of neighbours: first page, and how many. */
export function runsOf(pages: Iterable<number>): [first: number, count: number][] {
  const runs: [number, number][] = [];
  for (const page of [...new Set(pages)].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === page) last[1]++;
    else runs.push([page, 1]);
  }
  return runs;
}

/** Tells what is done to one VM, as canonical events. */
export class KvmEvents {
  readonly #device: string;
  readonly #emit: (event: TraceEvent) => void;

  /** @param device name of the VM */
  constructor(device: string, emit: (event: TraceEvent) => void) {
    this.#device = device;
    this.#emit = emit;
  }

  #tell({ kind, ...rest }: Body): void {
    const t = Math.round(performance.now() * 1000);
    this.#emit({ kind, t, host: 'vmm', device: this.#device, ...rest } as TraceEvent);
  }

  /** A call, and what it came to. */
  call(call: KvmCall, outcome: KvmOutcome): void {
    this.#tell(bodyOf(call, outcome));
  }

  /** A run of the guest, and what it wrote: pages by their slots. */
  run(vcpu: number, { exits }: GuestRun, written: readonly (readonly [slot: number, page: number])[]): void {
    const bySlot = new Map<number, number[]>();
    for (const [slot, page] of written) bySlot.set(slot, [...(bySlot.get(slot) ?? []), page]);
    for (const [slot, pages] of bySlot) this.#tell({ kind: 'kvm_guest_write', slot, pages: runsOf(pages) });
    for (const { reason, errno } of exits)
      this.#tell({ kind: 'kvm_exit', vcpu, ...(reason !== undefined && { reason }), errno: errno ?? 0 });
  }

  harvested(vcpu: number, { slot, page, flags }: DirtyGfn): void {
    this.#tell({ kind: 'kvm_dirty_gfn', vcpu, slot, page, flags });
  }
}

function bodyOf(call: KvmCall, { errno, pages, count }: KvmOutcome): Body {
  const good = errno === 0;
  switch (call.call) {
    case 'manual_protect':
      return { kind: 'kvm_enable_cap', capability: call.call, argument: call.flags, errno };
    case 'dirty_ring':
      return { kind: 'kvm_enable_cap', capability: call.call, argument: call.bytes, errno };
    case 'dirty_ring_with_bitmap':
      return { kind: 'kvm_enable_cap', capability: call.call, errno };
    case 'create_vcpu':
      return { kind: 'kvm_vcpu', errno };
    case 'memslot': {
      const { slot, log, gpa, size } = call;
      return { kind: 'kvm_memslot', slot, log, gpa, size, errno };
    }
    case 'get_dirty_log':
      return {
        kind: 'kvm_dirty_log_get',
        slot: call.slot,
        ...(good && { pages: runsOf(pages ?? []) }),
        errno,
      };
    case 'clear_dirty_log':
      return {
        kind: 'kvm_dirty_log_clear',
        slot: call.slot,
        first: call.first,
        pages: call.pages,
        set: runsOf(call.set),
        errno,
      };
    case 'reset_dirty_rings':
      return { kind: 'kvm_reset_dirty_rings', ...(good && { count: count ?? 0 }), errno };
  }
}
