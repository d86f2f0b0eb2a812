import { type Automaton, compile } from '../automaton/index.js';
import { Monitor, Moves, StateSets } from '../automaton/monitor.js';
import { CAPABILITY_SETS, type CapabilitySet, machineNamed } from '../machines/index.js';
import { getOrAdd } from './get-or-add.js';

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
  readonly #moves = new Map<StateSets, Moves>();
  /** Most observations are made of one machine only. */
  #last: Moves | undefined;

  constructor(readonly events: readonly string[]) {}

  in(sets: StateSets): Moves {
    if (this.#last?.sets === sets) return this.#last;
    const { eventIndex } = sets.automaton;
    this.#last = getOrAdd(
      this.#moves,
      sets,
      () =>
        new Moves(
          sets,
          this.events.map((event) => eventIndex.get(event) ?? -1),
        ),
    );
    return this.#last;
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
  /** The monitor of the only alternative; null when there are several. */
  #only: Monitor | null;
  /** The states of several alternatives, while nothing changes. */
  #states: readonly string[] | null = null;

  constructor(
    readonly machine: string,
    capabilities: readonly CapabilitySet[],
    start: 'initial' | 'any',
  ) {
    this.#alive = capabilities.map((caps) => ({
      caps,
      monitor: new Monitor(compiled(machine, caps), start),
    }));
    this.#only = this.#alive.length === 1 ? this.#alive[0]!.monitor : null;
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
    const only = this.#only;
    if (only !== null) return only.observe(what.in(only.sets));
    return this.#keep(this.#alive.filter(({ monitor }) => monitor.observe(what.in(monitor.sets))));
  }

  /** As `observe`, for something that may have failed: the states before stay possible. */
  observeMaybe(what: Observation): boolean {
    return this.#keep(this.#alive.filter(({ monitor }) => monitor.observeMaybe(what.in(monitor.sets))));
  }

  #keep(taking: Alternative[]): boolean {
    if (taking.length === 0) return false;
    this.#alive = taking;
    this.#only = taking.length === 1 ? taking[0]!.monitor : null;
    this.#states = null;
    return true;
  }

  /** The observation as the first alternative sees it. */
  moves(what: Observation): Moves {
    return what.in((this.#only ?? this.#alive[0]!.monitor).sets);
  }

  /** Puts the only alternative into a set. */
  put(set: number): void {
    this.#only?.put(set);
  }

  /** Puts every alternative where `fits` says, by the states of its regions. */
  restart(fits: (configuration: readonly string[]) => boolean): void {
    for (const { monitor } of this.#alive)
      monitor.restart((state) => fits(monitor.sets.automaton.states[state]!));
    this.#states = null;
  }

  /** The capability set has become known; the possible states stay, as far as the set has them. */
  become(caps: CapabilitySet): void {
    if (this.#alive.length === 1 && this.#alive[0]!.caps === caps) return;
    const possible = new Set(this.configurations());
    const monitor = new Monitor(compiled(this.machine, caps), 'any');
    this.#keep([{ caps, monitor }]);
    this.restart((configuration) => possible.has(configuration.join(' ')));
  }

  /** The possible configurations of all alternatives, their regions joined by a blank. */
  configurations(): readonly string[] {
    const only = this.#only;
    if (only !== null) return only.sets.configurations(only.set);
    return [...new Set(this.monitors.flatMap(({ sets, set }) => sets.configurations(set)))];
  }

  /** The possible configurations as reports write them. */
  names(): string[] {
    return [...new Set(this.monitors.flatMap((monitor) => monitor.names()))];
  }

  /** The possible states of the first region. */
  states(): readonly string[] {
    const only = this.#only;
    if (only !== null) return only.sets.first(only.set);
    this.#states ??= [...new Set(this.monitors.flatMap(({ sets, set }) => sets.first(set)))];
    return this.#states;
  }

  /** The possible states of a region. */
  statesOf(region: string): readonly string[] {
    const at = this.monitors[0]!.sets.automaton.regions.indexOf(region);
    return [...new Set(this.configurations().map((each) => each.split(' ')[at]!))];
  }

  /** The machine events that some alternative would take now. */
  expected(): string[] {
    return [...new Set(this.monitors.flatMap((monitor) => monitor.expected()))];
  }

  /** Numbers that are equal as long as nothing has changed: for remembering what was looked at. */
  get key(): number {
    return this.#only === null ? -1 : this.#only.set;
  }
}
