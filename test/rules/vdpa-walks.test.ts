import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { vmm } from '../../src/rules/example.js';
import { RULES } from '../../src/rules/index.js';
import { backendFeatures, STATUS, vdpaExample } from '../../src/rules/vdpa-example.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { validateEvents } from '../../src/validate/index.js';

const d = vdpaExample();
const v = vmm();

/** What happens to a VM with a vDPA device. */
type Step =
  | { do: 'traffic'; packets: number }
  | { do: 'guest_reset' }
  | { do: 'pause' }
  | { do: 'suspend_resume' }
  | { do: 'migrate'; ends: 'cancelled' | 'failed'; packets: number; paused: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('traffic' as const), packets: fc.nat(40_000) }),
  fc.constant<Step>({ do: 'guest_reset' }),
  fc.constant<Step>({ do: 'pause' }),
  fc.constant<Step>({ do: 'suspend_resume' }),
  fc.record({
    do: fc.constant('migrate' as const),
    ends: fc.constantFrom('cancelled' as const, 'failed' as const),
    packets: fc.nat(40_000),
    paused: fc.boolean(),
  }),
);

const life = fc.record({
  steps: fc.array(step, { maxLength: 12 }),
  /** A control queue is restored at each start. */
  controlQueue: fc.boolean(),
  completes: fc.boolean(),
  shadowAlways: fc.boolean(),
});

/** A VMM and a device that keep to the rules, as a trace. */
class Life {
  readonly trace: TraceEvent[] = [];
  #index = 0;
  #taken = 0;
  #start = 0;

  constructor(
    readonly controlQueue: boolean,
    readonly shadowAlways: boolean,
  ) {
    this.#tell(d.open(), d.status(STATUS.reset), v.start());
    if (controlQueue)
      this.#tell(d.backend(backendFeatures('IOTLB_ASID', 'SUSPEND', 'ENABLE_AFTER_DRIVER_OK')));
    this.start(shadowAlways);
  }

  #tell(...events: TraceEvent[]): void {
    this.trace.push(...events);
  }

  start(shadow: boolean): void {
    const base = shadow ? 0 : this.#index;
    [this.#start, this.#taken] = [base, 0];
    if (!this.controlQueue) {
      this.#tell(...d.start(shadow, base));
      return;
    }
    const rings = [0, 1, 2].flatMap((n) => [d.num(n, 256), d.base(n, n === 2 ? 0 : base, shadow), d.addr(n)]);
    this.#tell(...d.negotiate(), d.asid(1, 1), ...rings, d.status(STATUS.driverOk), d.enable(2));
    this.#tell(d.cvq(true), d.cvq(), d.enable(0), d.enable(1), d.started());
  }

  stop(shadow: boolean): void {
    this.#tell(...d.halt(shadow, this.#index));
  }

  traffic(packets: number): void {
    this.#tell(d.write(0), d.write(1), d.write());
    this.#index = (this.#index + packets) % 0x1_0000;
    this.#taken += packets;
  }

  play(one: Step): void {
    if (one.do === 'traffic') this.traffic(one.packets);
    else if (one.do === 'migrate') this.migrate(one);
    else if (one.do === 'suspend_resume') this.suspendAndResume();
    else this.restart(one.do === 'guest_reset');
  }

  /** The VM is paused and goes on, or the guest resets its device and drives it again. */
  restart(reset: boolean): void {
    if (!reset) this.#tell(v.stop('paused'));
    this.stop(this.shadowAlways);
    if (reset) this.#tell(d.status(STATUS.reset));
    else this.#tell(v.start());
    if (reset) this.#index = 0;
    this.start(this.shadowAlways);
  }

  suspendAndResume(): void {
    const now = (this.#start + this.#taken) % 0x1_0000;
    const progress = d.progress(0, this.#taken, this.#taken);
    this.#tell(
      d.suspend(),
      progress,
      d.baseRead(0, now),
      progress,
      d.addr(0),
      d.baseRead(0, now),
      d.resume(),
    );
  }

  setUp(paused: boolean): void {
    if (paused) {
      this.#tell(v.stop('paused'));
      this.stop(this.shadowAlways);
    }
    this.#tell(v.status('setup'));
    if (!paused) {
      this.stop(this.shadowAlways);
      this.start(true);
    }
    this.#tell(v.status('active'));
  }

  migrate({ ends, packets, paused }: Extract<Step, { do: 'migrate' }>): void {
    this.setUp(paused);
    if (!paused) this.traffic(packets);
    if (ends === 'cancelled') this.#tell(v.status('cancelling'));
    // Before the last status or after it: versions differ.
    if (packets % 2 === 0) this.#tell(v.status(ends));
    if (!paused) this.stop(true);
    this.start(this.shadowAlways);
    if (packets % 2 === 1) this.#tell(v.status(ends));
    if (paused) this.#tell(v.start());
  }

  complete(): void {
    this.setUp(false);
    this.traffic(5);
    this.#tell(v.stop());
    this.stop(true);
    this.#tell(v.status('device'), v.status('completed'));
  }
}

describe('whoever keeps to the rules is not accused', () => {
  test('lives of a vDPA device, with migrations that fail, are cancelled or complete', () => {
    const checked = new Set<string>();
    fc.assert(
      fc.property(life, ({ steps, controlQueue, completes, shadowAlways }) => {
        const run = new Life(controlQueue, shadowAlways);
        for (const each of steps) run.play(each);
        if (completes) run.complete();
        const { violations, verdict, rules } = validateEvents(run.trace);
        for (const rule of rules.checked) checked.add(rule);
        const accused = violations.filter(({ level }) => level !== 'note');
        expect(accused.map(({ rule, message, level }) => `${rule} ${level}: ${message}`)).toEqual([]);
        expect(verdict).toBe('conformant');
      }),
      { numRuns: 300 },
    );
    // What the lives have no situation for: errors, and answers that none of their calls gets.
    const unasked = ['VDPA-STATUS-03', 'VDPA-FEATURES-03', 'VDPA-BACKEND-02', 'VDPA-LOG-01', 'VDPA-IOTLB-01'];
    const put = RULES.map(({ id }) => id).filter((id) => /^(VDPA|SVQ)-/.test(id) && !checked.has(id));
    expect(put).toEqual([...unasked, 'VDPA-SUSPEND-03', 'SVQ-09']);
  });

  test('nor when the trace begins in the middle, or lacks a kind of event', () => {
    fc.assert(
      fc.property(life, fc.nat(200), fc.nat(40), ({ steps, controlQueue, shadowAlways }, from, kind) => {
        const run = new Life(controlQueue, shadowAlways);
        for (const each of steps) run.play(each);
        run.complete();
        const kinds = [...new Set(run.trace.map((each) => each.kind))];
        const without = kinds[kind % kinds.length];
        const seen = run.trace.slice(from % run.trace.length).filter((each) => each.kind !== without);
        const accused = validateEvents(seen).violations.filter(({ level }) => level !== 'note');
        expect(accused.map(({ rule, message }) => `${rule} without ${without}: ${message}`)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
