import type { MigState } from '../../uapi/vfio.js';
import { ModelBuilder, type VariableHandle } from '../builder.js';
import { and, type Expression, eq, or } from '../expression.js';
import type { Assignment, ModelOptions } from '../model.js';
import { addVf, type Vf } from './mailbox-vf.js';
import { type DeviceHandle, granted, setStateEvents } from './vfio-parts.js';

/** Where the VM is. */
const PHASE = {
  here: 0,
  setup: 1,
  stopped: 2,
  sent: 3,
  there: 4,
  failing: 5,
  cancelling: 6,
  lost: 7,
};
/** The generations of both drivers, source first; and that they are known not to fit. */
const GENERATION = { unknown: 0, aa: 1, bb: 2, ab: 3, ba: 4, unfit: 5 };

type Phase = keyof typeof PHASE;
type Generation = keyof typeof GENERATION;

/** The lanes of a chart, by side. */
export const PF = { src: 'PF', dst: 'PF there' } as const;
export const VMM = { src: 'VMM', dst: 'VMM there' } as const;
export const GUEST = 'guest';

/** What all parts of the model `mailbox` share. */
export class MailboxParts {
  readonly model: ModelBuilder;
  readonly vfs: readonly Vf[];
  /** A request of a VF that is stopped was handled. */
  readonly disturbed: VariableHandle;
  /** How often something may still go wrong; null: nothing does. */
  readonly faults: VariableHandle | null;
  /** As one of the posted drivers. */
  readonly isPublished: boolean;
  readonly #phase: VariableHandle;
  readonly #generation: VariableHandle;

  constructor(
    readonly options: ModelOptions,
    title: string,
  ) {
    const { devices, pages, faults } = options;
    const model = new ModelBuilder('mailbox', title, options);
    this.model = model;
    this.#phase = model.variable('phase', `the VM: ${Object.keys(PHASE).join(', ')}`, PHASE.lost);
    this.#generation = model.variable(
      'generation',
      `drivers: ${Object.keys(GENERATION).join(', ')}`,
      GENERATION.unfit,
    );
    this.disturbed = model.variable('disturbed', 'a request of a stopped VF was handled', 1);
    this.faults =
      faults > 0 ? model.variable('faults', 'resets and cuts that may still come', faults, faults) : null;
    this.vfs = Array.from({ length: devices }, (_, index) => addVf(model, index, pages));
    this.isPublished = this.is('published-a', 'published-b');
  }

  is(...variants: readonly string[]): boolean {
    return variants.includes(this.options.variant ?? '');
  }

  at(...phases: readonly Phase[]): Expression {
    return or(...phases.map((phase) => eq(this.#phase, PHASE[phase])));
  }

  goTo(phase: Phase): Assignment {
    return this.#phase.to(PHASE[phase]);
  }

  /** The generations are these. */
  are(...generations: readonly Generation[]): Expression {
    return or(...generations.map((each) => eq(this.#generation, GENERATION[each])));
  }

  become(generation: Generation): Assignment {
    return this.#generation.to(GENERATION[generation]);
  }

  all(make: (vf: Vf) => Expression): Expression {
    return and(...this.vfs.map(make));
  }

  some(make: (vf: Vf) => Expression): Expression {
    return or(...this.vfs.map(make));
  }

  /** The vCPUs run, here or there. */
  get runs(): Expression {
    return this.at('here', 'setup', 'cancelling', 'there');
  }

  /** The image is loaded as a whole. */
  isLoaded({ replayed, saved, log }: Vf): Expression {
    return or(and(this.are('aa'), eq(replayed, saved.length)), and(this.are('bb'), eq(replayed, log.length)));
  }

  /** A request of a VMM that succeeds. */
  request(
    device: DeviceHandle,
    from: MigState,
    to: MigState,
    draft: { when: Expression; recover: MigState; set?: readonly Assignment[] },
  ): void {
    const { side } = device;
    const host = side === 'src' ? 'source' : 'destination';
    this.model.action(`${device.device}: ${host} SET_STATE ${to} from ${from}`, {
      when: and(draft.when, device.in(from)),
      sync: [granted(device, from, to)],
      set: draft.set ?? [],
      chart: { from: VMM[side], to: PF[side], text: `${device.device}: SET_STATE ${to}` },
      events: setStateEvents(device, from, to, draft.recover),
      labels: ['progress'],
    });
  }
}
