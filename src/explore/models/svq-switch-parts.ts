import { vdpaDevice } from '../../machines/vdpa-device.js';
import { vdpaShadow } from '../../machines/vdpa-shadow.js';
import { vdpaVring } from '../../machines/vdpa-vring.js';
import { type ComponentHandle, ModelBuilder, type VariableHandle } from '../builder.js';
import { and, type Expression, either, eq, not, or } from '../expression.js';
import type { Assignment, ModelOptions, Sync } from '../model.js';

/** The VMM on its way to start or stop the device. */
export const VMM = { stopped: 0, starting: 1, running: 2, stopping: 3, read: 4 };
/** How far the migration is. */
export const PHASE = {
  none: 0,
  setup: 1,
  active: 2,
  switchover: 3,
  final: 4,
  completed: 5,
  cancelling: 6,
  failing: 7,
};
/** The command by which the VMM restores what the guest has set. */
export const COMMAND = { none: 0, sent: 1, acknowledged: 2, refused: 3 };
/**
 * Where the VMM's index of a ring is: behind the last buffer that the guest got back, or too early, at one that
 * it got back already, or too late, behind one that it waits for.
 */
export const INDEX = { right: 0, early: 1, late: 2 };

/** From how many virtqueues on the last one is a control queue: as a network device with one pair of queues. */
const WITH_CONTROL_QUEUE = 3;

export const LANE = { vmm: 'VMM', device: 'device', guest: 'guest', destination: 'destination' } as const;

/** A ring with data. Of the buffers that the guest has made available, the oldest come first. */
export interface Ring {
  readonly index: number;
  readonly chart: ComponentHandle;
  /** Buffers that the guest has made available and not got back. */
  readonly made: VariableHandle;
  /** Of these, buffers that the device has used in a shadow ring. */
  readonly used: VariableHandle;
  /** Of these, buffers that the device has. */
  readonly taken: VariableHandle;
  readonly base: VariableHandle;
  /** The destination has not what is in the ring's pages. */
  readonly stale: VariableHandle;
  /** They are to be sent. */
  readonly marked: VariableHandle;
}

/** What all parts of the model `svq-switch` share. */
export class SvqParts {
  readonly model: ModelBuilder;
  readonly device: ComponentHandle;
  readonly shadow: ComponentHandle;
  readonly control: ComponentHandle | null;
  readonly rings: readonly Ring[];
  readonly vmm: VariableHandle;
  readonly phase: VariableHandle;
  readonly driver: VariableHandle;
  readonly svq: VariableHandle;
  readonly command: VariableHandle | null;
  /** Whether the device was started again since the cancel: what ends it in the variant. */
  readonly again: VariableHandle | null;

  constructor(
    readonly options: ModelOptions,
    title: string,
  ) {
    const { devices, pages } = options;
    const model = new ModelBuilder('svq-switch', title, options);
    this.model = model;
    this.device = model.component('device', vdpaDevice());
    this.shadow = model.component('shadow virtqueues', vdpaShadow());
    const hasControl = devices >= WITH_CONTROL_QUEUE;
    this.control = hasControl ? model.component('control queue', vdpaVring()) : null;
    this.vmm = model.variable('vmm', `the VMM: ${Object.keys(VMM).join(', ')}`, 4);
    this.phase = model.variable('phase', `the migration: ${Object.keys(PHASE).join(', ')}`, 7);
    this.driver = model.variable('driver', "the guest's driver has set the device up", 1);
    this.svq = model.variable('svq', "the device is started on the VMM's rings", 1);
    this.command = hasControl
      ? model.variable('command', `the restore: ${Object.keys(COMMAND).join(', ')}`, 3)
      : null;
    this.again = this.is('qemu-11.1') ? model.variable('again', 'started again since the cancel', 1) : null;
    this.rings = Array.from({ length: devices - Number(hasControl) }, (_, index) => ({
      index,
      chart: model.component(`ring ${index}`, vdpaVring()),
      made: model.variable(`made ${index}`, 'buffers that the guest waits for', pages),
      used: model.variable(`used ${index}`, 'of these, used in the shadow ring', pages),
      taken: model.variable(`taken ${index}`, 'of these, with the device', pages),
      base: model.variable(`base ${index}`, `the VMM's index: ${Object.keys(INDEX).join(', ')}`, 2),
      stale: model.variable(`stale ${index}`, 'the destination has not what was written', 1),
      marked: model.variable(`marked ${index}`, 'to be sent', 1),
    }));
  }

  is(...variants: readonly string[]): boolean {
    return variants.includes(this.options.variant ?? '');
  }

  at(...phases: readonly (keyof typeof PHASE)[]): Expression {
    return or(...phases.map((phase) => eq(this.phase, PHASE[phase])));
  }

  vmmIs(...states: readonly (keyof typeof VMM)[]): Expression {
    return or(...states.map((state) => eq(this.vmm, VMM[state])));
  }

  commandIs(state: keyof typeof COMMAND): Expression {
    return this.command === null ? 0 : eq(this.command, COMMAND[state]);
  }

  /** Whether all data rings are in one of these states. */
  all(...states: readonly string[]): Expression {
    return and(...this.rings.map(({ chart }) => chart.in('vdpa-vring', ...states)));
  }

  each(make: (ring: Ring) => readonly Assignment[]): Assignment[] {
    return this.rings.flatMap(make);
  }

  /** All virtqueues get an event. */
  queues(event: string): Sync[] {
    return [...this.rings.map(({ chart }) => chart), ...(this.control === null ? [] : [this.control])].map(
      (chart) => chart.on(event),
    );
  }

  /** The device works. */
  works(): Expression {
    return and(this.device.in('status', 'driver_ok'), this.device.in('suspend', 'active'));
  }

  /** The device is as it shall be: it works, or the guest has not set it up yet. */
  settled(): Expression {
    return and(or(this.vmmIs('running'), eq(this.driver, 0)), not(this.commandIs('refused')));
  }

  /** Marks a ring's pages, where that is on. */
  marking(marked: VariableHandle, when: Expression): Assignment[] {
    return this.is('not-marked') ? [] : [marked.to(either(and(when, not(this.at('none'))), 1, marked))];
  }
}
