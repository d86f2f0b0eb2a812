/**
 * The one door to XState. Charts are made here, taken apart for the compiler here, and stepped by
 * XState's own pure `transition()` here; XState's next major version touches this file only.
 *
 * A chart is one region, or several regions side by side (`type: 'parallel'`). Regions meet on the
 * events that they share: an event is accepted when **every** region that knows it takes it, and
 * refused when one that knows it does not. (XState alone would let the others move.)
 */
import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type AnyStateNode,
  assign,
  createActor,
  createMachine,
  stateIn,
  transition,
} from 'xstate';

/** A machine of XState. */
export type Machine = AnyStateMachine;
export { createMachine, stateIn };

/** What a state or a transition carries beside its name. */
export interface ChartMeta {
  /** Id of the clause in `clauses.ts` that this comes from. */
  clause: string;
}

/** A transition of a region, taken apart. */
export interface ChartTransition {
  event: string;
  from: string;
  to: string;
  /** Another region has to be in this state; undefined: no condition. */
  guard: { region: string; state: string } | undefined;
  clause: string | undefined;
}

export interface ChartState {
  name: string;
  description: string;
  clause: string | undefined;
}

/** A region, taken apart. A chart without regions is one region with the chart's name. */
export interface ChartRegion {
  name: string;
  initial: string;
  states: ChartState[];
  transitions: ChartTransition[];
}

/** The chart has something that tables cannot hold; `place` is the path of the state node. */
export class ChartError extends Error {
  override readonly name = 'ChartError';
  constructor(
    readonly code: 'history' | 'delay' | 'actor' | 'eventless' | 'guard' | 'context' | 'nesting',
    readonly place: string,
    what: string,
  ) {
    super(`${place}: ${what}`);
  }
}

/** Takes a machine apart. @throws ChartError with code and place for what tables cannot hold */
export function regionsOf(machine: Machine): ChartRegion[] {
  const root = machine.root as AnyStateNode;
  refuseOuter(root);
  if (root.type === 'parallel') return Object.values(root.states).map(regionOf);
  return [{ ...regionOf(root), name: machine.id }];
}

/** Transitions of a whole chart or region would be left out of its table unseen. */
function refuseOuter(node: AnyStateNode): void {
  if (node.transitions.size > 0)
    throw new ChartError(
      'nesting',
      node.path.join('.') || node.key,
      'transitions stand at the states themselves',
    );
}

function regionOf(node: AnyStateNode): ChartRegion {
  refuseOuter(node);
  refuseExtras(node);
  const nodes = Object.values(node.states);
  for (const state of nodes) {
    refuseExtras(state);
    if (state.type !== 'atomic' && state.type !== 'final') throw nesting(state);
  }
  return {
    name: node.key,
    initial: node.initial.target[0]?.key ?? '',
    states: nodes.map((state) => ({
      name: state.key,
      description: state.description ?? '',
      clause: (state.meta as ChartMeta | undefined)?.clause,
    })),
    transitions: nodes.flatMap(transitionsOf),
  };
}

function nesting(state: AnyStateNode): ChartError {
  const code = state.type === 'history' ? 'history' : 'nesting';
  return new ChartError(
    code,
    state.path.join('.'),
    `a state of type ${state.type} cannot be put into a table`,
  );
}

function refuseExtras(node: AnyStateNode): void {
  const place = node.path.join('.') || node.key;
  if (node.after.length > 0) throw new ChartError('delay', place, 'delayed transitions need a clock');
  if (node.invoke.length > 0) throw new ChartError('actor', place, 'invoked actors have state of their own');
  if (node.always?.length) throw new ChartError('eventless', place, 'eventless transitions hide states');
  if (node.type !== 'parallel' && node.parent && node.entry.length + node.exit.length > 0)
    throw new ChartError('context', place, 'entry and exit actions are not part of a table');
}

function transitionsOf(state: AnyStateNode): ChartTransition[] {
  return [...state.transitions.entries()].flatMap(([event, list]) =>
    list.map((each) => {
      const place = `${state.path.join('.')} on ${event}`;
      if (each.actions.length > 0) throw new ChartError('context', place, 'actions are not part of a table');
      return {
        event,
        from: state.key,
        to: each.target?.[0]?.key ?? state.key,
        guard: guardOf(each.guard, place),
        clause: (each.meta as ChartMeta | undefined)?.clause,
      };
    }),
  );
}

