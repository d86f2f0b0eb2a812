import type { Configuration } from '../machines/xstate.js';

/** `next` of an event that the state refuses. */
export const REFUSED = -1;

/**
 * A chart as dense tables. States are numbered as they were reached from the initial one (0), events
 * in the order of their names.
 */
export interface Automaton {
  readonly name: string;
  /** Names of the regions, in the order in which configurations list their states. */
  readonly regions: readonly string[];
  readonly states: readonly Configuration[];
  readonly events: readonly string[];
  /** `next[state * events.length + event]`: the next state, or REFUSED. */
  readonly next: Int16Array;
  /** `clause[state * events.length + event]`: index into `clauses`, or -1. Of the first region that says one. */
  readonly clause: Int16Array;
  readonly clauses: readonly string[];
  readonly eventIndex: ReadonlyMap<string, number>;
}

/** The next state, or REFUSED. No check of its arguments: this is the hot path. */
export function step(automaton: Automaton, state: number, event: number): number {
  return automaton.next[state * automaton.events.length + event]!;
}

/** The names of the events that a state accepts. */
export function accepted(automaton: Automaton, state: number): string[] {
  return automaton.events.filter((_, event) => step(automaton, state, event) !== REFUSED);
}

/** How reports write a configuration: the states of its regions, `none` left out. */
export function configurationName(configuration: Configuration): string {
  const [first, ...rest] = configuration;
  const others = rest.filter((state) => state !== 'none' && state !== 'quiet');
  return others.length > 0 ? `${first} (${others.join(', ')})` : String(first);
}
