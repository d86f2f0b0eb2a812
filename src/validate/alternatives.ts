import { type Automaton, compile } from '../automaton/index.js';
import { Monitor, StateSets } from '../automaton/monitor.js';
import { CAPABILITY_SETS, type CapabilitySet, machineNamed } from '../machines/index.js';

/** Compiled machines with their state sets; made once in a process, when first asked for. */
const COMPILED = new Map<string, StateSets>();

function compiled(name: string, caps: CapabilitySet): StateSets {
  const key = `${name} ${caps.p2p} ${caps.preCopy}`;
  const known = COMPILED.get(key);
  if (known) return known;
  const sets = new StateSets(compile(machineNamed(name)!.make(caps)));
  COMPILED.set(key, sets);
  return sets;
}

/** The automaton of a machine for a capability set. */
export function automatonOf(name: string, caps: CapabilitySet): Automaton {
  return compiled(name, caps).automaton;
}

interface Alternative {
  readonly caps: CapabilitySet;
  monitor: Monitor;
}

/** Machine events, looked up once for every automaton they are used with. */
export class Observation {
  readonly #indices = new Map<Automaton, readonly number[]>();

  constructor(readonly events: readonly string[]) {}

  in(automaton: Automaton): readonly number[] {
    const known = this.#indices.get(automaton);
    if (known) return known;
    const indices = this.events.map((event) => automaton.eventIndex.get(event) ?? -1);
    this.#indices.set(automaton, indices);
    return indices;
  }
}

const OBSERVATIONS = new Map<string, Observation>();
/** Most observations that are kept: run states, and numbers that are no state, may be anything. */
const MAX_OBSERVATIONS = 8192;

/** The observation that one of these machine events happened. Equal arguments give the same object. */
export function observation(...events: string[]): Observation {
  const key = events.join();
  const known = OBSERVATIONS.get(key);
  if (known) return known;
  const made = new Observation(events);
  if (OBSERVATIONS.size >= MAX_OBSERVATIONS) OBSERVATIONS.clear();
  OBSERVATIONS.set(key, made);
  return made;
}

/**
 * One instance of a machine whose capability set may not be known: a monitor for each set that is
 * still possible. What no alternative takes is refused; what some take rules the others out.
 */
export class Alternatives {
  #alive: Alternative[];

  constructor(
    readonly machine: string,
    capabilities: readonly CapabilitySet[],
    start: 'initial' | 'any',
  ) {
    this.#alive = capabilities.map((caps) => ({
      caps,
      monitor: new Monitor(compiled(machine, caps), start),
    }));
  }

  /** For a machine that does not depend on capabilities. */
  static single(machine: string, start: 'initial' | 'any'): Alternatives {
    return new Alternatives(machine, CAPABILITY_SETS.slice(-1), start);
  }

  get capabilities(): CapabilitySet[] {
    return this.#alive.map((each) => each.caps);
  }

  get monitors(): Monitor[] {
    return this.#alive.map((each) => each.monitor);
  }

  /** Takes an observation; false, and nothing changes, when no alternative takes it. */
  observe(what: Observation): boolean {
    if (this.#alive.length === 1) {
      const { monitor } = this.#alive[0]!;
      return monitor.observe(what.in(monitor.sets.automaton));
    }
    const taking = this.#alive.filter(({ monitor }) => monitor.observe(what.in(monitor.sets.automaton)));
    if (taking.length === 0) return false;
    this.#alive = taking;
    return true;
  }

  /** As `observe`, for something that may have failed: the states before stay possible. */
  observeMaybe(what: Observation): boolean {
    const taking = this.#alive.filter(({ monitor }) => monitor.observeMaybe(what.in(monitor.sets.automaton)));
    if (taking.length === 0) return false;
    this.#alive = taking;
    return true;
  }

  /** Puts every alternative where `fits` says, by the states of its regions. */
  restart(fits: (configuration: readonly string[]) => boolean): void {
    for (const { monitor } of this.#alive)
      monitor.restart((state) => fits(monitor.sets.automaton.states[state]!));
  }

  /** The capability set has become known; the possible states stay, as far as the set has them. */
  become(caps: CapabilitySet): void {
    if (this.#alive.length === 1 && this.#alive[0]!.caps === caps) return;
    const possible = new Set(this.configurations());
    const monitor = new Monitor(compiled(this.machine, caps), 'any');
    this.#alive = [{ caps, monitor }];
    this.restart((configuration) => possible.has(configuration.join(' ')));
  }

  /** The possible configurations of all alternatives, their regions joined by a blank. */
  configurations(): string[] {
    const names = new Set<string>();
    for (const { monitor } of this.#alive)
      for (const state of monitor.sets.states(monitor.set))
        names.add(monitor.sets.automaton.states[state]!.join(' '));
    return [...names];
  }

  /** The possible configurations as reports write them. */
  names(): string[] {
    return [...new Set(this.monitors.flatMap((monitor) => monitor.names()))];
  }

  /** The possible states of the first region. */
  states(): string[] {
    if (this.#alive.length === 1) return this.#alive[0]!.monitor.region(0);
    return [...new Set(this.monitors.flatMap((monitor) => monitor.region(0)))];
  }

  /** The machine events that some alternative would take now. */
  expected(): string[] {
    return [...new Set(this.monitors.flatMap((monitor) => monitor.expected()))];
  }

  /** Numbers that are equal as long as nothing has changed: for remembering what was looked at. */
  get key(): number {
    const [first] = this.#alive;
    return this.#alive.length === 1 ? first!.monitor.set : -1;
  }
}
