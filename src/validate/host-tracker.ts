import type { HostView } from '../rules/rule.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import { Alternatives, type Observation } from './alternatives.js';
import { DeviceTracker } from './device-tracker.js';

/** Hears what machines are offered, and what they refuse. */
export interface Listener {
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
  readonly seen = new Set<EventKind>();
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
  ) {}

  device(id: string): DeviceTracker {
    const known = this.devices.get(id);
    if (known) return known;
    const made = new DeviceTracker(id, this, this.listener);
    this.devices.set(id, made);
    return made;
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
