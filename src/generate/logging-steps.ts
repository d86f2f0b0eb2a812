import { type Automaton, compile, REFUSED, step } from '../automaton/index.js';
import { CAPABILITY_SETS, machineNamed } from '../machines/index.js';
import type { StepOf } from '../suite/index.js';
import type { Walk } from './steps.js';

type StartArguments = Pick<StepOf<'log_start'>, 'pageSize' | 'ranges'>;
type ReportArguments = Omit<StepOf<'log_report'>, 'do' | 'expect' | 'rule' | 'at'>;

/** Arguments that a device must take, must refuse, or may do with as it likes; and the rule that says so. */
export interface Demand {
  readonly must: 'take' | 'refuse' | 'either';
  readonly rule: string;
}

/** Right arguments work: logging that is offered can be started and read. */
const TAKEN: Demand = { must: 'take', rule: 'VFIO-DMA-07' };

let compiled: Automaton | null = null;
const logging = (): Automaton => {
  compiled ??= compile(machineNamed('dma-logging')!.make(CAPABILITY_SETS.at(-1)!));
  return compiled;
};

/** Steps of device DMA logging, which follow the machine `dma-logging`, in the walk of a device. */
export class LoggingSteps {
  /** States of the machine that are possible. */
  #states = [0];

  constructor(readonly walk: Walk) {}

  /** DMA_LOGGING_START. */
  start(call: StartArguments, demand = TAKEN): this {
    return this.#add({ do: 'log_start', ...call }, 'START', demand, 'VFIO-DMA-01');
  }

  /** DMA_LOGGING_REPORT. */
  report(call: ReportArguments, demand = TAKEN): this {
    return this.#add({ do: 'log_report', ...call }, 'REPORT', demand, 'VFIO-DMA-02');
  }

  /** DMA_LOGGING_STOP. While nothing is logged drivers answer with success or an error. */
  stop(): this {
    const off = !this.#isTaken('STOP.ok');
    return this.#add(
      { do: 'log_stop' },
      'STOP',
      { must: off ? 'either' : 'take', rule: 'VFIO-DMA-03' },
      'VFIO-DMA-03',
    );
  }

  /** VFIO_DEVICE_RESET; whether logging goes on is the driver's choice. */
  reset(): this {
    this.walk.reset();
    this.#take(['RESET.ok']);
    return this;
  }

  #add(call: Parameters<Walk['other']>[0], name: string, demand: Demand, ruleOfState: string): this {
    const ok = `${name}.ok`;
    const error = `${name}.error`;
    let { must, rule } = demand;
    if (must !== 'either' && this.#isOpen()) must = must === 'take' ? 'either' : must;
    else if (must === 'take' && !this.#isTaken(ok)) [must, rule] = ['refuse', ruleOfState];
    const expect = { take: [ok], refuse: [error], either: [ok, error] }[must];
    this.walk.other(call, expect, rule);
    this.#take(expect);
    return this;
  }

  /** The driver decides whether the device logs: a reset came, or a call that it may take or refuse. */
  #isOpen(): boolean {
    const { states } = logging();
    return this.#states.length > 1 || states[this.#states[0]!]![0] === 'after_reset';
  }

  #isTaken(event: string): boolean {
    return this.#after(event).length === this.#states.length;
  }

  #after(event: string): number[] {
    const automaton = logging();
    const index = automaton.eventIndex.get(event)!;
    return this.#states.map((state) => step(automaton, state, index)).filter((to) => to !== REFUSED);
  }

  #take(outcomes: readonly string[]): void {
    // A call that the machine refuses and the driver may take all the same changes nothing there.
    const after = outcomes.flatMap((outcome) => {
      const taken = this.#after(outcome);
      return taken.length > 0 ? taken : this.#states;
    });
    this.#states = [...new Set(after)];
  }
}
