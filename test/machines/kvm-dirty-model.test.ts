import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KvmDirtyModel } from '../../src/machines/index.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { validateEvents } from '../../src/validate/index.js';
import { type KvmStep, kvmSequences } from './arbitrary-kvm.js';
import { type KvmFault, NaiveKvm } from './naive-kvm.js';

const on = { host: 'h', device: 'vm0' } as const;
type Runs = [number, number][];
const runs = (pages: readonly number[]): Runs => pages.map((page) => [page, 1]);

/** Runs a sequence on both; returns where they disagree, and the run as a trace. */
function play(steps: readonly KvmStep[], kvm: NaiveKvm) {
  const model = new KvmDirtyModel({ ringWithBitmap: kvm.offersBitmap });
  const found: string[] = [];
  const unexplained: number[] = [];
  const trace: TraceEvent[] = [{ kind: 'device_open', ...on }];
  for (const step of steps) {
    if (step.call === 'write') {
      kvm.write(step.slot, step.page);
      model.write(step.slot, step.page);
      const slot = kvm.slots.get(step.slot);
      if (slot && !slot.readonly && step.page < slot.pages)
        trace.push({ kind: 'kvm_guest_write', ...on, slot: step.slot, pages: [[step.page, 1]] });
    } else if (step.call === 'harvest') {
      for (let n = 0; n < step.count; n++) {
        const expected = model.waiting()[0];
        const entry = kvm.harvest();
        if (!entry) break;
        trace.push({ kind: 'kvm_dirty_gfn', ...on, vcpu: 0, slot: entry.slot, page: entry.page, flags: 1 });
        const known = model.harvest(entry.slot, entry.page);
        if (known && expected && `${expected}` !== `${[entry.slot, entry.page]}`)
          found.push(`ring gave ${entry.slot} ${entry.page}, expected ${expected}`);
      }
    } else {
      const outcome = kvm.run(step);
      expect([0, outcome.errno]).toContain(outcome.errno);
      const foretold = model.predict(step);
      if (foretold !== outcome.errno)
        found.push(`${JSON.stringify(step)}: ${outcome.errno}, model ${foretold}`);
      const agreement = model.take(step, outcome);
      found.push(...agreement.disagreements.map(({ text }) => text));
      unexplained.push(...agreement.unexplained);
      trace.push(eventOf(step, outcome));
    }
  }
  return { found, unexplained, trace };
}

function eventOf(
  step: Exclude<KvmStep, { call: 'write' | 'harvest' }>,
  { errno, pages, count }: ReturnType<NaiveKvm['run']>,
): TraceEvent {
  switch (step.call) {
    case 'manual_protect':
      return { kind: 'kvm_enable_cap', ...on, capability: step.call, argument: step.flags, errno };
    case 'dirty_ring':
      return { kind: 'kvm_enable_cap', ...on, capability: step.call, argument: step.bytes, errno };
    case 'dirty_ring_with_bitmap':
      return { kind: 'kvm_enable_cap', ...on, capability: step.call, errno };
    case 'create_vcpu':
      return { kind: 'kvm_vcpu', ...on, errno };
    case 'memslot':
      return {
        kind: 'kvm_memslot',
        ...on,
        slot: step.slot,
        log: step.log,
        gpa: step.gpa,
        size: step.size,
        errno,
      };
    case 'get_dirty_log':
      return {
        kind: 'kvm_dirty_log_get',
        ...on,
        slot: step.slot,
        errno,
        ...(pages && { pages: runs(pages) }),
      };
    case 'clear_dirty_log':
      return {
        kind: 'kvm_dirty_log_clear',
        ...on,
        slot: step.slot,
        first: step.first,
        pages: step.pages,
        set: runs(step.set),
        errno,
      };
    case 'reset_dirty_rings':
      return { kind: 'kvm_reset_dirty_rings', ...on, errno, ...(count !== undefined && { count }) };
  }
}

const broken = (trace: readonly TraceEvent[]) =>
  validateEvents(trace)
    .violations.filter(({ level }) => level !== 'note')
    .map(({ rule, message }) => `${rule}: ${message}`);

describe('the model of KVM and a naive one', () => {
  test.each([true, false])('agree on every errno and every page (bitmap beside rings: %s)', (bitmap) => {
    fc.assert(
      fc.property(kvmSequences, (steps) => {
        const { found, unexplained } = play(steps, new NaiveKvm(bitmap));
        expect(found).toEqual([]);
        // The naive one reports nothing but what was written.
        expect(unexplained).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test('break no rule', () => {
    fc.assert(
      fc.property(kvmSequences, (steps) => {
        expect(broken(play(steps, new NaiveKvm()).trace)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test.each<[KvmFault, string]>([
    ['no_protect_after_get', 'KVM-LOG-03'],
    ['clear_takes_neighbours', 'KVM-LOG-03'],
    ['get_without_log', 'KVM-LOG-01'],
    ['ring_overwrites', 'KVM-RING-08'],
  ])('a KVM with %s is found out, by %s', (fault, rule) => {
    const samples = fc.sample(kvmSequences, { seed: 7, numRuns: 150 });
    const [found, rules] = [new Set<number>(), new Set<string>()];
    for (const [index, steps] of samples.entries()) {
      const played = play(steps, new NaiveKvm(true, fault));
      if (played.found.length > 0) found.add(index);
      for (const text of broken(played.trace)) rules.add(text.split(':')[0]!);
    }
    expect(found.size).toBeGreaterThan(0);
    expect([...rules]).toContain(rule);
  });
});

describe('what a reading has to say', () => {
  const slot = { call: 'memslot', slot: 0, log: true, gpa: 0, size: 100 * 4096, uaddr: 0x10_0000 } as const;

  test('a write by a vCPU that has not left the guest may wait for one more reading', () => {
    const model = new KvmDirtyModel();
    model.take(slot, { errno: 0 });
    model.write(0, 5, { settled: false });
    expect(model.expected(0)).toEqual({ must: [], may: [5] });
    expect(model.take({ call: 'get_dirty_log', slot: 0 }, { errno: 0, pages: [] }).disagreements).toEqual([]);
    model.settle();
    expect(model.expected(0)).toEqual({ must: [5], may: [] });
  });

  test('with manual protection a bit stays until CLEAR; a page nobody wrote is no error', () => {
    const model = new KvmDirtyModel();
    model.take({ call: 'manual_protect', flags: 1 }, { errno: 0 });
    model.take(slot, { errno: 0 });
    const get = (pages: number[]) => model.take({ call: 'get_dirty_log', slot: 0 }, { errno: 0, pages });
    expect(get([7])).toEqual({ disagreements: [], unexplained: [7] });
    expect(get([]).disagreements).toMatchObject([{ kind: 'lost', pages: [7] }]);
    model.write(0, 64);
    model.take({ call: 'clear_dirty_log', slot: 0, first: 0, pages: 64, set: [64, 7] }, { errno: 0 });
    expect(model.expected(0).must).toEqual([64]);
  });

  test('an errno that was not foretold is told, and the model follows the kernel', () => {
    const model = new KvmDirtyModel();
    model.take({ call: 'create_vcpu' }, { errno: 0 });
    const { disagreements } = model.take({ call: 'dirty_ring', bytes: 65_536 }, { errno: 0 });
    expect(disagreements).toMatchObject([{ kind: 'errno' }]);
  });
});
