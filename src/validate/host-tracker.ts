import type { HostView } from '../rules/rule.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import { Alternatives, type Observation } from './alternatives.js';
import { DeviceTracker } from './device-tracker.js';
import { getOrAdd } from './get-or-add.js';

/** What watches a scope, by kind of event. */
export type Handler = (event: TraceEvent) => void;
export type Handlers = Map<EventKind, Handler[]>;
/** All that takes the events of one kind, in this order. */
export type Steps = readonly Handler[];

/** Starts the watches of a scope; hears what machines are offered, and what they refuse. */
export interface Listener {
  watchHost(host: HostTracker): Handlers;
  watchDevice(device: DeviceTracker): Handlers;
  hostSteps(host: HostTracker, kind: EventKind): Steps;
  deviceSteps(device: DeviceTracker, kind: EventKind): Steps;
  exercise(machine: Alternatives, what: Observation): void;
  refuse(
    machine: Alternatives,
    what: Observation,
    event: TraceEvent,
    host: HostTracker,
    device: DeviceTracker | null,
  ): void;
}

export type HostMachine =
  | 'vm-phases'
  | 'migration-status'
  | 'run-state'
  | 'switchover-ack'
  | 'switchover-ack-legacy';

/** Follows one host: a VMM process, or a kernel. */
export class HostTracker implements HostView {
  readonly devices = new Map<string, DeviceTracker>();
  /** Kinds of event about the whole host that came. */
  readonly seen = new Set<EventKind>();
  readonly watchers: Handlers;
  #last: DeviceTracker | null = null;
  readonly #steps = new Map<EventKind, Steps>();
  readonly #machines = new Map<HostMachine, Alternatives>();
  vmRunning: boolean | undefined;
  status: string | undefined;
  version: string | null = null;
  /** A VM runs here as source, was loaded here as destination. */
  isSource = false;
  isDestination = false;

  constructor(
    readonly id: string,
    readonly listener: Listener,
  ) {
    this.watchers = listener.watchHost(this);
  }

  /** Takes an event about the whole host. */
  take(event: TraceEvent): void {
    const steps = this.#steps.get(event.kind) ?? this.#meet(event.kind);
    for (let n = 0; n < steps.length; n++) steps[n]!(event);
  }

  /** An event of this kind has come for the first time. */
  #meet(kind: EventKind): Steps {
    this.seen.add(kind);
    return getOrAdd(this.#steps, kind, () => this.listener.hostSteps(this, kind));
  }

  /** The device, when an event of it has come before. */
  known(id: string): DeviceTracker | null {
    if (this.#last?.id === id) return this.#last;
    const known = this.devices.get(id);
    if (known === undefined) return null;
    this.#last = known;
    return known;
  }

  device(id: string): DeviceTracker {
    return this.known(id) ?? getOrAdd(this.devices, id, () => new DeviceTracker(id, this, this.listener));
  }

  observe(name: HostMachine, what: Observation, event: TraceEvent): boolean {
    const machine = this.machine(name);
    this.listener.exercise(machine, what);
    const taken = machine.observe(what);
    if (!taken) this.listener.refuse(machine, what, event, this, null);
    return taken;
  }

  machine(name: HostMachine): Alternatives {
    const known = this.#machines.get(name);
    if (known) return known;
    const made = Alternatives.single(name, 'any');
    this.#machines.set(name, made);
    return made;
  }
}
