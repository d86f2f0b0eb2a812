import {
  type ChartRegion,
  type ChartTransition,
  type Configuration,
  type Machine,
  regionsOf,
} from '../machines/xstate.js';
import { type Automaton, REFUSED } from './automaton.js';

/** Most states that a table holds; a larger product is a mistake in the chart. */
const MAX_STATES = 32_767;

/** A region ready for stepping: transitions by state and event, and the events it knows. */
interface Region {
  name: string;
  initial: string;
  knows: Set<string>;
  taken: Map<string, ChartTransition[]>;
}

const key = (state: string, event: string): string => `${state}\0${event}`;

/**
 * Compiles a chart to tables: walks the product of its regions from the initial configuration.
 * Regions meet on shared events: one that knows an event and does not take it refuses it.
 * @throws ChartError for what tables cannot hold (history, delays, actors, actions, other guards)
 * @throws RangeError when the product has more than 32767 states
 */
export function compile(machine: Machine): Automaton {
  const regions = regionsOf(machine).map(prepare);
  const events = [...new Set(regions.flatMap((region) => [...region.knows]))].sort();
  const states: Configuration[] = [regions.map((region) => region.initial)];
  const numbers = new Map([[states[0]!.join('\0'), 0]]);
  const next: number[] = [];
  const clause: number[] = [];
  const clauses: string[] = [];
  for (let at = 0; at < states.length; at++) {
    for (const event of events) {
      const move = moveOf(regions, states[at]!, event);
      next.push(move ? numberOf(move.to) : REFUSED);
      clause.push(move?.clause ? clauseNumber(move.clause) : -1);
    }
  }

  function numberOf(configuration: Configuration): number {
    const name = configuration.join('\0');
    const known = numbers.get(name);
    if (known !== undefined) return known;
    if (states.length >= MAX_STATES) throw new RangeError(`${machine.id}: more than ${MAX_STATES} states`);
    numbers.set(name, states.length);
    return states.push(configuration) - 1;
  }

  function clauseNumber(name: string): number {
    const known = clauses.indexOf(name);
    return known >= 0 ? known : clauses.push(name) - 1;
  }

  return {
    name: machine.id,
    regions: regions.map((region) => region.name),
    states,
    events,
    next: Int16Array.from(next),
    clause: Int16Array.from(clause),
    clauses,
    eventIndex: new Map(events.map((event, index) => [event, index])),
  };
}

function prepare(region: ChartRegion): Region {
  const taken = new Map<string, ChartTransition[]>();
  for (const each of region.transitions) {
    const place = key(each.from, each.event);
    taken.set(place, [...(taken.get(place) ?? []), each]);
  }
  return {
    name: region.name,
    initial: region.initial,
    knows: new Set(region.transitions.map((each) => each.event)),
    taken,
  };
}

/** One synchronised step, or null when a region that knows the event does not take it. */
function moveOf(regions: Region[], from: Configuration, event: string) {
  const to = [...from];
  let clause: string | undefined;
  for (const [index, region] of regions.entries()) {
    if (!region.knows.has(event)) continue;
    const move = region.taken.get(key(from[index]!, event))?.find((each) => holds(each, regions, from));
    if (!move) return null;
    to[index] = move.to;
    clause ??= move.clause;
  }
  return { to, clause };
}

function holds({ guard }: ChartTransition, regions: Region[], from: Configuration): boolean {
  return (
    guard === undefined || from[regions.findIndex((region) => region.name === guard.region)] === guard.state
  );
}
