import type { KvmCall, KvmHost } from '../../machines/kvm-dirty-calls.js';
import { KvmDirtyModel, type KvmOutcome } from '../../machines/kvm-dirty-model.js';
import { DeviceError } from '../../uapi/device.js';
import { ERRNO, errnoName } from '../../uapi/errno.js';
import { KVM_PAGE } from '../../uapi/kvm.js';
import { KVM_EXIT } from '../../uapi/kvm-vm.js';
import type { KvmEvents } from './events.js';
import type { KvmStep } from './sequence.js';
import type { GuestRun, KvmVm } from './vm.js';

/** What the kernel did otherwise than the model. */
export interface KvmDifference {
  readonly kind: 'errno' | 'lost' | 'count' | 'run';
  readonly text: string;
}

/** What a step has shown. */
export interface StepResult {
  readonly differences: readonly KvmDifference[];
  /** Pages in a bitmap that nobody has written since: allowed. */
  readonly unexplained: number;
  /** Entries of a ring for pages that had one, or that nobody has written since: allowed. */
  readonly repeated: number;
  /** Pages that the guest has written. */
  readonly written: number;
  readonly ringFull: boolean;
}

const NOTHING: StepResult = { differences: [], unexplained: 0, repeated: 0, written: 0, ringFull: false };
const { EFAULT = 14, EINTR = 4 } = ERRNO;

/** Does the same on a VM and on the model, step by step, and compares. */
export class KvmAgreementRun {
  readonly #vm: KvmVm;
  readonly #model: KvmDirtyModel;
  readonly #events: KvmEvents;
  readonly slots = new Map<number, { gpa: number; size: number; uaddr: number }>();

  constructor(vm: KvmVm, host: KvmHost, events: KvmEvents) {
    this.#vm = vm;
    this.#model = new KvmDirtyModel(host);
    this.#events = events;
    // The guest's own memory is there already, and nothing else can be where it is.
    this.#model.take(vm.codeSlot, { errno: 0 });
  }

  step(step: KvmStep): StepResult {
    switch (step.do) {
      case 'call':
        return this.#call(step.call, step.nowhere === true);
      case 'touch':
        return this.#touch(step);
      case 'run_immediately': {
        if (step.vcpu >= this.#vm.vcpus) return NOTHING;
        const { errno } = this.#vm.runImmediately(step.vcpu);
        const text = `KVM_RUN with immediate_exit ended with ${errno === undefined ? 'an exit' : errnoName(errno)}, not EINTR`;
        const differences: KvmDifference[] = errno === EINTR ? [] : [{ kind: 'run', text }];
        return { ...NOTHING, differences };
      }
      case 'harvest':
        return this.#harvest(step.vcpu, step.most);
    }
  }

  #call(call: KvmCall, nowhere: boolean): StepResult {
    const foretold = this.#model.predict(call);
    const outcome = this.#make(call, nowhere);
    this.#events.call(call, outcome);
    if (nowhere && foretold === 0) return this.#withoutMemory(call, outcome);
    const { disagreements, unexplained } = this.#model.take(call, outcome);
    if (call.call === 'memslot' && outcome.errno === 0) {
      const { slot, gpa, size, uaddr } = call;
      if (size === 0) this.slots.delete(slot);
      else this.slots.set(slot, { gpa, size, uaddr });
    }
    const differences = disagreements.map(({ kind, text, pages }) => ({
      kind,
      text:
        kind === 'errno'
          ? `${text} (${errnoName(outcome.errno)} for ${errnoName(foretold)})`
          : `${text}${pages.length > 0 ? `: ${pages.join(', ')}` : ''}`,
    }));
    return { ...NOTHING, differences, unexplained: unexplained.length };
  }

