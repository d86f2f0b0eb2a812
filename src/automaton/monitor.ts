import { type Automaton, configurationName, REFUSED } from './automaton.js';

/**
 * The state sets of one automaton, numbered as they are met, with the steps between them kept: an
 * automaton over sets that is built only as far as traces need it. Shared by all monitors of a machine.
 */
export class StateSets {
  readonly #numbers = new Map<string, number>();
  readonly #sets: Uint16Array[] = [];
  /** Step by set and event: a set, REFUSED, or UNKNOWN while nobody asked. */
  #next = new Int32Array(0);
  /** Names of states, shared by all that list them. */
  readonly #names: readonly string[];
  readonly #configurations: (readonly string[])[] = [];
  readonly #firsts: (readonly string[])[] = [];
  readonly all: number;

  constructor(readonly automaton: Automaton) {
    this.#names = automaton.states.map((configuration) => configuration.join(' '));
    this.all = this.intern(automaton.states.map((_, state) => state));
  }

  /** The number of a set of states; the empty set has none. */
  intern(states: Iterable<number>): number {
    const sorted = Uint16Array.from(new Set(states)).sort();
    const name = sorted.join();
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    if (this.#sets.length >= MAX_SETS) return this.all;
    const number = this.#sets.push(sorted) - 1;
    this.#numbers.set(name, number);
    this.#grow();
    return number;
  }

  /** The states of a set, ascending. */
  states(set: number): Uint16Array {
    return this.#sets[set]!;
  }

  /** The configurations of a set, their regions joined by a blank. */
  configurations(set: number): readonly string[] {
    this.#configurations[set] ??= Array.from(this.states(set), (state) => this.#names[state]!);
    return this.#configurations[set];
  }

  /** The states of the first region in a set. */
  first(set: number): readonly string[] {
    const { states } = this.automaton;
    this.#firsts[set] ??= [...new Set(Array.from(this.states(set), (state) => states[state]![0]!))];
    return this.#firsts[set];
  }

  /** The set after an event, or REFUSED when no state of it takes the event. */
  step(set: number, event: number): number {
    const place = set * this.automaton.events.length + event;
    const known = this.#next[place]!;
    return known === UNKNOWN ? this.#compute(set, event, place) : known;
  }

  #compute(set: number, event: number, place: number): number {
    const { next, events } = this.automaton;
    const after: number[] = [];
    for (const state of this.#sets[set]!) {
      const to = next[state * events.length + event]!;
      if (to !== REFUSED) after.push(to);
    }
    const result = after.length > 0 ? this.intern(after) : REFUSED;
    this.#next[place] = result;
    return result;
  }

  #grow(): void {
    const needed = this.#sets.length * this.automaton.events.length;
    if (needed <= this.#next.length) return;
    const larger = new Int32Array(Math.max(1024, needed * 2)).fill(UNKNOWN);
    larger.set(this.#next);
    this.#next = larger;
  }
}

const UNKNOWN = -2;

/** Most sets that are kept. Beyond them a new set stands for all states: less is known, nothing wrong is. */
const MAX_SETS = 16_384;

/**
 * An observation as one automaton sees it: one of several events happened (indices; -1 is an event that
 * the automaton does not know and that nothing explains). Where it leads is kept by set.
 */
export class Moves {
  #next = new Int32Array(64).fill(UNKNOWN);
  /** Where a set was put after it had refused the observation. */
  readonly repairs = new Map<number, number>();
  /** What somebody remembers about the observation, and who: others do not look at it. */
  note: { readonly owner: unknown } | undefined;

  constructor(
    readonly sets: StateSets,
    readonly events: readonly number[],
  ) {}

  /** The set after the observation, or REFUSED when no state of the set takes any of its events. */
  from(set: number): number {
    const known = set < this.#next.length ? this.#next[set]! : UNKNOWN;
    return known === UNKNOWN ? this.#compute(set) : known;
  }

  #compute(set: number): number {
    const result = this.#after(set);
    if (set >= this.#next.length) {
      const larger = new Int32Array(set * 2).fill(UNKNOWN);
      larger.set(this.#next);
      this.#next = larger;
    }
    this.#next[set] = result;
    return result;
  }

  #after(set: number): number {
    const { sets, events } = this;
    if (events.length === 1) return events[0]! < 0 ? REFUSED : sets.step(set, events[0]!);
    const states: number[] = [];
    for (const event of events) {
      const after = event < 0 ? REFUSED : sets.step(set, event);
      if (after !== REFUSED) states.push(...sets.states(after));
    }
    return states.length > 0 ? sets.intern(states) : REFUSED;
  }
}

/** Follows one instance of a machine: the set of states that are still possible. */
export class Monitor {
  #set: number;

  constructor(
    readonly sets: StateSets,
    start: 'initial' | 'any' = 'any',
  ) {
    this.#set = start === 'initial' ? sets.intern([0]) : sets.all;
  }

  /** Takes an observation. Returns false, and stays where it was, when no possible state takes it. */
  observe(moves: Moves): boolean {
    const after = moves.from(this.#set);
    if (after === REFUSED) return false;
    this.#set = after;
    return true;
  }

  /** As `observe`, for something that was tried and may have failed: the states before stay possible. */
  observeMaybe(moves: Moves): boolean {
    const after = moves.from(this.#set);
    if (after === REFUSED) return false;
    this.#set = this.sets.intern([...this.sets.states(this.#set), ...this.sets.states(after)]);
    return true;
  }

  /** The set's number: equal numbers are equal sets, for monitors of the same `StateSets`. */
  get set(): number {
    return this.#set;
  }

  /** Puts the monitor into a set of its `StateSets`. */
  put(set: number): void {
    this.#set = set;
  }

  /** Puts the monitor where the trace says the machine must be now. No state fits: all are possible. */
  restart(fits: (state: number) => boolean): void {
    const states = this.sets.automaton.states.map((_, state) => state).filter(fits);
    this.#set = states.length > 0 ? this.sets.intern(states) : this.sets.all;
  }

  /** The possible states as reports write them. */
  names(): string[] {
    return [...this.sets.states(this.#set)].map((state) =>
      configurationName(this.sets.automaton.states[state]!),
    );
  }

  /** The names of the events that some possible state takes. */
  expected(): string[] {
    const { events } = this.sets.automaton;
    return events.filter((_, event) => this.sets.step(this.#set, event) !== REFUSED);
  }
}
