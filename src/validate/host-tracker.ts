import type { HostView } from '../rules/rule.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import { Alternatives, type Observation } from './alternatives.js';
import { DeviceTracker } from './device-tracker.js';
import { getOrAdd } from './get-or-add.js';

/** What watches a scope, by kind of event. */
export type Handler = (event: TraceEvent) => void;
export type Handlers = Map<EventKind, Handler[]>;

/** Starts the watches of a scope; hears what machines are offered, and what they refuse. */
export interface Listener {
  watchHost(host: HostTracker): Handlers;
  watchDevice(device: DeviceTracker): Handlers;
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

  device(id: string): DeviceTracker {
    if (this.#last?.id === id) return this.#last;
    this.#last = getOrAdd(this.devices, id, () => new DeviceTracker(id, this, this.listener));
    return this.#last;
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