  /** The call is right but for the address of its bitmap. */
  #withoutMemory(call: KvmCall, { errno }: KvmOutcome): StepResult {
    // GET copies the bitmap out last: with its own clearing, what it could not hand over is gone.
    if (call.call === 'get_dirty_log' && errno === EFAULT)
      this.#model.take(call, { errno: 0, pages: this.#model.expected(call.slot).must });
    const needsMemory = call.call !== 'clear_dirty_log' || call.pages > 0;
    const right = needsMemory ? EFAULT : 0;
    if (errno === right) return NOTHING;
    const text = `${call.call} with a bitmap at an address without memory ended with ${errnoName(errno)}, not ${errnoName(right)}`;
    return { ...NOTHING, differences: [{ kind: 'errno', text }] };
  }

  #make(call: KvmCall, nowhere: boolean): KvmOutcome {
    try {
      return { errno: 0, ...this.#perform(call, nowhere) };
    } catch (error) {
      if (error instanceof DeviceError) return { errno: error.errno };
      throw error;
    }
  }

  #perform(call: KvmCall, nowhere: boolean): Omit<KvmOutcome, 'errno'> {
    const vm = this.#vm;
    switch (call.call) {
      case 'manual_protect':
        vm.enableCap('manual_protect', call.flags);
        return {};
      case 'dirty_ring':
        vm.enableCap('dirty_ring', call.bytes);
        return {};
      case 'dirty_ring_with_bitmap':
        vm.enableCap('dirty_ring_with_bitmap', 0);
        return {};
      case 'create_vcpu':
        vm.createVcpu();
        return {};
      case 'memslot':
        vm.setSlot(call);
        return {};
      case 'get_dirty_log': {
        const pages = (this.slots.get(call.slot)?.size ?? 0) / KVM_PAGE;
        return { pages: vm.getDirtyLog(call.slot, pages, nowhere) };
      }
      case 'clear_dirty_log':
        vm.clearDirtyLog(call.slot, call.first, call.pages, call.set, nowhere);
        return {};
      case 'reset_dirty_rings':
        return { count: vm.resetRings() };
    }
  }

  #touch({ vcpu, access, pages, offset }: Extract<KvmStep, { do: 'touch' }>): StepResult {
    const list = pages.map(([slot, page]) => this.slots.get(slot)!.gpa / KVM_PAGE + page);
    const before = this.#vm.ring(vcpu);
    const run = this.#vm.touch(vcpu, access, list, offset);
    const written = run.written.map((page) => this.#slotPage(page));
    for (const [slot, page] of written) this.#model.write(slot, page, { vcpu });
    this.#events.run(vcpu, run, written);
    const wanted = access === 'read' ? 0 : new Set(list).size;
    const full = before.entries > 0 && before.used >= before.entries - this.#model.host.reserved;
    return {
      ...NOTHING,
      differences: this.#judgeRun(run, full, wanted),
      written: written.length,
      ringFull: full,
    };
  }

  /** A full ring lets no vCPU into the guest; otherwise it comes to its end. */
  #judgeRun({ exits, written }: GuestRun, full: boolean, wanted: number): KvmDifference[] {
    const { reason, errno = 0 } = exits.at(-1)!;
    const end = full ? KVM_EXIT.DIRTY_RING_FULL : KVM_EXIT.HLT;
    if (reason !== end) {
      // It may have become full on the way.
      if (!full && reason === KVM_EXIT.DIRTY_RING_FULL && this.#ringIsFull()) return [];
      const came = reason === undefined ? errnoName(errno) : `exit ${reason}`;
      return [{ kind: 'run', text: `KVM_RUN ended with ${came}; expected is exit ${end}` }];
    }
    if (full && written.length > 0)
      return [{ kind: 'run', text: `the guest wrote ${written.length} pages though its ring was full` }];
    if (!full && written.length < wanted)
      return [{ kind: 'run', text: `the guest wrote ${written.length} of ${wanted} pages` }];
    return [];
  }

  #ringIsFull(): boolean {
    for (let vcpu = 0; vcpu < this.#vm.vcpus; vcpu++) {
      const { used, entries } = this.#vm.ring(vcpu);
      if (entries > 0 && used >= entries - this.#model.host.reserved) return true;
    }
    return false;
  }

  #slotPage(page: number): readonly [slot: number, page: number] {
    for (const [slot, { gpa, size }] of this.slots) {
      const first = gpa / KVM_PAGE;
      if (page >= first && page < first + size / KVM_PAGE) return [slot, page - first];
    }
    throw new RangeError(`page ${page} is in no slot`);
  }

  #harvest(vcpu: number, most: number): StepResult {
    if (vcpu >= this.#vm.vcpus) return NOTHING;
    const entries = this.#vm.harvest(vcpu, most);
    let repeated = 0;
    for (const entry of entries) {
      if (!this.#model.harvest(entry.slot, entry.page)) repeated++;
      this.#events.harvested(vcpu, entry);
    }
    if (entries.length === most) return { ...NOTHING, repeated };
    // All that was in it came out. What a vCPU wrote may be in the ring of another one, which has it dirty before.
    const pending = this.#pending();
    const lost = this.#model.waiting(vcpu).filter(([slot, page]) => !pending.has(`${slot} ${page}`));
    const where = lost.map(([slot, page]) => `page ${page} of slot ${slot}`).join(', ');
    const differences: KvmDifference[] =
      lost.length === 0 ? [] : [{ kind: 'lost', text: `written by vCPU ${vcpu} and in no ring: ${where}` }];
    return { ...NOTHING, repeated, differences };
  }

  /** Pages that wait in the ring of any vCPU: slot and page. */
  #pending(): Set<string> {
    const pages = new Set<string>();
    for (let vcpu = 0; vcpu < this.#vm.vcpus; vcpu++)
      for (const { slot, page } of this.#vm.pending(vcpu)) pages.add(`${slot} ${page}`);
    return pages;
  }
}
