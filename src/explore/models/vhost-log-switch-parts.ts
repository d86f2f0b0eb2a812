import { vhostDevice } from '../../machines/vhost-device.js';
import { vhostVmm } from '../../machines/vhost-vmm.js';
import { vhostVring } from '../../machines/vhost-vring.js';
import type { TraceEvent } from '../../trace/event.js';
import { VHOST_FEATURES } from '../../uapi/vhost.js';
import type { VhostUserRequest } from '../../uapi/vhost-user.js';
import { type ComponentHandle, ModelBuilder, type VariableHandle } from '../builder.js';
import { and, type Expression, eq, max, or } from '../expression.js';
import type { Assignment, ModelOptions } from '../model.js';

const DEVICE = 'net0';
const HOST = 'src';
export const VMM = 'VMM';
export const BACK_END = 'back end';
/** How far the device's start is. */
export const START = { stopped: 0, features: 1, logged: 2, running: 3, stopping: 4 };
/** How far the migration is. */
export const PHASE = {
  none: 0,
  base: 1,
  features: 2,
  active: 3,
  switchover: 4,
  final: 5,
  completed: 6,
  cancelling: 7,
  release: 8,
};

export interface Page {
  readonly name: string;
  /** Written since it was sent. */
  readonly stale: VariableHandle;
  /** Its bit in the log, in the log before an exchange, and in the VMM's own bitmap. */
  readonly logged: VariableHandle;
  readonly old: VariableHandle;
  readonly pending: VariableHandle;
}

export interface Ring {
  readonly index: number;
  readonly chart: ComponentHandle;
  readonly used: Page;
  /** Set up since the start of the device. */
  readonly ready: VariableHandle;
}

/** What all parts of the model `vhost-log-switch` share. */
export class LogParts {
  readonly model: ModelBuilder;
  readonly vmm: ComponentHandle;
  readonly device: ComponentHandle;
  readonly rings: readonly Ring[];
  readonly buffers: readonly Page[];
  /** Those of buffers, and those of the rings' used parts. */
  readonly pages: readonly Page[];
  readonly start: VariableHandle;
  readonly phase: VariableHandle;
  readonly released: VariableHandle;
  readonly exchanged: VariableHandle;

  constructor(
    readonly options: ModelOptions,
    title: string,
  ) {
    const model = new ModelBuilder('vhost-log-switch', title, options);
    this.model = model;
    this.vmm = model.component(VMM, vhostVmm());
    this.device = model.component('device', vhostDevice());
    this.start = model.variable('start', `the device: ${Object.keys(START).join(', ')}`, START.stopping);
    this.phase = model.variable('phase', `the migration: ${Object.keys(PHASE).join(', ')}`, PHASE.release);
    this.released = model.variable('released', 'the VMM has released the log that the back end has', 1);
    this.exchanged = model.variable('exchanged', 'an old log is still to be harvested', 1);
    this.rings = Array.from({ length: options.devices }, (_, index) => ({
      index,
      chart: model.component(`ring ${index}`, vhostVring()),
      used: addPage(model, `used ${index}`),
      ready: model.variable(`ready ${index}`, 'the ring was set up', 1),
    }));
    this.buffers = Array.from({ length: options.pages }, (_, index) => addPage(model, `page ${index}`));
    this.pages = [...this.buffers, ...this.rings.map(({ used }) => used)];
  }

  is(variant: string): boolean {
    return this.options.variant === variant;
  }

  at(...phases: readonly (keyof typeof PHASE)[]): Expression {
    return or(...phases.map((phase) => eq(this.phase, PHASE[phase])));
  }

  startIs(...states: readonly (keyof typeof START)[]): Expression {
    return or(...states.map((state) => eq(this.start, START[state])));
  }

  /** The VMM wants the log of a device that is started. */
  get logging(): Expression {
    return this.at('active', 'switchover');
  }

  get logAll(): Expression {
    return this.device.in('log_all', 'on');
  }

  get hasBase(): Expression {
    return this.device.in('base', 'given');
  }

  get anyAttached(): Expression {
    return or(...this.rings.map(isAttached));
  }

  get allAttached(): Expression {
    return and(...this.rings.map(isAttached));
  }

  get someLogged(): Expression {
    return or(...this.pages.flatMap(({ logged, old }) => [eq(logged, 1), eq(old, 1)]));
  }

  each(make: (page: Page) => readonly Assignment[]): Assignment[] {
    return this.pages.flatMap(make);
  }

  /** Takes the log's bits into the bitmap of what is to be sent, or drops them. */
  harvested(drop = false): Assignment[] {
    return this.each(({ logged, old, pending }) => [
      ...(drop ? [] : [pending.to(max(pending, logged, old))]),
      logged.to(0),
      old.to(0),
    ]);
  }
}

function addPage(model: ModelBuilder, name: string): Page {
  return {
    name,
    stale: model.variable(`${name} stale`, 'the destination has not what is there', 1),
    logged: model.variable(`${name} logged`, 'bit in the log', 1),
    old: model.variable(`${name} old`, 'bit in the log before the exchange', 1),
    pending: model.variable(`${name} pending`, 'to be sent', 1),
  };
}

/** The ring is processed. */
export const isAttached = ({ chart }: Ring): Expression => chart.in('backend', 'attached');

export const namesOf = ({ stale, logged, old, pending }: Page): string[] =>
  [stale, logged, old, pending].map(({ variable }) => variable);

type Body<E> = E extends TraceEvent ? Omit<E, 'host' | 'device' | 'interface'> : never;

/** What a recording has of a request: the message, and what it says. */
export function message(request: VhostUserRequest, body: Body<TraceEvent>): TraceEvent[] {
  const on = { host: HOST, device: DEVICE };
  return [
    { kind: 'vhost_message', ...on, request, from: 'front_end', reply: false },
    { ...on, interface: 'user', errno: 0, ...body } as unknown as TraceEvent,
  ];
}

export const startOf = (begin: boolean): TraceEvent => ({
  kind: 'vhost_dev_start',
  host: HOST,
  device: DEVICE,
  begin,
});

export function features(log: boolean): Body<TraceEvent> {
  return { kind: 'vhost_set_features', features: log ? 2 ** VHOST_FEATURES.LOG_ALL : 0 };
}