function guardOf(guard: unknown, place: string): ChartTransition['guard'] {
  if (guard === undefined) return undefined;
  const value = (guard as { stateValue?: unknown }).stateValue;
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const [region, state] = entries[0] ?? [];
  if (entries.length !== 1 || typeof state !== 'string')
    throw new ChartError('guard', place, 'only stateIn({ region: state }) can be put into a table');
  return { region: region as string, state };
}

/** Whether any state of a region names the event; XState's own list leaves out those without a target. */
function knowsEvent(region: AnyStateNode, event: string): boolean {
  return Object.values(region.states).some((state) => state.transitions.has(event));
}

/** A configuration of a chart: the state of each region, in the order of the regions. */
export type Configuration = readonly string[];

/** The configuration in which a chart starts. */
export function initialConfiguration(machine: Machine): Configuration {
  return regionsOf(machine).map((region) => region.initial);
}

/**
 * One step of a chart by XState's own `transition()`: the next configuration, or null when a region
 * that knows the event does not take it. Slow; for proofs, pictures and single steps.
 */
export function chartStep(machine: Machine, from: Configuration, event: string): Configuration | null {
  const root = machine.root as AnyStateNode;
  const parallel = root.type === 'parallel';
  const keys = parallel ? Object.keys(root.states) : [];
  const value = parallel ? Object.fromEntries(keys.map((key, index) => [key, from[index]])) : from[0];
  const snapshot = machine.resolveState({ value } as never) as AnyMachineSnapshot;
  const enabled = machine.getTransitionData(snapshot, { type: event }) ?? [];
  const knows = parallel ? keys.filter((key) => knowsEvent(root.states[key]!, event)) : [''];
  const taken = new Set(enabled.map((each) => (parallel ? each.source.path[0] : '')));
  if (knows.length === 0 || knows.some((key) => !taken.has(key))) return null;
  const [next] = transition(machine, snapshot, { type: event });
  const nextValue = (next as AnyMachineSnapshot).value as string | Record<string, string>;
  return parallel
    ? keys.map((key) => (nextValue as Record<string, string>)[key] as string)
    : [nextValue as string];
}

/** A chart that runs: an XState actor, with the rule that every region that knows an event must take it. */
export interface ChartActor {
  readonly name: string;
  /** The state of each region, in their order. */
  readonly configuration: Configuration;
  /** Takes an event. False: the chart refuses it, and nothing has changed. */
  send(event: string): boolean;
  stop(): void;
}

/** Starts an actor of a chart, in its initial configuration. */
export function startChart(machine: Machine): ChartActor {
  const actor = createActor(machine).start();
  const regions = machine.root.type === 'parallel' ? Object.keys(machine.root.states) : [];
  const configuration = (): Configuration => {
    const value = (actor.getSnapshot() as AnyMachineSnapshot).value as string | Record<string, string>;
    return typeof value === 'string' ? [value] : regions.map((key) => value[key]!);
  };
  return {
    name: machine.id,
    get configuration() {
      return configuration();
    },
    send(event) {
      if (chartStep(machine, configuration(), event) === null) return false;
      actor.send({ type: event });
      return true;
    },
    stop: () => actor.stop(),
  };
}

/** One thing that a machine of data can do. */
export interface DataAction<Data> {
  /** The event that asks for it. */
  readonly name: string;
  /** The data after it, or null where it cannot be done. It changes nothing in what it is given. */
  step(data: Data): Data | null;
}

/**
 * A machine whose whole state is its context, for XState's own tools (`xstate/graph`, inspectors): an event
 * for each action, guarded by the action itself. `compile()` refuses it, for tables hold no context.
 */
export function dataMachine<Data extends Record<string, unknown>>(
  id: string,
  initial: Data,
  actions: readonly DataAction<Data>[],
): Machine {
  const transitionOf = (action: DataAction<Data>) => {
    // The guard and the assignment that follows it ask for the same step.
    let from: Data | null = null;
    let to: Data | null = null;
    const step = (data: Data): Data | null => {
      if (data !== from) {
        from = data;
        to = action.step(data);
      }
      return to;
    };
    return {
      guard: ({ context }: { context: Data }) => step(context) !== null,
      actions: assign(({ context }: { context: Data }) => step(context) ?? context),
    };
  };
  return createMachine({
    id,
    context: initial,
    on: Object.fromEntries(actions.map((action) => [action.name, transitionOf(action)])),
  } as never);
}
