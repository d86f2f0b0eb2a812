import { createTestModel } from '@xstate/test';
import { describe, expect, test } from 'vitest';
import { createTestModel as createGraphModel } from 'xstate/graph';
import { type Automaton, accepted, compile, configurationName, step } from '../../src/automaton/index.js';
import { MACHINES, type Machine } from '../../src/machines/index.js';

/**
 * Model-based tests over the charts with `@xstate/test`, whose home of today is `xstate/graph`: both
 * must find the same paths, and every path that `@xstate/test` finds runs on the compiled table.
 */

/** Charts of one region. Regions that meet on events are ours alone: XState would let one of them move. */
const charts = MACHINES.filter(({ name }) => name !== 'run-state')
  .flatMap((entry) =>
    entry.capabilitySets.map((caps) => [`${entry.name} ${JSON.stringify(caps)}`, entry.make(caps)] as const),
  )
  .filter(([, chart]) => chart.root.type !== 'parallel');

interface Step {
  readonly event: { readonly type: string };
  readonly state: { readonly value: unknown };
}

interface Path {
  readonly description: string;
  readonly steps: readonly Step[];
  testSync(params: object): unknown;
}

/** The paths of `@xstate/test`, in types of our own: its own do not fit the XState of today. */
const testPaths = (chart: Machine) => createTestModel(chart as never).getShortestPaths() as unknown as Path[];
const graphPaths = (chart: Machine) => createGraphModel(chart).getShortestPaths() as unknown as Path[];

/** A path as text: each event and the state after it. */
const text = ({ steps }: Path): string =>
  steps.map(({ event, state }) => `${event.type} > ${state.value}`).join(', ');

/** The compiled table as the system under test: it knows where it is, and nothing of the chart. */
class Table {
  #state = 0;
  constructor(readonly automaton: Automaton) {}

  /** Takes an event; a refusal leaves the table in a state that no chart has. */
  send(event: string): void {
    this.#state = step(this.automaton, this.#state, this.automaton.eventIndex.get(event)!);
  }

  get name(): string {
    return configurationName(this.automaton.states[this.#state] ?? ['refused']);
  }

  get accepts(): string[] {
    return accepted(this.automaton, this.#state);
  }
}

test('most charts are of one region', () => {
  expect(charts.length).toBeGreaterThanOrEqual(13);
});

describe('@xstate/test and xstate/graph find the same shortest paths', () => {
  test.each(charts)('%s', (_name, chart) => {
    const paths = testPaths(chart);
    expect(paths.map(text).sort()).toEqual(graphPaths(chart).map(text).sort());
    expect(paths.map(({ description }) => description).sort()).toEqual(
      graphPaths(chart)
        .map(({ description }) => description)
        .sort(),
    );
  });
});

describe('the table walks every path', () => {
  test.each(charts)('%s', (_name, chart) => {
    const automaton = compile(chart);
    const events = automaton.events;
    const reached = new Set<string>();
    for (const path of testPaths(chart)) {
      const table = new Table(automaton);
      const stateIs = (name: string) => (snapshot: unknown) => {
        reached.add(name);
        expect(table.name).toBe(name);
        const taken = (type: string) => chart.getTransitionData(snapshot as never, { type })?.length;
        expect(table.accepts).toEqual(events.filter(taken));
      };
      path.testSync({
        events: Object.fromEntries(events.map((type) => [type, () => table.send(type)])),
        states: Object.fromEntries(Object.keys(chart.states).map((name) => [name, stateIs(name)])),
      });
    }
    const reachable = automaton.states.map((configuration) => configurationName(configuration));
    expect([...reached].sort()).toEqual(reachable.sort());
  });

  test('and a wrong arc does not pass', () => {
    const [, chart] = charts[0]!;
    const right = compile(chart);
    const next = right.next.slice();
    const place = next.findIndex((to, at) => to > 0 && Math.floor(at / right.events.length) !== to);
    next[place] = 0;
    const wrong: Automaton = { ...right, next };
    const run = () => {
      for (const path of testPaths(chart)) {
        const table = new Table(wrong);
        path.testSync({
          events: Object.fromEntries(wrong.events.map((type) => [type, () => table.send(type)])),
          states: { '*': ({ value }: Step['state']) => expect(table.name).toBe(value) },
        });
      }
    };
    expect(run).toThrow(/Path:/);
  });
});
